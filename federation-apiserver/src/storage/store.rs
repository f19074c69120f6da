//! The watch cache and the writes that go with it: what request handlers use.
//!
//! One [`Store`] serves the whole process; [`Store::resource`] opens the part of one resource. A
//! single backend watch feeds the caches of all resources (`feed`), so one number says how far all
//! of them are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::supervise::{Supervisor, beating};
use tokio::sync::mpsc;

use super::cache::Cache;
pub use super::event::{EventKind, WatchEvent};
use super::feed;
pub use super::listing::{ListOptions, Listing};
use super::pace::Pace;
pub use super::resource::{Filter, ResourceStore};
use super::shared::{Horizon, Shared};
pub use super::shared::{ReadAt, Tuning};
use super::unready::Unready;
pub use super::watching::{WatchFrom, WatchOptions};
use super::{Backend, StorageError};
use crate::names::Names;

/// The feed shows that it lives every second; when it did not for so long, it hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Everything that is stored.
pub struct Store {
    shared: Arc<Shared>,
    /// Unbounded: what goes in is a resource's cache, once each, and there are some dozens.
    register: mpsc::UnboundedSender<Arc<Cache>>,
    resources: Mutex<Vec<Arc<ResourceStore>>>,
    _tasks: Supervisor,
}

impl Store {
    /// Starts feeding caches from a backend. Must be called within a tokio runtime; never fails:
    /// a backend that is away is tried again until it is there, see [`Store::ready`].
    pub fn open(backend: Arc<dyn Backend>) -> Arc<Self> {
        Self::open_with(backend, Tuning::default())
    }

    /// [`Store::open`] with other times and sizes.
    pub fn open_with(backend: Arc<dyn Backend>, tuning: Tuning) -> Arc<Self> {
        Self::supervised(backend, tuning, Supervisor::default())
    }

    /// [`Store::open_with`] with an owner for its tasks.
    pub fn supervised(backend: Arc<dyn Backend>, tuning: Tuning, tasks: Supervisor) -> Arc<Self> {
        // Unbounded: each resource that is served registers once.
        let (register, registered) = mpsc::unbounded_channel();
        let (horizon, pace) = (Arc::<Horizon>::default(), Arc::<Pace>::default());
        let feeding = feed::run(backend.clone(), registered, pace.clone(), horizon.clone());
        tasks.spawn_beating("storage-feed", HANGS, |heart| async move { beating(feeding, &heart).await });
        let compacted = backend.clone();
        tasks.restart("storage-compaction", move || feed::compact_regularly(compacted.clone(), tuning.history));
        Arc::new(Self { shared: Arc::new(Shared { backend, tuning, pace, horizon }), register, resources: Mutex::default(), _tasks: tasks })
    }

    /// The part of one resource. `prefix` is its key prefix, `/registry/<group>/<resource>/` (without group for
    /// the core group); `selectable` are the dotted paths heads keep; objects vanish after `ttl`.
    /// The same prefix gives the same part again.
    pub fn resource(&self, prefix: &str, selectable: impl Into<Names>, ttl: Option<Duration>) -> Arc<ResourceStore> {
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = resources.iter().find(|r| r.cache.prefix == prefix) {
            return known.clone();
        }
        let cache = Arc::new(Cache::new(prefix, selectable.into(), self.shared.tuning));
        // The feed lives as long as the store, so somebody listens.
        let _ = self.register.send(cache.clone());
        let resource = Arc::new(ResourceStore::new(self.shared.clone(), cache, ttl));
        resources.push(resource.clone());
        resource
    }

    /// Whether the caches follow the backend; else what is wrong, for `/readyz`.
    pub fn ready(&self) -> Result<(), Unready> {
        if let Some(trouble) = self.shared.pace.trouble() {
            return Err(Unready::Trouble(trouble));
        }
        let resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        match resources.iter().find(|r| !r.cache.loaded()) {
            Some(r) => Err(Unready::Loading(r.cache.prefix.clone())),
            None => Ok(()),
        }
    }

    /// Why nothing can be written before a restart, for `/livez`; `None` while all is well or may become so.
    pub fn failure(&self) -> Option<String> {
        self.shared.backend.failure()
    }

    #[cfg(test)]
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    /// The newest revision the caches have reached.
    pub fn revision(&self) -> u64 {
        self.shared.pace.applied()
    }

    /// The backend's newest revision, linearizable.
    pub async fn latest(&self) -> Result<u64, StorageError> {
        self.shared.latest().await
    }
}
