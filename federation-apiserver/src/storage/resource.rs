//! One resource as request handlers use it: get, list, watch, create, update, delete.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use serde_json::Value;

use super::cache::{Cache, Snapshot};
use super::event::WatchEvent;
use super::head::Head;
use super::object::{Object, encode};
use super::sorted::Sorted;
use super::store::{ReadAt, Shared};
use super::token::Token;
use super::watching::{self, WatchOptions};
use super::{Expect, StorageError};

/// What a list or watch selects; called on heads only.
pub type Filter = Arc<dyn Fn(&Head) -> bool + Send + Sync>;

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// How old the answer may be. Of no account when a continue token says it.
    pub at: ReadAt,
    /// Objects at most; 0 for all. As in Kubernetes, `ReadAt::Any` is not paged.
    pub limit: usize,
    /// From the page before.
    pub continue_token: Option<String>,
}

/// A list or a page of it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// In key order.
    pub items: Vec<Arc<Object>>,
    /// `metadata.resourceVersion` of the list.
    pub revision: u64,
    /// `metadata.continue`, when there is more.
    pub continue_token: Option<String>,
    /// `metadata.remainingItemCount`; known only for lists without a filter.
    pub remaining: Option<u64>,
}

/// The stored objects of one resource.
pub struct ResourceStore {
    pub(super) shared: Arc<Shared>,
    pub(super) cache: Arc<Cache>,
    ttl: Option<Duration>,
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
            ReadAt::Latest => self.wait_for(self.shared.backend.revision().await?).await?,
            ReadAt::Exact(revision) => return Ok(self.exactly(revision).await?.get(&key).cloned()),
        };
        self.cache.get(&key)
    }

    /// A list or the next page of one. `filter` looks at heads; nothing is decoded.
    pub async fn list(
        &self,
        ns: Option<&str>,
        options: &ListOptions,
        filter: Option<&(dyn Fn(&Head) -> bool + Sync)>,
    ) -> Result<Listing, StorageError> {
        let namespace = ns.unwrap_or_default();
        let token = options.continue_token.as_deref().filter(|t| !t.is_empty()).map(|t| Token::decode(t, namespace)).transpose()?;
        let at = match &token {
            Some(Token { rv: Some(revision), .. }) => ReadAt::Exact(*revision),
            Some(Token { rv: None, .. }) => ReadAt::Latest,
            None => options.at,
        };
        let Snapshot { items, revision, .. } = self.snapshot(at).await.map_err(|error| match (error, &token) {
            (StorageError::Compacted { .. }, Some(token)) => {
                StorageError::ContinueExpired { token: Token::new(None, &token.after, namespace).encode() }
            }
            (error, _) => error,
        })?;
        let start = token.as_ref().map_or(Bound::Unbounded, |t| Bound::Excluded(t.after.as_str()));
        let prefix = prefix(ns)?;
        let mut matching = items.range(start, &prefix).filter(|o| filter.is_none_or(|f| f(&o.head)));
        let limit = if options.limit == 0 || at == ReadAt::Any { usize::MAX } else { options.limit };
        let page: Vec<Arc<Object>> = matching.by_ref().take(limit).cloned().collect();
        let (mut continue_token, mut remaining) = (None, None);
        if let (Some(last), Some(_)) = (page.last(), matching.next()) {
            continue_token = Some(Token::new(Some(revision), last.head.key(), namespace).encode());
            remaining = filter.is_none().then(|| 1 + matching.count() as u64);
        }
        Ok(Listing { items: page, revision, continue_token, remaining })
    }

    /// Follows changes. The stream ends when its reader is too slow; the client then watches again.
    /// Dropping it ends it.
    pub async fn watch(
        &self,
        ns: Option<&str>,
        options: WatchOptions,
        filter: Option<Filter>,
    ) -> Result<BoxStream<'static, WatchEvent>, StorageError> {
        watching::watch(self, prefix(ns)?, options, filter).await
    }

    /// Stores a new object; [`StorageError::Conflict`] when there is one of its name.
    pub async fn create(&self, ns: Option<&str>, name: &str, value: &Value) -> Result<Arc<Object>, StorageError> {
        self.put(ns, name, value, Expect::Absent).await
    }

    /// Replaces an object that was last written at revision `expected`.
    pub async fn update(&self, ns: Option<&str>, name: &str, value: &Value, expected: u64) -> Result<Arc<Object>, StorageError> {
        self.put(ns, name, value, Expect::Revision(expected)).await
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
        self.settle(revision).await;
        Ok(Arc::new(last.at_revision(revision)))
    }

    async fn put(&self, ns: Option<&str>, name: &str, value: &Value, expect: Expect) -> Result<Arc<Object>, StorageError> {
        let key = key(ns, name)?;
        let bytes = encode(value);
        // Parsed before it is written: what cannot be read back is never stored.
        let object = Object::parse(&key, &bytes, 0, self.cache.selectable)?;
        let revision = self.shared.backend.put(&self.full(&key), bytes, expect, self.ttl).await?;
        self.settle(revision).await;
        Ok(Arc::new(object.at_revision(revision)))
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.cache.prefix)
    }

    /// The object as the backend has it, if it was last written at `expected`.
    async fn read_through(&self, key: &str, expected: u64) -> Result<Arc<Object>, StorageError> {
        match self.shared.backend.get(&self.full(key)).await?.0 {
            Some(current) if current.revision == expected => {
                Object::parse(key, &current.value, current.revision, self.cache.selectable).map(Arc::new)
            }
            current => Err(StorageError::Conflict { current }),
        }
    }

    /// All objects of the resource, as old as allowed.
    pub(super) async fn snapshot(&self, at: ReadAt) -> Result<Snapshot, StorageError> {
        let applied = match at {
            ReadAt::Any => self.wait_for(0).await?,
            ReadAt::NotOlderThan(revision) => self.wait_for(revision).await?,
            ReadAt::Latest => self.wait_for(self.shared.backend.revision().await?).await?,
            ReadAt::Exact(revision) => return Ok(Snapshot { items: self.exactly(revision).await?, revision, sequence: 0 }),
        };
        self.cache.snapshot(applied)
    }

    /// All objects at exactly a revision: from the cache's memory, else from the backend's.
    async fn exactly(&self, revision: u64) -> Result<Sorted, StorageError> {
        self.wait_for(revision).await?;
        if let Some(items) = self.cache.as_of(revision)? {
            return Ok(items);
        }
        let page = self.shared.backend.list(&self.cache.prefix, None, 0, revision).await?;
        let parsed = page.items.iter().map(|stored| self.cache.parse(stored).1.map_err(StorageError::Corrupt));
        Ok(Sorted::from_ordered(&parsed.collect::<Result<Vec<_>, _>>()?))
    }

    /// Waits until the cache has reached a revision; answers how far it is.
    pub(super) async fn wait_for(&self, revision: u64) -> Result<u64, StorageError> {
        let mut progress = self.shared.progress.clone();
        let reached = async {
            let state = progress.wait_for(|p| {
                let loaded = self.cache.loaded();
                (loaded && p.applied >= revision) || (!loaded && p.trouble.is_some())
            });
            let state = state.await.map_err(|_| StorageError::Unavailable("the store is closed".into()))?;
            match &state.trouble {
                Some(trouble) if !self.cache.loaded() => Err(StorageError::Unavailable(trouble.to_string())),
                _ => Ok(state.applied),
            }
        };
        if let Ok(reached) = tokio::time::timeout(self.shared.tuning.wait, reached).await {
            return reached;
        }
        let current = self.shared.progress.borrow().applied;
        match self.cache.loaded() {
            true => Err(StorageError::Future { requested: revision, current }),
            false => Err(StorageError::Unavailable(format!("{} is not loaded yet", self.cache.prefix))),
        }
    }

    /// Lets the cache see a write before it is answered, so that its author reads what he wrote.
    /// The write is done whatever comes of it.
    async fn settle(&self, revision: u64) {
        let mut progress = self.shared.progress.clone();
        let seen = progress.wait_for(|p| (p.applied >= revision && self.cache.loaded()) || p.trouble.is_some());
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
fn prefix(ns: Option<&str>) -> Result<String, StorageError> {
    ns.map_or(Ok(String::new()), |ns| Ok(format!("{}/", part(ns)?)))
}
