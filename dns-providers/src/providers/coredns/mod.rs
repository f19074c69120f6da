//! The `coredns` provider: SkyDNS records in etcd v3, answered by CoreDNS's etcd plugin.

mod adopt;
mod config;
mod driver;
mod name;
mod plan;
mod skydns;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Certificate, ConnectOptions, GetOptions, Identity, TlsOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use etcd_endpoints::{Effort, Endpoint, Endpoints, Failure, Repeat};

use crate::{Capabilities, Change, DnsName, Error, Held, MAX_TTL, Marks, Provider, Rejected, Zone, batch};

pub use config::{Config, Tls};
pub(super) use driver::{deploys, open};
pub use name::NAME;
use plan::{MAX_OPS, Present};
use skydns::Record;

/// What the provider can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    together: "128 values",
    guarded: true,
    marks: Marks::Field,
    ttl: 0..=MAX_TTL,
    values: None,
    aliases_out: false,
    remembers: Duration::ZERO,
};

/// How far one request to etcd may go. Transactions are guarded by what was read, and planned anew when the guards do not
/// hold, so they may be sent twice; a member may lose what it passed on to a leader that died.
const REQUEST: Effort = Effort { limit: Duration::from_secs(5), each: Duration::from_secs(2), repeat: Repeat::Freely };
/// Keys fetched at a time: far below gRPC's limit of 4 MiB an answer.
const PAGE: i64 = 2000;
/// How often a batch is planned anew when someone else writes the same keys at the same moment.
const ATTEMPTS: usize = 4;

/// A connection to CoreDNS's etcd for one federation.
pub struct CoreDns {
    endpoints: Endpoints,
    zones: Vec<Zone>,
    at: String,
    owner: String,
}

