//! Watches: each follows the ring of its resource at its own pace, so nobody waits for a slow one.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::StorageError;
use super::cache::Cache;
use super::event::{Change, WatchEvent};
use super::object::Object;
use super::pace::Pace;
use super::replay::Replay;
use super::resource::{Filter, ResourceStore, prefix};
use super::shared::ReadAt;

/// Where a watch begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchFrom {
    /// resourceVersion unset: the newest state.
    Latest,
    /// resourceVersion `0`: whatever the cache holds.
    Any,
    /// Behind this revision.
    After(u64),
}

/// How a watch behaves.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// Where it begins.
    pub from: WatchFrom,
    /// Whether a quiet watch is told about once a minute how far it is.
    pub bookmarks: bool,
    /// Whether it begins with an ADDED event for each object; `None`: only without a resourceVersion to
    /// go on from. With `Some(true)` and bookmarks, a bookmark marks their end.
    pub send_initial_events: Option<bool>,
}

/// Changes taken from the ring at once.
const BATCH: usize = 64;

struct Watcher {
    cache: Arc<Cache>,
    prefix: String,
    filter: Option<Filter>,
    /// Objects still to be sent as initial events.
    initial: std::vec::IntoIter<Arc<Object>>,
    /// To be sent behind them.
    initial_end: Option<WatchEvent>,
    /// What comes before the ring.
    replay: Option<Replay>,
    /// Revision of the last change from there.
    replayed: u64,
    queue: VecDeque<WatchEvent>,
    /// Next change to look at.
    sequence: u64,
    /// Changes up to here are not to be sent.
    after: u64,
    /// Everything up to here has been looked at.
    seen: u64,
    changed: watch::Receiver<u64>,
    pace: Arc<Pace>,
    bookmarks: Option<Interval>,
    bookmark_due: bool,
}

impl ResourceStore {
    /// Follows changes. The stream ends when its reader is too slow; the client then watches again.
    /// Dropping it ends it.
    pub async fn watch(
        &self,
        ns: Option<&str>,
        options: WatchOptions,
        filter: Option<Filter>,
    ) -> Result<BoxStream<'static, WatchEvent>, StorageError> {
        watch(self, prefix(ns)?, options, filter).await
    }
}

async fn watch(
    resource: &ResourceStore,
    prefix: String,
    options: WatchOptions,
    filter: Option<Filter>,
) -> Result<BoxStream<'static, WatchEvent>, StorageError> {
    let cache = resource.cache.clone();
    let changed = cache.subscribe();
    let initial = options.send_initial_events.unwrap_or(!matches!(options.from, WatchFrom::After(_)));
    let at = match options.from {
        WatchFrom::Latest => ReadAt::Latest,
        WatchFrom::Any => ReadAt::Any,
        WatchFrom::After(revision) => ReadAt::NotOlderThan(revision),
    };
    let (mut objects, mut replay) = (Vec::new(), None);
    let (sequence, after) = match options.from {
        WatchFrom::After(revision) if !initial => {
            let applied = resource.wait_for(0).await?;
            if revision > applied {
                // Nobody was told a revision that is not there yet, unless the backend went back since.
                let current = resource.shared.latest().await?;
                if revision > current {
                    return Err(StorageError::Future { requested: revision, current });
                }
            }
            let position = match cache.position_after(revision) {
                Err(StorageError::Compacted { .. }) => {
                    cache.check_origin(revision)?;
                    replay = Some(Replay::open(&resource.shared, &resource.full(&prefix), revision).await?);
                    0
                }
                position => position?,
            };
            (position, revision)
        }
        _ => {
            let snapshot = resource.snapshot(at).await?;
            if initial {
                let matching = snapshot.items.range(std::ops::Bound::Unbounded, &prefix);
                objects = matching.filter(|o| filter.as_ref().is_none_or(|f| f(&o.head))).cloned().collect();
            }
            (snapshot.sequence, snapshot.revision)
        }
    };
    let marked = options.send_initial_events == Some(true) && options.bookmarks;
    let every = resource.shared.tuning.bookmark;
    let watcher = Watcher {
        cache,
        prefix,
        filter,
        initial: objects.into_iter(),
        initial_end: marked.then(|| WatchEvent::bookmark(after, true)),
        replay,
        replayed: 0,
        queue: VecDeque::new(),
        sequence,
        after,
        seen: after,
        changed,
        pace: resource.shared.pace.clone(),
        bookmarks: options.bookmarks.then(|| {
            let mut interval = interval_at(Instant::now() + every, every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        }),
        bookmark_due: false,
    };
    Ok(stream::unfold(watcher, |mut w| async move { w.next().await.map(|event| (event, w)) }).boxed())
}

