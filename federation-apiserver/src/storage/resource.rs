//! One resource as request handlers use it: get, create, update, delete; lists are in `listing`, watches in `watching`.

use std::sync::Arc;
use std::time::Duration;

use machinery::depth;
use serde_json::Value;

use super::cache::{Cache, read};
use super::head::Head;
use super::object::{Object, encode};
use super::shared::{ReadAt, Shared};
use super::{Expect, StorageError, Unchanged};

/// What a list or watch selects; called on heads only.
pub type Filter = Arc<dyn Fn(&Head) -> bool + Send + Sync>;

/// The stored objects of one resource.
pub struct ResourceStore {
    pub(super) shared: Arc<Shared>,
    pub(super) cache: Arc<Cache>,
    pub(super) ttl: Option<Duration>,
}

impl ResourceStore {
    pub(super) fn new(shared: Arc<Shared>, cache: Arc<Cache>, ttl: Option<Duration>) -> Self {
        Self { shared, cache, ttl }
    }

    /// One object; `None` when it does not exist.
    pub async fn get(&self, ns: Option<&str>, name: &str, at: ReadAt) -> Result<Option<Arc<Object>>, StorageError> {
        let key = key(ns, name)?;
        match at {
            ReadAt::Any => self.wait_for(0).await?,
            ReadAt::NotOlderThan(revision) => self.wait_for(revision).await?,
            ReadAt::Latest => self.wait_for(self.shared.latest().await?).await?,
            ReadAt::Exact(revision) => return self.get_at(&key, revision).await,
        };
        self.cache.get(&key)
    }

    /// One object as the cache has it now, without waiting for anything; `None` also while nothing is loaded.
    pub fn cached(&self, ns: Option<&str>, name: &str) -> Result<Option<Arc<Object>>, StorageError> {
        self.cache.get(&key(ns, name)?)
    }

    /// For how long the caches have not followed the backend, which may hold something else by now; `None` while they do.
    pub fn lost_for(&self) -> Option<Duration> {
        self.shared.pace.lost_for()
    }

    /// Stores a new object; [`StorageError::Conflict`] when there is one of its name.
    pub async fn create(&self, ns: Option<&str>, name: &str, value: &Value) -> Result<Arc<Object>, StorageError> {
        self.put(ns, name, value, Expect::Absent, None).await
    }

    /// [`ResourceStore::create`] that is done only while an object of another resource is as it was read, in one step:
    /// [`StorageError::Changed`] when that was written or deleted meanwhile.
    pub async fn create_while(
        &self,
        ns: Option<&str>,
        name: &str,
        value: &Value,
        (other, as_read): (&Self, &Object),
    ) -> Result<Arc<Object>, StorageError> {
        let key = other.full(as_read.head.key());
        self.put(ns, name, value, Expect::Absent, Some(Unchanged { key: &key, revision: as_read.revision })).await
    }

    /// Replaces an object that was last written at revision `expected`.
    pub async fn update(&self, ns: Option<&str>, name: &str, value: &Value, expected: u64) -> Result<Arc<Object>, StorageError> {
        self.put(ns, name, value, Expect::Revision(expected), None).await
    }

    /// Deletes an object that was last written at revision `expected`; answers its last state with the
    /// revision of the deletion.
    pub async fn delete(&self, ns: Option<&str>, name: &str, expected: u64) -> Result<Arc<Object>, StorageError> {
        let key = key(ns, name)?;
        let last = match self.cache.get(&key) {
            Ok(Some(object)) if object.revision == expected => object,
            _ => self.read_through(&key, expected).await?,
        };
        let revision = self.shared.backend.delete(&self.full(&key), expected).await?;
        self.shared.horizon.reached(revision);
        self.settle(revision).await;
        Ok(Arc::new(last.at_revision(revision)))
    }

    /// What is stored and cannot be read back: keys (`<namespace>/<name>` or `<name>`) and why.
    pub fn damaged(&self) -> Vec<(String, String)> {
        self.cache.unreadable()
    }

    /// Tells when other objects than before cannot be read back. Watches do not: nothing was deleted.
    pub fn watch_damage(&self) -> tokio::sync::watch::Receiver<usize> {
        self.cache.subscribe_damage()
    }

