//! Flags, named as kube-apiserver's, and how they become a [`Config`]: everything is parsed and
//! checked here, before a file is written or a port is bound.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use daemon::logs::LogOptions;
use federation_api::duration;

use crate::audit::{AuditConfig, Destination, Policy};
use crate::auth::authz::Mode;
use crate::config::{Config, Limits, Patience, Profile, ServiceAccountConfig, SigningConfig, StorageConfig, TlsConfig};
use crate::error::ConfigError;
use crate::storage::etcd::EtcdConfig;

/// Where objects are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum StorageKind {
    /// In a file of this process, for one machine.
    Embedded,
    /// In etcd v3.
    Etcd,
}

impl StorageKind {
    /// The flag's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Etcd => "etcd",
        }
    }
}

/// The flags as typed.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to serve HTTPS on; 0 picks a free one
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub secure_port: u16,
    /// Address on which clients reach this server; goes into the self-signed certificate
    #[arg(long, value_name = "IP")]
    pub advertise_address: Option<IpAddr>,
    /// Directory for the self-signed certificate made when no certificate is given
    #[arg(long, default_value = "/var/run/kubernetes", value_name = "DIR")]
    pub cert_dir: PathBuf,
    /// PEM file with the serving certificate and its chain; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert-file
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// PEM file of authorities; a client certificate signed by one of them authenticates
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// PEM file with the authority that signs approved certificate requests of Kubernetes' signers; read again when it
    /// changes
    #[arg(long, value_name = "FILE", requires = "cluster_signing_key_file")]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// PEM file with the private key of --cluster-signing-cert-file
    #[arg(long, value_name = "FILE", requires = "cluster_signing_cert_file")]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// How long signed certificates are good for, unless a request asks for less
    #[arg(long, default_value = "8760h", value_parser = duration::parse, value_name = "DURATION")]
    pub cluster_signing_duration: Duration,
    /// CSV file of bearer tokens: token,user,uid,"group1,group2"
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,
    /// Take bootstrap tokens, which are secrets of type bootstrap.kubernetes.io/token in namespace kube-system
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub enable_bootstrap_token_auth: bool,
    /// CSV file of passwords: password,user,uid,"group1,group2"
    #[arg(long, value_name = "FILE")]
    pub basic_auth_file: Option<PathBuf>,
    /// JSON file of what was revoked, which outlives a storage that is restored; beside the embedded store if not given
    #[arg(long, value_name = "FILE")]
    pub revocations_file: Option<PathBuf>,
    /// Who makes tokens of service accounts, a URL; with --service-account-signing-key-file they are made and taken
    #[arg(long, value_name = "URL", requires = "service_account_signing_key_file")]
    pub service_account_issuer: Option<String>,
    /// PEM file with the private key that signs tokens of service accounts, RSA or ECDSA
    #[arg(long, value_name = "FILE", requires = "service_account_issuer")]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// PEM file of further keys that verify tokens of service accounts; can be repeated
    #[arg(long, value_name = "FILE", requires = "service_account_issuer")]
    pub service_account_key_file: Vec<PathBuf>,
    /// URL of the keys that verify tokens of service accounts, as OpenID discovery tells it; this server's if not given
    #[arg(long, value_name = "URL", requires = "service_account_issuer")]
    pub service_account_jwks_uri: Option<String>,
    /// Whom tokens of service accounts are for, separated by commas; the issuer if not given
    #[arg(long, value_delimiter = ',', value_name = "AUDIENCES", requires = "service_account_issuer")]
    pub api_audiences: Vec<String>,
    /// Longest life of tokens of service accounts; 0 is without limit
    #[arg(long, default_value = "0s", value_parser = duration::parse, value_name = "DURATION")]
    pub service_account_max_token_expiration: Duration,
    /// Authorizers, asked in this order: RBAC, AlwaysAllow, AlwaysDeny
    #[arg(long, value_delimiter = ',', default_value = "RBAC", value_name = "MODES")]
    pub authorization_mode: Vec<String>,
    /// Let requests without credentials in as system:anonymous
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub anonymous_auth: bool,
    /// Where objects are kept; etcd when --etcd-servers is given, otherwise embedded
    #[arg(long, value_enum)]
    pub storage: Option<StorageKind>,
    /// Directory of the embedded store
    #[arg(long, default_value = "/var/lib/federation-apiserver", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// etcd endpoints, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    pub etcd_servers: Vec<String>,
    /// Prefix of all keys in etcd
    #[arg(long, default_value = "/registry", value_name = "PREFIX")]
    pub etcd_prefix: String,
    /// PEM file of the authority that signed etcd's certificate
    #[arg(long, value_name = "FILE")]
    pub etcd_cafile: Option<PathBuf>,
    /// PEM file with the client certificate for etcd
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    pub etcd_certfile: Option<PathBuf>,
    /// PEM file with the key of --etcd-certfile
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub etcd_keyfile: Option<PathBuf>,
    /// How long events are kept
    #[arg(long, default_value = "1h", value_parser = duration::parse, value_name = "DURATION")]
    pub event_ttl: Duration,
    /// Admission plugins besides NamespaceLifecycle, which is always on: FederationFinalizers, which gives new objects
    /// the finalizers their copies are deleted by
    #[arg(long, value_delimiter = ',', value_name = "PLUGINS")]
    pub enable_admission_plugins: Vec<String>,
    /// Reading requests in flight; more are answered 429. 0 is without limit
    #[arg(long, default_value_t = Limits::READONLY, value_name = "N")]
    pub max_requests_inflight: usize,
    /// Writing requests in flight; more are answered 429. 0 is without limit
    #[arg(long, default_value_t = Limits::MUTATING, value_name = "N")]
    pub max_mutating_requests_inflight: usize,
    /// Longest time a request may take, watches apart
    #[arg(long, default_value = "1m", value_parser = duration::parse, value_name = "DURATION")]
    pub request_timeout: Duration,
    /// How long open requests may go on after SIGTERM
    #[arg(long, alias = "shutdown-grace", default_value = "10s", value_parser = duration::parse, value_name = "DURATION")]
    pub shutdown_grace_period: Duration,
    /// File for the audit log, - for standard output
    #[arg(long, value_name = "FILE")]
    pub audit_log_path: Option<PathBuf>,
    /// File with the audit policy (Policy of audit.k8s.io/v1); without it nothing is recorded
    #[arg(long, value_name = "FILE")]
    pub audit_policy_file: Option<PathBuf>,
    /// Megabytes after which a new audit log file is begun; 0 is without limit
    #[arg(long, default_value_t = 100, value_name = "MB")]
    pub audit_log_maxsize: u64,
    /// Old audit log files that are kept; 0 is all of them
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub audit_log_maxbackup: usize,
    /// Days that old audit log files are kept; 0 is for ever
    #[arg(long, default_value_t = 0, value_name = "DAYS")]
    pub audit_log_maxage: u32,
    /// What to log and trace.
    #[command(flatten)]
    pub log: LogOptions,
}

