//! Leases for keys that expire, shared by keys written about the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_endpoints::{Endpoint, Endpoints};
use tokio::sync::Mutex;

use super::client::{REPEATABLE, explain};
use crate::storage::StorageError;

/// How long keys share a lease, at most: they live longer than they ought to by so much.
const SHARE: Duration = Duration::from_secs(60);
/// The same as a part of the keys' life.
const SHARE_PART: u32 = 20;
/// Keys on a lease, at most: etcd deletes them all at once.
const KEYS: u32 = 1000;

pub(super) struct Leases {
    endpoints: Arc<Endpoints>,
    /// By seconds to live.
    granted: Mutex<HashMap<u64, Lease>>,
}

struct Lease {
    id: i64,
    since: Instant,
    keys: u32,
}

impl Leases {
    pub(super) fn new(endpoints: Arc<Endpoints>) -> Self {
        Self { endpoints, granted: Mutex::default() }
    }

    /// A lease for a key that is to live for `ttl`; one of its own when `fresh`.
    pub(super) async fn get(&self, ttl: Duration, fresh: bool) -> Result<i64, StorageError> {
        let share = (ttl / SHARE_PART).min(SHARE);
        let seconds = ttl.as_secs().max(1);
        // Held while a lease is granted: those who wait will share it.
        let mut granted = self.granted.lock().await;
        if let Some(lease) = granted.get_mut(&seconds).filter(|l| !fresh && l.keys < KEYS && l.since.elapsed() < share) {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let life = i64::try_from((ttl + share).as_secs().max(1)).unwrap_or(i64::MAX);
        let since = Instant::now();
        // One that is granted twice ends by itself.
        let grant = |endpoint: Arc<Endpoint>| async move { endpoint.client().lease_client().grant(life, None).await };
        let id = self.endpoints.call(REPEATABLE, grant).await.map_err(|e| explain(e, 0))?.id();
        granted.insert(seconds, Lease { id, since, keys: 1 });
        Ok(id)
    }
}
