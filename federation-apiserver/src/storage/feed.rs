//! Keeps the caches of all resources up to the backend: one list each, then one watch for all.

use std::sync::Arc;
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use daemon::supervise::Done;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::cache::Cache;
use super::object::Object;
use super::pace::Pace;
use super::shared::{Horizon, Known};
use super::{Backend, Event, ROOT, StorageError};

/// Objects read at once while loading.
const PAGE: usize = 500;
/// Events applied at once.
const BATCH: usize = 256;
/// Pauses after failures.
const RETRY: Policy = Policy::doubling(Duration::from_millis(100), Duration::from_secs(2));

/// Feeds caches until the store is dropped.
pub(super) async fn run(
    backend: Arc<dyn Backend>,
    registered: mpsc::UnboundedReceiver<Arc<Cache>>,
    pace: Arc<Pace>,
    horizon: Arc<Horizon>,
) -> Done {
    let mut feed = Feed { backend, registered, pace, caches: Vec::new(), pending: Vec::new(), horizon };
    let (mut retry, mut relist) = (Backoff::new(RETRY), false);
    loop {
        let before = feed.applied();
        let Err(error) = feed.follow(relist).await else { return Done };
        relist = matches!(error, StorageError::Compacted { .. });
        let trouble: Arc<str> = error.to_string().into();
        // Told once; while it lasts, readiness tells it.
        if feed.pace.trouble().as_ref() != Some(&trouble) {
            tracing::warn!(%error, "the caches lost the storage backend; trying again");
        }
        feed.pace.turn(|p| p.trouble = Some(trouble));
        if feed.applied() > before {
            retry.succeeded();
        }
        retry.pause().await;
    }
}

struct Feed {
    backend: Arc<dyn Backend>,
    registered: mpsc::UnboundedReceiver<Arc<Cache>>,
    pace: Arc<Pace>,
    /// Sorted by prefix, which several may have.
    caches: Vec<Arc<Cache>>,
    /// Events of a revision of which there may be more: one may change many keys (an expired lease),
    /// and nobody must see a part of it, for who goes on behind that revision would miss the rest.
    pending: Vec<Event>,
    horizon: Arc<Horizon>,
}

impl Feed {
    fn applied(&self) -> u64 {
        self.pace.applied()
    }

    /// Brings all caches to the backend's state and follows it; comes back with an error when it
    /// loses it, and with `Ok` when the store is gone.
    async fn follow(&mut self, relist: bool) -> Result<(), StorageError> {
        while let Ok(cache) = self.registered.try_recv() {
            self.add(cache);
        }
        // In this order: what is written meanwhile is in what the backend tells then.
        let known = self.horizon.known().clone();
        let (now, applied) = (self.backend.revision().await?, self.applied());
        let restored = now < known.revision.max(applied) || !self.knows(&known).await?;
        if restored {
            let known = known.revision.max(applied);
            if self.backend.list(ROOT, None, 1, 0).await?.items.is_empty() {
                return Err(StorageError::Corrupt(format!(
                    "the backend went back from revision {known} to {now} and is empty; restart this server to accept that"
                )));
            }
            tracing::warn!(
                "the backend is not as it was at revision {known}, as after a restored backup: everything is read again from revision \
                 {now}, and clients have to"
            );
        }
        // Told again by the watch opened below.
        self.pending.clear();
        let start = if applied == 0 || relist || restored { now } else { applied };
        for cache in &self.caches {
            if restored {
                cache.reset(read(&*self.backend, cache, start).await?, start);
            } else if relist || !cache.loaded() {
                cache.load(read(&*self.backend, cache, start).await?, applied, start);
            }
        }
        if restored {
            *self.horizon.known() = Known::default();
        }
        let mut events = self.backend.watch(ROOT, start).await?.ready_chunks(BATCH);
        self.pace.turn(|p| (p.applied, p.trouble) = (start, None));
        loop {
            tokio::select! {
                cache = self.registered.recv() => {
                    let Some(cache) = cache else { return Ok(()) };
                    self.add(cache.clone());
                    let applied = self.applied();
                    cache.load(read(&*self.backend, &cache, applied).await?, applied, applied);
                    self.pace.turn(|_| ());
                }
                batch = events.next() => {
                    let batch = batch.ok_or_else(|| StorageError::Unavailable("the watch ended".into()))?;
                    self.apply(batch)?;
                }
            }
        }
    }