impl fmt::Debug for CoreDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreDns").field("at", &self.at).field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl CoreDns {
    /// Prepares the connection; etcd itself is first asked when it is needed, so it may be away now.
    ///
    /// # Errors
    /// A certificate file cannot be read, or an endpoint is no URL.
    pub async fn connect(config: Config, owner: &str) -> Result<Self, Error> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(Duration::from_secs(3))
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(5))
            .with_require_leader(true);
        if let Some(tls) = &config.tls {
            let mut with = TlsOptions::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
            if let Some((cert, key)) = &tls.identity {
                with = with.identity(Identity::from_pem(read(cert)?, read(key)?));
            }
            options = options.with_tls(with);
        }
        let endpoints = Endpoints::connect(&config.endpoints, &options, Arc::new(|_, _| ()))
            .await
            .map_err(|e| config::config(format!("etcd-endpoints: {e}"), "write for example http://etcd:2379"))?;
        let zone = |(index, name)| Zone { name, id: index_id(index), about: String::new() };
        let zones = config.zones.into_iter().enumerate().map(zone).collect();
        Ok(CoreDns { endpoints, zones, at: config.endpoints.join(","), owner: owner.to_owned() })
    }

    fn unavailable(&self, failure: Failure) -> Error {
        let message = match failure {
            Failure::Refused(etcd_client::Error::GRpcStatus(status)) => status.message().to_owned(),
            Failure::Refused(other) => other.to_string(),
            Failure::Away(why) | Failure::Unanswered(why) => why,
            other => format!("{other:?}"),
        };
        Error::Unavailable { provider: NAME, at: self.at.clone(), message }
    }

    async fn transact(&self, txn: Txn) -> Result<TxnResponse, Error> {
        let attempt = |endpoint: Arc<Endpoint>| {
            let txn = txn.clone();
            async move { endpoint.client().kv_client().txn(txn).await }
        };
        self.endpoints.call(REQUEST, attempt).await.map_err(|e| self.unavailable(e))
    }

    /// Every record below a directory, page by page, all at the revision of the first page.
    async fn scan(&self, directory: &str) -> Result<BTreeMap<String, Present>, Error> {
        let mut found = BTreeMap::new();
        let (mut from, end) = (directory.as_bytes().to_vec(), prefix_end(directory.as_bytes()));
        let mut revision = 0;
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(revision);
            let read = |endpoint: Arc<Endpoint>| {
                let (from, options) = (from.clone(), options.clone());
                async move { endpoint.client().kv_client().get(from, Some(options)).await }
            };
            let page = self.endpoints.call(REQUEST, read).await.map_err(|e| self.unavailable(e))?;
            if revision == 0 {
                revision = page.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            insert_all(&mut found, page.kvs());
            match page.kvs().last() {
                Some(last) if page.more() => from = [last.key(), &[0]].concat(),
                _ => return Ok(found),
            }
        }
    }

    /// What is there at some names, as of one moment.
    async fn look(&self, names: &[&DnsName]) -> Result<BTreeMap<String, Present>, Error> {
        let get = |name: &&DnsName| TxnOp::get(skydns::directory(name), Some(GetOptions::new().with_prefix()));
        let ops: Vec<TxnOp> = names.iter().map(get).collect();
        let answer = self.transact(Txn::new().and_then(ops)).await?;
        let mut found = BTreeMap::new();
        for response in answer.op_responses() {
            if let TxnOpResponse::Get(got) = response {
                insert_all(&mut found, got.kvs());
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Provider for CoreDns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        Ok(self.zones.clone())
    }

    async fn read(&self, _zone: &Zone, under: &DnsName) -> Result<Vec<Held>, Error> {
        let found = self.scan(&skydns::directory(under)).await?;
        let named = found.iter().filter_map(|(key, present)| Some((skydns::name_of(key)?, present.record.as_ref()?)));
        Ok(skydns::decode(named, &self.owner))
    }

    async fn apply(&self, zone: &Zone, batch: &[Change]) -> Result<Vec<Rejected>, Error> {
        let (by_name, mut rejected) = batch::group(batch, &zone.name, &CAPABILITIES);
        for names in by_name.chunks(MAX_OPS) {
            let mut todo: Vec<&batch::NameChanges<'_>> = names.iter().collect();
            for attempt in 1.. {
                let looked: Vec<&DnsName> = todo.iter().map(|n| n.name).collect();
                let present = self.look(&looked).await?;
                let planned = plan::plan(&todo, &present, &self.owner);
                rejected.extend(planned.rejected);
                let mut again = Vec::new();
                for transaction in planned.transactions {
                    let txn = Txn::new().when(transaction.guards).and_then(transaction.ops);
                    let answer = self.transact(txn).await?;
                    if !answer.succeeded() {
                        again.extend(todo.iter().copied().filter(|n| transaction.names.contains(n.name)));
                    }
                }
                if again.is_empty() {
                    break;
                }
                if attempt == ATTEMPTS {
                    let message = format!("others keep writing the records of {}", again[0].name);
                    return Err(Error::Unavailable { provider: NAME, at: self.at.clone(), message });
                }
                todo = again;
            }
        }
        Ok(rejected)
    }

    async fn adopt(&self, _zone: &Zone, sets: &[Held]) -> Result<Vec<Rejected>, Error> {
        let mut rejected = Vec::new();
        for name in batch::adoptions(sets) {
            let directory = skydns::directory(name.name);
            let read = |endpoint: Arc<Endpoint>| {
                let (from, options) = (directory.clone(), GetOptions::new().with_prefix());
                async move { endpoint.client().kv_client().get(from, Some(options)).await }
            };
            let found = self.endpoints.call(REQUEST, read).await.map_err(|e| self.unavailable(e))?;
            let refused = match adopt::transaction(&name, found.kvs(), &self.owner) {
                Ok(None) => continue,
                Ok(Some(txn)) => match self.transact(txn).await?.succeeded() {
                    true => continue,
                    false => "others wrote it at the same moment".to_owned(),
                },
                Err(reason) => reason,
            };
            rejected.push(Rejected { name: name.name.clone(), reason: refused });
        }
        Ok(rejected)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

fn index_id(index: usize) -> String {
    index.to_string()
}

fn insert_all(into: &mut BTreeMap<String, Present>, kvs: &[etcd_client::KeyValue]) {
    for kv in kvs {
        if let Ok(key) = kv.key_str() {
            let record = serde_json::from_slice::<Record>(kv.value()).ok();
            into.insert(key.to_owned(), Present { record, revision: kv.mod_revision() });
        }
    }
}

/// The first key after every key with this prefix; the prefix ends with a slash, so its last byte has a successor.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
