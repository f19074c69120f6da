//! Lists of one resource: of now from the cache, of the past from the cache or the backend's history.

use std::ops::Bound;
use std::sync::Arc;

use super::StorageError;
use super::cache::Snapshot;
use super::head::Head;
use super::object::Object;
use super::resource::{ResourceStore, prefix};
use super::shared::ReadAt;
use super::sorted::Sorted;
use super::token::Token;

/// Objects a filtered list of the past reads at least at once, for few may match.
const CHUNK: usize = 500;

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

/// A page as one snapshot gives it.
#[derive(Default)]
struct Page {
    items: Vec<Arc<Object>>,
    revision: u64,
    more: bool,
    remaining: Option<u64>,
}

/// What a page is made of.
struct Wanted<'a> {
    prefix: String,
    /// Key of the last object of the page before.
    after: Option<&'a str>,
    limit: usize,
    filter: Option<&'a (dyn Fn(&Head) -> bool + Sync)>,
}

impl Wanted<'_> {
    fn matches(&self, object: &Object) -> bool {
        self.filter.is_none_or(|f| f(&object.head))
    }

    /// The page of a snapshot.
    fn of(&self, Snapshot { items, revision, .. }: &Snapshot) -> Page {
        let start = self.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut matching = items.range(start, &self.prefix).filter(|o| self.matches(o));
        let page = matching.by_ref().take(self.limit).cloned().collect();
        let more = matching.next().is_some();
        let remaining = (more && self.filter.is_none()).then(|| 1 + matching.count() as u64);
        Page { items: page, revision: *revision, more, remaining }
    }
}

impl ResourceStore {
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
        let limit = if options.limit == 0 || at == ReadAt::Any { usize::MAX } else { options.limit };
        let wanted = Wanted { prefix: prefix(ns)?, after: token.as_ref().map(|t| t.after.as_str()), limit, filter };
        let page = self.page(at, &wanted).await.map_err(|error| match (error, &token) {
            (StorageError::Compacted { .. }, Some(token)) => {
                StorageError::ContinueExpired { token: Token::new(None, &token.after, namespace).encode() }
            }
            (error, _) => error,
        })?;
        let Page { items, revision, more, remaining } = page;
        let last = items.last().filter(|_| more);
        let continue_token = last.map(|last| Token::new(Some(revision), last.head.key(), namespace).encode());
        Ok(Listing { items, revision, continue_token, remaining })
    }

    async fn page(&self, at: ReadAt, wanted: &Wanted<'_>) -> Result<Page, StorageError> {
        let ReadAt::Exact(revision) = at else { return Ok(wanted.of(&self.snapshot(at).await?)) };
        match self.remembered(revision).await? {
            Some(items) => Ok(wanted.of(&Snapshot { items, revision, sequence: 0 })),
            None => self.old_page(revision, wanted).await,
        }
    }

    /// All objects of the resource, as old as allowed; an exact revision is the oldest here.
    pub(super) async fn snapshot(&self, at: ReadAt) -> Result<Snapshot, StorageError> {
        let applied = match at {
            ReadAt::Any => self.wait_for(0).await?,
            ReadAt::NotOlderThan(revision) | ReadAt::Exact(revision) => self.wait_for(revision).await?,
            ReadAt::Latest => self.wait_for(self.shared.latest().await?).await?,
        };
        Ok(self.cache.snapshot(applied))
    }

    /// One object as it was at a revision.
    pub(super) async fn get_at(&self, key: &str, revision: u64) -> Result<Option<Arc<Object>>, StorageError> {
        // What cannot be read is not among them, and neither is what is not there.
        if let Some(items) = self.remembered(revision).await?.filter(|_| self.cache.get(key).is_ok()) {
            return Ok(items.get(key).cloned());
        }
        // No other key is before it among those it is a prefix of.
        let full = self.full(key);
        let page = self.shared.backend.list(&full, None, 1, revision).await?;
        let found = page.items.iter().find(|stored| stored.key == full);
        found.map(|stored| self.cache.parse(stored).1.map_err(StorageError::Corrupt)).transpose()
    }

    /// All objects at exactly a revision, if the cache still knows.
    async fn remembered(&self, revision: u64) -> Result<Option<Sorted>, StorageError> {
        self.wait_for(revision).await?;
        self.cache.check_origin(revision)?;
        Ok(self.cache.as_of(revision))
    }

    /// A page the cache has forgotten, from the backend's memory: no more is read than it needs.
    async fn old_page(&self, revision: u64, wanted: &Wanted<'_>) -> Result<Page, StorageError> {
        let prefix = self.full(&wanted.prefix);
        let mut after = wanted.after.map(|key| self.full(key));
        let mut page = Page { revision, ..Page::default() };
        loop {
            let chunk = match (wanted.limit, wanted.filter) {
                (usize::MAX, None) => 0,
                (limit, None) => limit,
                (limit, Some(_)) => limit.clamp(CHUNK, 10 * CHUNK),
            };
            let read = self.shared.backend.list(&prefix, after.as_deref(), chunk, revision).await?;
            for stored in &read.items {
                // What cannot be read is left out, as by the cache, which has said so.
                let Ok(object) = self.cache.parse(stored).1 else { continue };
                if wanted.matches(&object) {
                    if page.items.len() == wanted.limit {
                        return Ok(Page { more: true, ..page });
                    }
                    page.items.push(object);
                }
            }
            after = read.items.last().map(|stored| stored.key.clone());
            if !read.more || after.is_none() {
                return Ok(page);
            }
            if page.items.len() == wanted.limit {
                // As in Kubernetes, nothing of what remains may match.
                return Ok(Page { more: true, ..page });
            }
        }
    }
}
