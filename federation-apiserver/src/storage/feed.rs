//! Keeps the caches of all resources up to the backend: one list each, then one watch for all.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, watch};

use super::cache::Cache;
use super::{Backend, Event, ROOT, StorageError};

/// How far the caches are.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Every change up to here is in the caches.
    pub(super) applied: u64,
    /// Why they do not follow the backend at the moment.
    pub(super) trouble: Option<Arc<str>>,
}

/// Objects read at once while loading.
const PAGE: usize = 500;
/// Events applied at once.
const BATCH: usize = 256;
/// Pause after the first failure, doubled after each further one.
const BACKOFF: Duration = Duration::from_millis(50);
/// Longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Feeds caches until it is dropped.
pub(super) async fn run(backend: Arc<dyn Backend>, registered: mpsc::UnboundedReceiver<Arc<Cache>>, progress: watch::Sender<Progress>) {
    let mut feed = Feed { backend, registered, progress, caches: Vec::new() };
    let (mut pause, mut relist) = (BACKOFF, false);
    loop {
        let before = feed.applied();
        let Err(error) = feed.follow(relist).await else { return };
        relist = matches!(error, StorageError::Compacted { .. });
        let trouble: Arc<str> = error.to_string().into();
        // Told once; while it lasts, readiness tells it.
        if feed.progress.borrow().trouble.as_ref() != Some(&trouble) {
            tracing::warn!(%error, "the caches lost the storage backend; trying again");
        }
        feed.progress.send_modify(|p| p.trouble = Some(trouble));
        pause = if feed.applied() > before { BACKOFF } else { (pause * 2).min(BACKOFF_MAX) };
        tokio::time::sleep(pause).await;
    }
}

struct Feed {
    backend: Arc<dyn Backend>,
    registered: mpsc::UnboundedReceiver<Arc<Cache>>,
    progress: watch::Sender<Progress>,
    /// Sorted by prefix.
    caches: Vec<Arc<Cache>>,
}

impl Feed {
    fn applied(&self) -> u64 {
        self.progress.borrow().applied
    }

    /// Brings all caches to the backend's state and follows it; comes back with an error when it
    /// loses it, and with `Ok` when the store is gone.
    async fn follow(&mut self, relist: bool) -> Result<(), StorageError> {
        while let Ok(cache) = self.registered.try_recv() {
            self.add(cache);
        }
        let (now, applied) = (self.backend.revision().await?, self.applied());
        if now < applied {
            return Err(StorageError::Corrupt(format!(
                "the backend went back from revision {applied} to {now}, as after a restored backup; restart this server to accept its state"
            )));
        }
        let start = if applied == 0 || relist { now } else { applied };
        for cache in &self.caches {
            if relist || !cache.loaded() {
                load(&*self.backend, cache, start).await?;
            }
        }
        let mut events = self.backend.watch(ROOT, start).await?.ready_chunks(BATCH);
        self.progress.send_modify(|p| (p.applied, p.trouble) = (start, None));
        loop {
            tokio::select! {
                cache = self.registered.recv() => {
                    let Some(cache) = cache else { return Ok(()) };
                    self.add(cache.clone());
                    load(&*self.backend, &cache, self.applied()).await?;
                    self.progress.send_modify(|_| ());
                }
                batch = events.next() => {
                    let batch = batch.ok_or_else(|| StorageError::Unavailable("the watch ended".into()))?;
                    self.apply(batch)?;
                }
            }
        }
    }

    fn add(&mut self, cache: Arc<Cache>) {
        let at = self.caches.partition_point(|c| c.prefix < cache.prefix);
        self.caches.insert(at, cache);
    }

    fn apply(&self, batch: Vec<Result<Event, StorageError>>) -> Result<(), StorageError> {
        let (mut applied, mut failed) = (self.applied(), None);
        let mut of: Vec<Vec<Event>> = vec![Vec::new(); self.caches.len()];
        for event in batch {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            let (key, revision) = match &event {
                Event::Put { new, .. } => (new.key.as_str(), new.revision),
                Event::Delete { key, revision, .. } => (key.as_str(), *revision),
                Event::Progress(revision) => ("", *revision),
            };
            applied = applied.max(revision);
            let at = self.caches.partition_point(|c| c.prefix.as_str() <= key);
            if let Some(at) = at.checked_sub(1).filter(|at| key.starts_with(&self.caches[*at].prefix)) {
                of[at].push(event);
            }
        }
        for (cache, events) in self.caches.iter().zip(of) {
            if !events.is_empty() {
                cache.apply(events);
            }
        }
        self.progress.send_if_modified(|p| std::mem::replace(&mut p.applied, applied) != applied);
        failed.map_or(Ok(()), Err)
    }
}

/// Reads all of a resource at `revision`, page by page.
async fn load(backend: &dyn Backend, cache: &Cache, revision: u64) -> Result<(), StorageError> {
    let mut listed = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = backend.list(&cache.prefix, after.as_deref(), PAGE, revision).await?;
        listed.extend(page.items.iter().map(|stored| cache.parse(stored)));
        after = page.items.last().map(|stored| stored.key.clone());
        if !page.more || after.is_none() {
            break;
        }
    }
    cache.load(listed, revision);
    Ok(())
}

/// Forgets history that is older than `every` (up to twice as old), as often.
pub(super) async fn compact_regularly(backend: Arc<dyn Backend>, every: Duration) {
    let mut due = None;
    loop {
        tokio::time::sleep(every).await;
        if let Some(revision) = due.take()
            && let Err(error) = backend.compact(revision).await
        {
            tracing::warn!(%error, revision, "history could not be compacted; trying again later");
        }
        due = backend.revision().await.ok();
    }
}
