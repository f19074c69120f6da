//! The etcd v3 backend, for production and high availability.

mod client;
mod leases;
mod once;
mod revision;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daemon::supervise::Supervisor;
use etcd_client::{Certificate, ConnectOptions, Error, GetOptions, GetResponse, Identity, TlsOptions};
use etcd_endpoints::{Endpoint, Endpoints, Failure, Refusal};
use futures::stream::BoxStream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error as ThisError;

use self::client::{CALL, ClusterId, MESSAGE, Names, REPEATABLE, end_of, explain, kv, signed};
use self::once::{Once, Op};
use self::revision::Revisions;
use super::{Backend, Event, Expect, Page, ROOT, StorageError, Unchanged, Versioned};
use crate::metrics;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a connection is probed; etcd refuses probes more often than every 5 s.
const PROBE: Duration = Duration::from_secs(10);
/// Bytes a part of a list is to have.
const PART: usize = 8 << 20;
/// Values in the first part of the first list, while it is not known how large they are.
const PART_FIRST: usize = 50;
/// Values in a part, at most.
const PART_MOST: usize = 10_000;

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
    /// Largest answer taken, in bytes; `None` is 256 MiB.
    pub largest_answer: Option<usize>,
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
    endpoints: Arc<Endpoints>,
    names: Names,
    cluster: Arc<ClusterId>,
    revisions: Revisions,
    once: Once,
    largest_answer: usize,
    /// How many values the next part of a list ought to have, from the size of those before.
    part: AtomicUsize,
}

impl Etcd {
    /// Prepares the connections; etcd need not be there yet. Must be called within a tokio runtime.
    pub async fn connect(config: &EtcdConfig) -> Result<Self, EtcdConfigError> {
        Self::supervised(config, Supervisor::default()).await
    }

    /// [`Etcd::connect`] with an owner for its tasks.
    pub async fn supervised(config: &EtcdConfig, tasks: Supervisor) -> Result<Self, EtcdConfigError> {
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
        let observer = Arc::new(|url: &str, up: bool| metrics::etcd_endpoint(url, up));
        let endpoints = Endpoints::supervised(&servers, &options, observer, tasks.child()).await;
        let endpoints = endpoints.map_err(|e| EtcdConfigError::Servers(e.into()))?;
        let (endpoints, names, cluster) = (Arc::new(endpoints), Names::new(&config.prefix), Arc::new(ClusterId::default()));
        let revisions = Revisions::start(endpoints.clone(), names.to_etcd(ROOT), cluster.clone(), tasks);
        let once = Once::new(endpoints.clone(), names.clone(), cluster.clone(), servers.len() > 1);
        let largest_answer = config.largest_answer.unwrap_or(MESSAGE);
        Ok(Self { endpoints, names, cluster, revisions, once, largest_answer, part: AtomicUsize::new(PART_FIRST) })
    }

    async fn range(&self, key: Vec<u8>, options: GetOptions) -> Result<GetResponse, Failure> {
        let read = |endpoint: Arc<Endpoint>| {
            let (key, options, largest) = (key.clone(), options.clone(), self.largest_answer);
            async move { kv(&endpoint).max_decoding_message_size(largest).get(key, Some(options)).await }
        };
        self.endpoints.call(REPEATABLE, read).await
    }
}

#[async_trait]
impl Backend for Etcd {
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        let mut response = self.range(self.names.to_etcd(key), GetOptions::new()).await.map_err(|e| explain(e, 0))?;
        let now = self.cluster.check(response.header())?;
        Ok((response.take_kvs().pop().map(|kv| self.names.versioned(kv)).transpose()?, now))
    }

    /// In parts of a few megabytes, all of the first one's revision: what etcd puts into one answer has no bound but
    /// ours, and a list that exceeds it or the time for a call could never be read.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        let (wanted, end) = (if limit == 0 { usize::MAX } else { limit }, end_of(self.names.to_etcd(prefix)));
        let mut start = match after {
            // The next key there could be.
            Some(after) if after >= prefix => self.names.to_etcd(&format!("{after}\0")),
            _ => self.names.to_etcd(prefix),
        };
        let mut page = Page { items: Vec::new(), revision, more: true };
        while page.more && page.items.len() < wanted {
            let part = self.part.load(Ordering::Relaxed).min(wanted - page.items.len());
            let options = GetOptions::new().with_range(end.clone());
            let options = options.with_limit(i64::try_from(part).unwrap_or(i64::MAX)).with_revision(signed(page.revision));
            let mut response = match self.range(start.clone(), options).await {
                Err(failure) if part > 1 && is_too_much(&failure) => {
                    self.part.store(part / 2, Ordering::Relaxed);
                    continue;
                }
                answer => answer.map_err(|e| explain(e, page.revision))?,
            };
            let now = self.cluster.check(response.header())?;
            page.more = response.more();
            if page.revision == 0 {
                page.revision = now;
            }
            let found = response.take_kvs();
            if let Some(last) = found.last() {
                start = [last.key(), b"\0"].concat();
                let bytes: usize = found.iter().map(|kv| kv.key().len() + kv.value().len()).sum();
                self.part.store((found.len() * PART / bytes.max(1)).clamp(1, PART_MOST), Ordering::Relaxed);
            }
            page.items.extend(found.into_iter().map(|kv| self.names.versioned(kv)).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(page)
    }

    async fn put_while(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Unchanged<'_>>,
    ) -> Result<u64, StorageError> {
        let expected = match expect {
            Expect::Absent => 0,
            Expect::Revision(revision) => revision,
        };
        self.once
            .write(key, expected, Op::Put { value, ttl, other: other.map(|other| (self.names.to_etcd(other.key), other.revision)) })
            .await
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError> {
        self.once.write(key, revision, Op::Delete).await
    }

    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
        watch::watch(&self.endpoints, self.names.clone(), prefix, revision, self.revisions.newest()).await
    }

    async fn revision(&self) -> Result<u64, StorageError> {
        self.revisions.current().await
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        let compact = |endpoint: Arc<Endpoint>| async move { kv(&endpoint).compact(signed(revision), None).await };
        match self.endpoints.call(REPEATABLE, compact).await.map_err(|e| explain(e, revision)) {
            // Another server did it.
            Ok(_) | Err(StorageError::Compacted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether a smaller part of a list may be had where this one was not: it was larger than is taken, or took too long.
fn is_too_much(failure: &Failure) -> bool {
    match failure {
        Failure::Unanswered(_) => true,
        Failure::Refused(error) => Refusal::of(error) == Refusal::TooLarge,
        _ => false,
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