/// The admission plugin that is not always on.
const FINALIZERS: &str = "FederationFinalizers";

/// File of what was revoked, in the directory of the embedded store.
const REVOCATIONS: &str = "revoked.json";
/// The life of tokens that most programs ask for.
const SHORTEST_TOKENS: Duration = Duration::from_secs(3600);
/// The life that every request may ask for.
const SHORTEST_SIGNING: Duration = Duration::from_secs(600);

impl Options {
    /// Checks everything and makes the configuration of a federation API server.
    ///
    /// # Errors
    /// What is wrong with which flag, and a hint how to mend it.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        for plugin in &self.enable_admission_plugins {
            if !["NamespaceLifecycle", FINALIZERS].contains(&plugin.as_str()) {
                return Err(ConfigError::new(
                    format!("--enable-admission-plugins: unknown plugin {plugin:?}"),
                    format!("known plugins: NamespaceLifecycle, {FINALIZERS}"),
                ));
            }
        }
        let mode = |m: &String| {
            m.parse::<Mode>().map_err(|e| ConfigError::new(format!("--authorization-mode: {e}"), "for example --authorization-mode=RBAC"))
        };
        let authorization = self.authorization_mode.iter().map(mode).collect::<Result<Vec<Mode>, _>>()?;
        let files = [
            ("--tls-cert-file", &self.tls_cert_file),
            ("--tls-private-key-file", &self.tls_private_key_file),
            ("--client-ca-file", &self.client_ca_file),
            ("--cluster-signing-cert-file", &self.cluster_signing_cert_file),
            ("--cluster-signing-key-file", &self.cluster_signing_key_file),
            ("--token-auth-file", &self.token_auth_file),
            ("--basic-auth-file", &self.basic_auth_file),
            ("--etcd-cafile", &self.etcd_cafile),
            ("--etcd-certfile", &self.etcd_certfile),
            ("--etcd-keyfile", &self.etcd_keyfile),
        ];
        for (flag, path) in files {
            if let Some(path) = path {
                readable(flag, path)?;
            }
        }
        let (storage, audit, signing, accounts) = (self.storage()?, self.audit()?, self.signing()?, self.service_accounts()?);
        let beside = matches!(storage, StorageConfig::Embedded { .. }).then(|| self.data_dir.join(REVOCATIONS));
        let revocations = self.revocations_file.clone().or(beside);
        Ok(Config {
            profile: Profile::Federation,
            bind: SocketAddr::new(self.bind_address, self.secure_port),
            advertise_address: self.advertise_address,
            tls: match (self.tls_cert_file, self.tls_private_key_file) {
                (Some(cert), Some(key)) => TlsConfig::Files { cert, key },
                _ => TlsConfig::SelfSigned { dir: self.cert_dir },
            },
            client_ca_file: self.client_ca_file,
            signing,
            token_auth_file: self.token_auth_file,
            service_accounts: accounts,
            revocations,
            bootstrap_tokens: self.enable_bootstrap_token_auth,
            basic_auth_file: self.basic_auth_file,
            authorization,
            anonymous_auth: self.anonymous_auth,
            storage,
            event_ttl: self.event_ttl,
            finalizers: self.enable_admission_plugins.iter().any(|plugin| plugin == FINALIZERS),
            limits: Limits { readonly: self.max_requests_inflight, mutating: self.max_mutating_requests_inflight },
            request_timeout: self.request_timeout,
            patience: Patience::default(),
            shutdown_grace: self.shutdown_grace_period,
            audit,
        })
    }

    fn audit(&self) -> Result<Option<AuditConfig>, ConfigError> {
        let policy = self.audit_policy_file.as_deref().map(Policy::load).transpose()?;
        let Some(path) = &self.audit_log_path else { return Ok(None) };
        let Some(policy) = policy else {
            tracing::warn!("--audit-log-path without --audit-policy-file: no requests are recorded");
            return Ok(None);
        };
        let to = Destination {
            path: (path.as_os_str() != "-").then(|| path.clone()),
            max_size: self.audit_log_maxsize.saturating_mul(1 << 20),
            max_backups: self.audit_log_maxbackup,
            max_age: Duration::from_secs(u64::from(self.audit_log_maxage) * 24 * 3600),
        };
        Ok(Some(AuditConfig { policy, to }))
    }

    fn service_accounts(&self) -> Result<Option<ServiceAccountConfig>, ConfigError> {
        let both = self.service_account_issuer.clone().zip(self.service_account_signing_key_file.clone());
        let Some((issuer, signing_key)) = both else { return Ok(None) };
        let longest = Some(self.service_account_max_token_expiration).filter(|longest| !longest.is_zero());
        if longest.is_some_and(|longest| longest < SHORTEST_TOKENS) {
            return Err(ConfigError::new(
                format!("--service-account-max-token-expiration: {}s are too short", longest.unwrap_or_default().as_secs()),
                "requests may ask for 10m at least, and programs ask for 1h; 0 is without limit",
            ));
        }
        readable("--service-account-signing-key-file", &signing_key)?;
        for path in &self.service_account_key_file {
            readable("--service-account-key-file", path)?;
        }
        let audiences = if self.api_audiences.is_empty() { vec![issuer.clone()] } else { self.api_audiences.clone() };
        let (keys, jwks_uri) = (self.service_account_key_file.clone(), self.service_account_jwks_uri.clone());
        Ok(Some(ServiceAccountConfig { issuer, signing_key, keys, jwks_uri, audiences, longest }))
    }

    fn signing(&self) -> Result<Option<SigningConfig>, ConfigError> {
        let longest = self.cluster_signing_duration;
        if longest < SHORTEST_SIGNING {
            return Err(ConfigError::new(
                format!("--cluster-signing-duration: {}s are too short", longest.as_secs()),
                "requests may ask for 10m at least; a year is 8760h",
            ));
        }
        let files = self.cluster_signing_cert_file.clone().zip(self.cluster_signing_key_file.clone());
        Ok(files.map(|(cert, key)| SigningConfig { cert, key, longest }))
    }

    fn storage(&self) -> Result<StorageConfig, ConfigError> {
        let kind = self.storage.unwrap_or(if self.etcd_servers.is_empty() { StorageKind::Embedded } else { StorageKind::Etcd });
        match kind {
            StorageKind::Embedded if !self.etcd_servers.is_empty() => {
                Err(ConfigError::new("--etcd-servers is given, but --storage is embedded", "leave one of the two out"))
            }
            StorageKind::Embedded => Ok(StorageConfig::Embedded { dir: self.data_dir.clone() }),
            StorageKind::Etcd if self.etcd_servers.is_empty() => {
                Err(ConfigError::new("--storage=etcd needs --etcd-servers", "for example --etcd-servers=https://127.0.0.1:2379"))
            }
            StorageKind::Etcd => {
                for server in &self.etcd_servers {
                    let uri: Result<http::Uri, _> = server.parse();
                    if !uri.is_ok_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some()) {
                        return Err(ConfigError::new(
                            format!("--etcd-servers: {server:?} is not a URL"),
                            "write scheme, host and port, for example https://127.0.0.1:2379",
                        ));
                    }
                }
                Ok(StorageConfig::Etcd(EtcdConfig {
                    servers: self.etcd_servers.clone(),
                    prefix: format!("/{}", self.etcd_prefix.trim_matches('/')),
                    ca_file: self.etcd_cafile.clone(),
                    cert_file: self.etcd_certfile.clone(),
                    key_file: self.etcd_keyfile.clone(),
                    largest_answer: None,
                }))
            }
        }
    }
}

