//! The watch cache and the writes that go with it: what request handlers use.
//!
//! One [`Store`] serves the whole process; [`Store::resource`] opens the part of one resource. A
//! single backend watch feeds the caches of all resources (`feed`), so one number says how far all
//! of them are.

use std::sync::{Arc, Mutex, PoisonError, Weak};
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
    /// Unbounded: what goes in is a resource's cache, once each time it is opened, and there are some dozens.
    register: mpsc::UnboundedSender<Arc<Cache>>,
    /// Those that somebody still uses.
    resources: Mutex<Vec<Weak<ResourceStore>>>,
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
        // Unbounded: each resource registers when it is opened, which the feed keeps up with.
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
    ///
    /// As long as somebody has it, the same prefix gives the same part again, unless something else about it differs: then
    /// it is another part of the same objects, and who has the first goes on with it. A part that nobody has any more is
    /// forgotten with its cache; what is stored stays.
    pub fn resource(&self, prefix: &str, selectable: impl Into<Names>, ttl: Option<Duration>) -> Arc<ResourceStore> {
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        let selectable = selectable.into();
        resources.retain(|known| known.strong_count() > 0);
        let mut there = resources.iter().filter_map(Weak::upgrade);
        if let Some(known) = there.find(|r| r.cache.prefix == prefix && r.cache.selectable == selectable && r.ttl == ttl) {
            return known;
        }
        let cache = Arc::new(Cache::new(prefix, selectable, self.shared.tuning));
        // The feed lives as long as the store, so somebody listens.
        let _ = self.register.send(cache.clone());
        let resource = Arc::new(ResourceStore::new(self.shared.clone(), cache, ttl));
        resources.push(Arc::downgrade(&resource));
        resource
    }

    /// Whether the caches follow the backend; else what is wrong, for `/readyz`.
    pub fn ready(&self) -> Result<(), Unready> {
        if let Some(trouble) = self.shared.pace.trouble() {
            return Err(Unready::Trouble(trouble));
        }
        let resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        match resources.iter().filter_map(Weak::upgrade).find(|r| !r.cache.loaded()) {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::embedded::Embedded;
    use super::*;

    const MAPS: &str = "/registry/maps";

    fn map(name: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"metal": "gold"}})
    }

    #[tokio::test]
    async fn issue8_a_resource_that_nobody_uses_is_forgotten_and_there_again_when_somebody_does() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let others = store.resource("/registry/others", &[], None);
        let maps = store.resource(MAPS, &[], None);
        assert!(Arc::ptr_eq(&maps, &store.resource(MAPS, &[], None)));
        maps.create(None, "a", &map("a")).await.unwrap();
        let cache = Arc::downgrade(&maps.cache);
        drop(maps);
        let forgotten = async {
            for n in 0.. {
                // What happens to others is enough.
                others.create(None, &format!("b{n}"), &map("b")).await.unwrap();
                if cache.strong_count() == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), forgotten).await.unwrap();
        let again = store.resource(MAPS, &[], None);
        assert_eq!(again.get(None, "a", ReadAt::Latest).await.unwrap().unwrap().value().unwrap()["spec"]["metal"], "gold");
    }

    #[tokio::test]
    async fn issue8_a_resource_is_opened_as_it_is_asked_for_while_others_have_it_otherwise() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let before = store.resource(MAPS, &[], None);
        before.create(None, "a", &map("a")).await.unwrap();
        let after = store.resource(MAPS, &["spec.metal"], Some(Duration::from_secs(60)));
        assert_eq!(after.get(None, "a", ReadAt::Latest).await.unwrap().unwrap().head.field(0), "gold");
        after.create(None, "b", &map("b")).await.unwrap();
        for part in [&before, &after] {
            for name in ["a", "b"] {
                assert!(part.get(None, name, ReadAt::Latest).await.unwrap().is_some(), "{name}: each follows all changes");
            }
        }
    }
}
