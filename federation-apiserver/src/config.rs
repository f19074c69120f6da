//! The resolved configuration of a server: typed, checked, nothing opened yet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::audit::AuditConfig;
use crate::auth::authz::Mode;
use crate::storage::etcd::EtcdConfig;

/// Which resources are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// The federation's API: federated kinds, clusters and propagation records.
    Federation,
    /// A hollow member cluster: also nodes and pods, no clusters.
    Member,
}

/// Everything a server is built from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which resources are served.
    pub profile: Profile,
    /// Where to listen; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Address clients use, for the self-signed certificate.
    pub advertise_address: Option<IpAddr>,
    /// The serving certificate.
    pub tls: TlsConfig,
    /// Authorities of client certificates.
    pub client_ca_file: Option<PathBuf>,
    /// The authority that signs what clients ask to be certified.
    pub signing: Option<SigningConfig>,
    /// Bearer tokens.
    pub token_auth_file: Option<PathBuf>,
    /// Whether bootstrap tokens, which are secrets of `kube-system`, authenticate.
    pub bootstrap_tokens: bool,
    /// How tokens of service accounts are made.
    pub service_accounts: Option<ServiceAccountConfig>,
    /// Where it is written down what was revoked, besides the storage: a storage that is put back to an earlier state gives
    /// nothing back then. A JSON file, which need not be there.
    pub revocations: Option<PathBuf>,
    /// Passwords.
    pub basic_auth_file: Option<PathBuf>,
    /// Authorizers in the order they are asked.
    pub authorization: Vec<Mode>,
    /// Whether requests without credentials are `system:anonymous`.
    pub anonymous_auth: bool,
    /// Where objects are kept.
    pub storage: StorageConfig,
    /// Lifetime of events.
    pub event_ttl: Duration,
    /// Whether new objects of federated kinds get the federation's finalizers.
    pub finalizers: bool,
    /// Requests in flight.
    pub limits: Limits,
    /// Longest time of a request that is no watch.
    pub request_timeout: Duration,
    /// How long a connection may stay without a request.
    pub patience: Patience,
    /// How long open requests may go on after the shutdown began.
    pub shutdown_grace: Duration,
    /// Which requests are recorded, and where.
    pub audit: Option<AuditConfig>,
}

impl Config {
    /// Where clients reach the server (`host:port`), as `/api` tells it.
    pub fn advertised(&self) -> String {
        let ip = self.advertise_address.unwrap_or(self.bind.ip());
        SocketAddr::new(ip, self.bind.port()).to_string()
    }

    /// A server that keeps nothing on disk, for tests and for servers inside another process.
    pub fn in_memory(profile: Profile) -> Self {
        Self {
            profile,
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            advertise_address: None,
            tls: TlsConfig::Ephemeral,
            client_ca_file: None,
            signing: None,
            token_auth_file: None,
            bootstrap_tokens: false,
            service_accounts: None,
            revocations: None,
            basic_auth_file: None,
            authorization: vec![Mode::Rbac],
            anonymous_auth: false,
            storage: StorageConfig::Memory,
            event_ttl: Duration::from_secs(3600),
            finalizers: false,
            limits: Limits::default(),
            request_timeout: Duration::from_secs(60),
            patience: Patience::default(),
            shutdown_grace: Duration::from_secs(10),
            audit: None,
        }
    }
}

/// The serving certificate.
#[derive(Clone, Debug)]
pub enum TlsConfig {
    /// PEM files, read again when they change.
    Files {
        /// Certificate and chain.
        cert: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// `apiserver.crt` and `apiserver.key` in a directory, made when missing.
    SelfSigned {
        /// The directory.
        dir: PathBuf,
    },
    /// A self-signed certificate that lives as long as the process.
    Ephemeral,
}

/// The authority that signs certificates, in PEM files that are read again when they change.
#[derive(Clone, Debug)]
pub struct SigningConfig {
    /// Its certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// How long certificates hold, at most and where nothing shorter is asked for.
    pub longest: Duration,
}

/// How tokens of service accounts are made and taken.
#[derive(Clone, Debug)]
pub struct ServiceAccountConfig {
    /// Who makes them.
    pub issuer: String,
    /// The private key they are signed with, PEM.
    pub signing_key: PathBuf,
    /// Further keys that verify them, PEM.
    pub keys: Vec<PathBuf>,
    /// Where the keys that verify them are told, when it is not this server.
    pub jwks_uri: Option<String>,
    /// Whom they are for that say nothing else.
    pub audiences: Vec<String>,
    /// The longest life of one.
    pub longest: Option<Duration>,
}

/// Where objects are kept.
#[derive(Clone, Debug)]
pub enum StorageConfig {
    /// In memory; gone with the process.
    Memory,
    /// The embedded store in a directory.
    Embedded {
        /// The directory; made when missing.
        dir: PathBuf,
    },
    /// etcd v3.
    Etcd(EtcdConfig),
}

impl StorageConfig {
    /// As metrics call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded { .. } => "embedded",
            Self::Etcd(_) => "etcd",
        }
    }
}

/// Requests in flight, watches apart; 0 is without limit. The numbers are kube-apiserver's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Reading requests.
    pub readonly: usize,
    /// Writing requests.
    pub mutating: usize,
}

impl Limits {
    /// kube-apiserver's default for reading requests.
    pub const READONLY: usize = 400;
    /// kube-apiserver's default for writing requests.
    pub const MUTATING: usize = 200;
}

impl Default for Limits {
    fn default() -> Self {
        Self { readonly: Self::READONLY, mutating: Self::MUTATING }
    }
}

/// How long a connection may stay without a request. The numbers are kube-apiserver's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// For the TLS handshake, and from there to the end of the first request's headers.
    pub first: Duration,
    /// From the end of the last open request to the end of the next one's headers.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(32), idle: Duration::from_secs(90) }
    }
}