fn readable(flag: &str, path: &Path) -> Result<(), ConfigError> {
    match std::fs::File::open(path).and_then(|f| f.metadata()) {
        Ok(m) if m.is_file() => Ok(()),
        Ok(_) => Err(ConfigError::new(format!("{flag}: {} is not a file", path.display()), "name a file, not a directory")),
        Err(e) => Err(ConfigError::new(
            format!("{flag}: cannot read {}: {e}", path.display()),
            "check the path and that the user of this process may read it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn resolve(args: &[&str]) -> Result<Config, ConfigError> {
        let argv = std::iter::once("federation-apiserver").chain(args.iter().copied());
        Cli::try_parse_from(argv).unwrap().options.resolve()
    }

    #[test]
    fn without_flags_it_is_secure_and_embedded() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.bind.port(), 6443);
        assert_eq!(config.authorization, [Mode::Rbac]);
        assert!(!config.anonymous_auth);
        assert!(matches!(config.storage, StorageConfig::Embedded { .. }));
        assert_eq!(config.event_ttl, Duration::from_secs(3600));
    }

    #[test]
    fn etcd_servers_choose_etcd() {
        let config = resolve(&["--etcd-servers=http://127.0.0.1:2379,http://127.0.0.1:2380", "--etcd-prefix=/fed/"]).unwrap();
        let StorageConfig::Etcd(etcd) = config.storage else { panic!("{:?}", config.storage) };
        assert_eq!(etcd.servers.len(), 2);
        assert_eq!(etcd.prefix, "/fed");
    }

    #[test]
    fn wrong_values_are_refused_with_a_hint() {
        for (args, want) in [
            (&["--storage=etcd"][..], "--storage=etcd needs --etcd-servers"),
            (&["--storage=embedded", "--etcd-servers=http://a:1"], "--etcd-servers is given"),
            (&["--etcd-servers=nonsense"], "is not a URL"),
            (&["--authorization-mode=ABAC"], "unknown authorization mode `ABAC`"),
            (&["--token-auth-file=/does/not/exist"], "--token-auth-file: cannot read /does/not/exist"),
            (&["--cluster-signing-duration=9m"], "--cluster-signing-duration: 540s are too short"),
            (
                &["--cluster-signing-cert-file=/does/not/exist", "--cluster-signing-key-file=/dev/null"],
                "--cluster-signing-cert-file: cannot read",
            ),
            (&["--enable-admission-plugins=PodNodeSelector"], "unknown plugin"),
        ] {
            let e = resolve(args).unwrap_err();
            assert!(e.message.contains(want), "{args:?}: {e}");
            assert!(!e.hint.is_empty());
        }
    }
}