impl Watcher {
    async fn next(&mut self) -> Option<WatchEvent> {
        if let Some(object) = self.initial.next() {
            return Some(WatchEvent::initial(object));
        }
        if let Some(end) = self.initial_end.take() {
            return Some(end);
        }
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if let Some(replay) = &mut self.replay {
                let step = replay.next(&self.cache).await?;
                self.seen = self.seen.max(step.complete);
                // Over to the ring between two revisions only; it has this step's change too.
                if self.seen >= self.replayed
                    && let Ok(position) = self.cache.position_after(self.seen)
                {
                    (self.sequence, self.after, self.replay) = (position, self.seen, None);
                    continue;
                }
                self.replayed = step.revision;
                self.queue.extend(step.change.and_then(|change| self.event(&change)));
                continue;
            }
            // Read in this order: what was applied before the ring was found empty has been seen.
            let applied = self.pace.applied();
            self.changed.mark_unchanged();
            if self.fill()? {
                continue;
            }
            self.seen = self.seen.max(applied);
            if std::mem::take(&mut self.bookmark_due) {
                return Some(WatchEvent::bookmark(self.seen, false));
            }
            let tick = async {
                match &mut self.bookmarks {
                    Some(interval) => drop(interval.tick().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = tick => self.bookmark_due = true,
            }
        }
    }

    /// Takes the next changes; `Some(false)` when there are none, `None` when this watch fell behind the ring.
    fn fill(&mut self) -> Option<bool> {
        let changes = self.cache.changes(self.sequence, BATCH)?;
        for change in &changes {
            self.sequence += 1;
            self.seen = self.seen.max(change.revision);
            if change.revision > self.after && change.key().starts_with(&self.prefix) {
                let event = self.event(change);
                self.queue.extend(event);
            }
        }
        Some(!changes.is_empty())
    }

    /// What this watcher is told about a change.
    fn event(&self, change: &Arc<Change>) -> Option<WatchEvent> {
        let kind = match &self.filter {
            Some(filter) => change.seen_through(&**filter),
            None => change.seen_through(&|_| true),
        };
        Some(WatchEvent::change(kind?, change.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::embedded::Embedded;
    use super::super::listing::ListOptions;
    use super::super::store::Store;
    use super::*;

    /// The backend has a history of those versions, but not the one that clients were told.
    #[tokio::test]
    async fn d21_nothing_is_told_of_before_a_restored_backup() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let maps = store.resource("/registry/maps", &[], None);
        let map = |name: &str| serde_json::json!({"metadata": {"name": name}});
        let before = maps.create(None, "a", &map("a")).await.unwrap().revision;
        let restored = maps.create(None, "b", &map("b")).await.unwrap().revision;
        let from = |revision| WatchOptions { from: WatchFrom::After(revision), bookmarks: false, send_initial_events: None };
        maps.cache.reset(Vec::new(), restored);
        let watched = maps.watch(None, from(before), None).await.map(drop);
        assert!(matches!(watched, Err(StorageError::Compacted { requested, oldest }) if (requested, oldest) == (before, restored)));
        let page = ListOptions { at: ReadAt::Exact(before), limit: 1, continue_token: None };
        assert!(matches!(maps.list(None, &page, None).await, Err(StorageError::Compacted { .. })));
        assert!(matches!(maps.get(None, "a", ReadAt::Exact(before)).await, Err(StorageError::Compacted { .. })));
        let later = maps.create(None, "c", &map("c")).await.unwrap().revision;
        let mut stream = maps.watch(None, from(restored), None).await.unwrap();
        assert_eq!(stream.next().await.unwrap().revision(), later);
    }
}
