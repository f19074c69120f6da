//! The etcd v3 backend, for production and high availability (design D3).

mod leases;
mod revision;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, Error, GetOptions, GetResponse, Identity, KeyValue, KvClient, PutOptions,
    ResponseHeader, TlsOptions, Txn, TxnOp, TxnOpResponse,
};
use futures::stream::BoxStream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error as ThisError;

use self::leases::Leases;
use self::revision::Revisions;
use super::{Backend, Event, Expect, Page, ROOT, StorageError, Versioned};

/// Longest wait for one call; an unreachable etcd is reported within it.
const CALL: Duration = Duration::from_secs(4);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a connection is probed; etcd refuses probes more often than every 5 s.
const PROBE: Duration = Duration::from_secs(10);
/// Largest answer taken; pages of large objects and busy watches exceed gRPC's 4 MB.
const MESSAGE: usize = 256 << 20;

/// Where etcd is. Names are those of kube-apiserver's flags.
#[derive(Clone, Debug, Default)]
pub struct EtcdConfig {
    /// `--etcd-servers`: URLs.
    pub servers: Vec<String>,
    /// `--etcd-prefix`: what keys begin with; empty is `/registry`.
    pub prefix: String,
    /// `--etcd-cafile`: certificates that etcd's is checked against.
    pub ca_file: Option<PathBuf>,
    /// `--etcd-certfile`: our certificate.
    pub cert_file: Option<PathBuf>,
    /// `--etcd-keyfile`: its key.
    pub key_file: Option<PathBuf>,
}

/// Why etcd cannot be used as configured. That it is away is no such reason.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum EtcdConfigError {
    /// A certificate or key cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file without what it should hold.
    #[error("{}: no {what} in it", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// A certificate without its key or the other way round.
    #[error("--etcd-certfile and --etcd-keyfile are needed together")]
    HalfIdentity,
    /// TLS without knowing whom to trust.
    #[error("{0} needs --etcd-cafile")]
    NoCa(String),
    /// No server, or one that is no URL.
    #[error("--etcd-servers is not usable: {0}")]
    Servers(#[source] Box<Error>),
}

/// The etcd backend. Connections are made when needed and made again when lost.
pub struct Etcd {
    client: Client,
    names: Names,
    cluster: Arc<ClusterId>,
    revisions: Revisions,
    leases: Leases,
}

impl Etcd {
    /// Prepares the connections; etcd need not be there yet. Must be called within a tokio runtime.
    pub async fn connect(config: &EtcdConfig) -> Result<Self, EtcdConfigError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PROBE, CALL)
            .with_keep_alive_while_idle(true)
            .with_tcp_keepalive(PROBE)
            .with_require_leader(true);
        if let Some(tls) = tls(config)? {
            options = options.with_tls(tls);
        }
        let servers: Vec<&str> = config.servers.iter().map(|s| s.trim_end_matches('/')).collect();
        let client = Client::connect(servers, Some(options)).await.map_err(|e| EtcdConfigError::Servers(e.into()))?;
        let (names, cluster) = (Names::new(&config.prefix), Arc::new(ClusterId::default()));
        let revisions = Revisions::start(client.kv_client(), names.to_etcd(ROOT), cluster.clone());
        Ok(Self { leases: Leases::new(client.lease_client()), client, names, cluster, revisions })
    }

    fn kv(&self) -> KvClient {
        self.client.kv_client().max_decoding_message_size(MESSAGE)
    }

    async fn range(&self, key: Vec<u8>, options: GetOptions, revision: u64) -> Result<(GetResponse, u64), StorageError> {
        let response = call(self.kv().get(key, Some(options)), revision).await?;
        let now = self.cluster.check(response.header())?;
        Ok((response, now))
    }

    /// Writes when the key was last written at `expected`; answers the new revision.
    async fn swap(&self, key: &str, expected: u64, op: TxnOp) -> Result<u64, StorageError> {
        let name = self.names.to_etcd(key);
        let txn = Txn::new()
            .when([Compare::mod_revision(name.clone(), CompareOp::Equal, signed(expected))])
            .and_then([op])
            .or_else([TxnOp::get(name, None)]);
        let response = call(self.kv().txn(txn), 0).await?;
        let now = self.cluster.check(response.header())?;
        if response.succeeded() {
            return Ok(now);
        }
        let current = match response.op_responses().into_iter().next() {
            Some(TxnOpResponse::Get(mut found)) => found.take_kvs().pop().map(|kv| self.names.versioned(kv)).transpose()?,
            _ => None,
        };
        Err(StorageError::Conflict { current })
    }
}