    /// Whether the backend has the newest write that is known, or has forgotten it in good order.
    async fn knows(&self, known: &Known) -> Result<bool, StorageError> {
        let Some((key, revision)) = &known.write else { return Ok(true) };
        match self.backend.list(key, None, 1, *revision).await {
            Ok(page) => Ok(page.items.first().is_some_and(|found| found.key == *key && found.revision == *revision)),
            Err(StorageError::Compacted { .. }) => Ok(true),
            Err(StorageError::Future { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, cache: Arc<Cache>) {
        let at = self.caches.partition_point(|c| c.prefix < cache.prefix);
        self.caches.insert(at, cache);
    }

    fn apply(&mut self, batch: Vec<Result<Event, StorageError>>) -> Result<(), StorageError> {
        let (mut applied, mut failed) = (self.applied(), None);
        for event in batch {
            match event {
                Ok(event) => {
                    let whole = if matches!(event, Event::Progress(_)) { event.revision() } else { event.revision().saturating_sub(1) };
                    applied = applied.max(whole);
                    self.pending.push(event);
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // Nobody else has them: the resource is not served any more.
        self.caches.retain(|cache| Arc::strong_count(cache) > 1);
        let incomplete = self.pending.split_off(self.pending.partition_point(|e| e.revision() <= applied));
        let mut of: Vec<Vec<Event>> = vec![Vec::new(); self.caches.len()];
        for event in std::mem::replace(&mut self.pending, incomplete) {
            let key = match &event {
                Event::Put { new, .. } => {
                    self.horizon.wrote(&new.key, new.revision);
                    new.key.as_str()
                }
                Event::Delete { key, .. } => key.as_str(),
                Event::Progress(_) => continue,
            };
            let end = self.caches.partition_point(|c| c.prefix.as_str() <= key);
            let Some(last) = end.checked_sub(1).filter(|at| key.starts_with(&self.caches[*at].prefix)) else { continue };
            let first = self.caches.partition_point(|c| c.prefix < self.caches[last].prefix);
            of[first..last].iter_mut().for_each(|more| more.push(event.clone()));
            of[last].push(event);
        }
        for (cache, events) in self.caches.iter().zip(of) {
            if !events.is_empty() {
                cache.apply(events);
            }
        }
        if applied != self.applied() {
            self.pace.advance(applied);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// What is stored of a resource, by key.
type Listed = Vec<(String, Result<Arc<Object>, String>)>;

/// Reads all of a resource at `revision`, page by page.
async fn read(backend: &dyn Backend, cache: &Cache, revision: u64) -> Result<Listed, StorageError> {
    let mut listed = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = backend.list(&cache.prefix, after.as_deref(), PAGE, revision).await?;
        listed.extend(page.items.iter().map(|stored| cache.parse(stored)));
        after = page.items.last().map(|stored| stored.key.clone());
        if !page.more || after.is_none() {
            return Ok(listed);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::super::embedded::Embedded;
    use super::super::shared::Tuning;
    use super::super::{Expect, Versioned};
    use super::*;

    #[tokio::test]
    async fn a_revision_is_applied_as_a_whole() {
        let backend = Arc::new(Embedded::in_memory());
        for name in ["a", "b"] {
            let value = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
            backend.put(&format!("/registry/maps/{name}"), value.into(), Expect::Absent, None).await.unwrap();
        }
        let cache = Arc::new(Cache::new("/registry/maps/".into(), (&[]).into(), Tuning::default()));
        let pace = Arc::new(Pace::default());
        pace.advance(3);
        cache.load(read(&*backend, &cache, 3).await.unwrap(), 0, 3);
        let (_sender, registered) = mpsc::unbounded_channel();
        let mut feed =
            Feed { backend, registered, pace: pace.clone(), caches: vec![cache.clone()], pending: Vec::new(), horizon: Arc::default() };
        let there = |name| cache.get(name).unwrap().is_some();
        let gone = |name: &str| Ok(Event::Delete { key: format!("/registry/maps/{name}"), old: "{}".into(), revision: 5 });
        feed.apply(vec![Ok(Event::Progress(4)), gone("a")]).unwrap();
        assert_eq!((there("a"), there("b"), pace.applied()), (true, true, 4));
        feed.apply(vec![gone("b")]).unwrap();
        assert_eq!((there("a"), there("b"), pace.applied()), (true, true, 4));
        feed.apply(vec![Ok(Event::Progress(5))]).unwrap();
        assert_eq!((there("a"), there("b"), pace.applied()), (false, false, 5));
        let new =
            |revision| Versioned { key: "/registry/maps/c".into(), value: r#"{"metadata":{"name":"c"}}"#.into(), revision, damaged: false };
        feed.apply(vec![Ok(Event::Put { new: new(6), old: None }), Ok(Event::Put { new: new(7), old: Some(Default::default()) })]).unwrap();
        assert_eq!((cache.get("c").unwrap().map(|o| o.revision), pace.applied()), (Some(6), 6));
    }
}