    /// Deletes what is stored under a name although it cannot be read, and only then: [`StorageError::Conflict`] when
    /// it can be, or is not there.
    pub async fn delete_unreadable(&self, ns: Option<&str>, name: &str) -> Result<(), StorageError> {
        let key = key(ns, name)?;
        let full = self.full(&key);
        match self.shared.backend.get(&full).await?.0 {
            Some(current) if read(&current, &key, &self.cache.selectable).and_then(|object| object.value()).is_err() => {
                let revision = self.shared.backend.delete(&full, current.revision).await?;
                self.settle(revision).await;
                Ok(())
            }
            current => Err(StorageError::Conflict { current }),
        }
    }

    /// Names of the objects of a namespace that cannot be read back; lists leave them out.
    pub fn unreadable(&self, ns: &str) -> Result<Vec<String>, StorageError> {
        let prefix = prefix(Some(ns))?;
        Ok(self.cache.unreadable().into_iter().filter_map(|(key, _)| key.strip_prefix(&prefix).map(str::to_owned)).collect())
    }

    async fn put(
        &self,
        ns: Option<&str>,
        name: &str,
        value: &Value,
        expect: Expect,
        other: Option<Unchanged<'_>>,
    ) -> Result<Arc<Object>, StorageError> {
        let key = key(ns, name)?;
        // The last guard: what cannot be read back is never stored.
        depth::check(value)?;
        let bytes = encode(value);
        let object = Object::parse(&key, &bytes, 0, &self.cache.selectable)?;
        let revision = self.shared.backend.put_while(&self.full(&key), bytes, expect, self.ttl, other).await?;
        self.shared.horizon.wrote(&self.full(&key), revision);
        self.settle(revision).await;
        Ok(Arc::new(object.at_revision(revision)))
    }

    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.cache.prefix)
    }

    /// The object as the backend has it, if it was last written at `expected`.
    async fn read_through(&self, key: &str, expected: u64) -> Result<Arc<Object>, StorageError> {
        match self.shared.backend.get(&self.full(key)).await?.0 {
            Some(current) if current.revision == expected => read(&current, key, &self.cache.selectable).map(Arc::new),
            current => Err(StorageError::Conflict { current }),
        }
    }

    /// Waits until the cache has reached a revision; answers how far it is.
    pub(super) async fn wait_for(&self, revision: u64) -> Result<u64, StorageError> {
        let pace = &self.shared.pace;
        let reached = pace.until(revision, |progress| match (self.cache.loaded(), &progress.trouble) {
            (true, _) => (progress.applied >= revision).then_some(Ok(progress.applied)),
            (false, trouble) => trouble.as_ref().map(|trouble| Err(StorageError::Unavailable(trouble.to_string()))),
        });
        if let Ok(reached) = tokio::time::timeout(self.shared.tuning.wait, reached).await {
            return reached;
        }
        let current = pace.applied();
        match self.cache.loaded() {
            true => Err(StorageError::Future { requested: revision, current }),
            false => Err(StorageError::Unavailable(format!("{} is not loaded yet", self.cache.prefix))),
        }
    }

    /// Lets the cache see a write before it is answered, so that its author reads what he wrote.
    /// The write is done whatever comes of it.
    async fn settle(&self, revision: u64) {
        let seen = self.shared.pace.until(revision, |progress| {
            ((progress.applied >= revision && self.cache.loaded()) || progress.trouble.is_some()).then_some(())
        });
        let _ = tokio::time::timeout(self.shared.tuning.wait, seen).await;
    }
}

fn part(text: &str) -> Result<&str, StorageError> {
    if text.is_empty() || text.contains(['/', '\0']) { Err(StorageError::BadName(text.to_owned())) } else { Ok(text) }
}

fn key(ns: Option<&str>, name: &str) -> Result<String, StorageError> {
    Ok(match ns {
        Some(ns) => format!("{}/{}", part(ns)?, part(name)?),
        None => part(name)?.to_owned(),
    })
}

/// What the keys of a namespace begin with; nothing for all.
pub(super) fn prefix(ns: Option<&str>) -> Result<String, StorageError> {
    ns.map_or(Ok(String::new()), |ns| Ok(format!("{}/", part(ns)?)))
}