#[async_trait]
impl Backend for Etcd {
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        let (mut response, now) = self.range(self.names.to_etcd(key), GetOptions::new(), 0).await?;
        Ok((response.take_kvs().pop().map(|kv| self.names.versioned(kv)).transpose()?, now))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        let start = match after {
            // The next key there could be.
            Some(after) if after >= prefix => self.names.to_etcd(&format!("{after}\0")),
            _ => self.names.to_etcd(prefix),
        };
        let limit = i64::try_from(limit).unwrap_or(0);
        let options = GetOptions::new().with_range(end_of(self.names.to_etcd(prefix))).with_limit(limit).with_revision(signed(revision));
        let (mut response, now) = self.range(start, options, revision).await?;
        let more = response.more();
        let items = response.take_kvs().into_iter().map(|kv| self.names.versioned(kv)).collect::<Result<_, _>>()?;
        Ok(Page { items, revision: if revision == 0 { now } else { revision }, more })
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect, ttl: Option<Duration>) -> Result<u64, StorageError> {
        let expected = match expect {
            Expect::Absent => 0,
            Expect::Revision(revision) => revision,
        };
        let mut fresh = false;
        loop {
            let options = match ttl {
                Some(ttl) => Some(PutOptions::new().with_lease(self.leases.get(ttl, fresh).await?)),
                None => None,
            };
            match self.swap(key, expected, TxnOp::put(self.names.to_etcd(key), value.to_vec(), options)).await {
                // A lease that ended early, as after a restored backup.
                Err(StorageError::Unavailable(why)) if ttl.is_some() && !fresh && why.contains("lease not found") => fresh = true,
                done => return done,
            }
        }
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError> {
        self.swap(key, revision, TxnOp::delete(self.names.to_etcd(key), None)).await
    }

    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
        watch::watch(&self.client, self.names.clone(), prefix, revision, self.revisions.newest()).await
    }

    async fn revision(&self) -> Result<u64, StorageError> {
        self.revisions.current().await
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        match call(self.kv().compact(signed(revision), None), revision).await {
            // Another server did it.
            Ok(_) | Err(StorageError::Compacted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Our keys and etcd's: the prefix of the flags stands for `/registry`.
#[derive(Clone, Debug)]
struct Names {
    prefix: String,
}

impl Names {
    fn new(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { ROOT } else { prefix };
        Self { prefix: format!("/{}/", prefix.trim_matches('/')) }
    }

    fn to_etcd(&self, key: &str) -> Vec<u8> {
        format!("{}{}", self.prefix, key.strip_prefix(ROOT).unwrap_or(key)).into_bytes()
    }

    fn key(&self, name: &[u8]) -> Result<String, StorageError> {
        let name = std::str::from_utf8(name).ok().and_then(|n| n.strip_prefix(&self.prefix));
        let name = name.ok_or_else(|| StorageError::Corrupt(format!("etcd has a key under {} that is not text", self.prefix)))?;
        Ok(format!("{ROOT}{name}"))
    }

    fn versioned(&self, kv: KeyValue) -> Result<Versioned, StorageError> {
        let revision = unsigned(kv.mod_revision());
        let (name, value) = kv.into_key_value();
        Ok(Versioned { key: self.key(&name)?, value: value.into(), revision })
    }
}

/// Remembers which etcd cluster it was, so that another one is never taken for it.
#[derive(Debug, Default)]
struct ClusterId(AtomicU64);

impl ClusterId {
    /// Checks who answered; answers the revision.
    fn check(&self, header: Option<&ResponseHeader>) -> Result<u64, StorageError> {
        let header = header.ok_or_else(|| StorageError::Corrupt("etcd answered without a header".into()))?;
        let id = header.cluster_id();
        match self.0.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed) {
            Err(known) if known != id => Err(StorageError::Corrupt(format!(
                "--etcd-servers now leads to another etcd cluster ({id:x} instead of {known:x}); restart this server to accept it"
            ))),
            _ => Ok(unsigned(header.revision())),
        }
    }
}

/// A call with a limit of time. `revision` is the one asked for, to tell which was too old or too new.
async fn call<T>(future: impl Future<Output = Result<T, Error>>, revision: u64) -> Result<T, StorageError> {
    match tokio::time::timeout(CALL, future).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(explain(&error, revision)),
        Err(_) => Err(StorageError::Unavailable(format!("etcd did not answer within {} s", CALL.as_secs()))),
    }
}

fn explain(error: &Error, revision: u64) -> StorageError {
    let Error::GRpcStatus(status) = error else { return StorageError::Unavailable(format!("etcd: {error}")) };
    match status.message() {
        m if m.contains("has been compacted") => StorageError::Compacted { requested: revision, oldest: revision + 1 },
        m if m.contains("future revision") => StorageError::Future { requested: revision, current: 0 },
        m => StorageError::Unavailable(format!("etcd: {m}")),
    }
}

fn tls(config: &EtcdConfig) -> Result<Option<TlsOptions>, EtcdConfigError> {
    let certificate = |path: &Path| read::<CertificateDer<'_>>(path, "certificate");
    let identity = match (&config.cert_file, &config.key_file) {
        (Some(cert), Some(key)) => Some(Identity::from_pem(certificate(cert)?, read::<PrivateKeyDer<'_>>(key, "private key")?)),
        (None, None) => None,
        _ => return Err(EtcdConfigError::HalfIdentity),
    };
    let Some(ca) = &config.ca_file else {
        let https = config.servers.iter().find(|s| s.starts_with("https://"));
        return match (https, &config.cert_file) {
            (Some(server), _) => Err(EtcdConfigError::NoCa(server.clone())),
            (None, Some(_)) => Err(EtcdConfigError::NoCa("--etcd-certfile".into())),
            (None, None) => Ok(None),
        };
    };
    let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(certificate(ca)?));
    Ok(Some(match identity {
        Some(identity) => tls.identity(identity),
        None => tls,
    }))
}

/// A PEM file that holds at least one `T`: the client takes any file and would fail at each connection.
fn read<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<u8>, EtcdConfigError> {
    let text = std::fs::read(path).map_err(|source| EtcdConfigError::File { path: path.to_owned(), source })?;
    T::from_pem_slice(&text).map_err(|_| EtcdConfigError::Pem { path: path.to_owned(), what })?;
    Ok(text)
}

/// The first key behind all that begin with `prefix`, which ends in a slash.
fn end_of(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last = last.saturating_add(1);
    }
    prefix
}

// etcd counts in signed numbers, from 1 upwards.
fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}
