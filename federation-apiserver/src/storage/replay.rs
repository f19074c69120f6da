//! Changes the ring has forgotten, or never knew because this server started later, from the
//! backend's history: so that clients go on after a restart instead of listing everything again.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::cache::Cache;
use super::event::Change;
use super::object::Object;
use super::shared::Shared;
use super::{Event, StorageError, Versioned};

/// A part of the past.
pub(super) struct Replay {
    events: BoxStream<'static, Result<Event, StorageError>>,
}

/// One step through the past.
pub(super) struct Step {
    pub(super) revision: u64,
    /// All changes up to here are told by the steps before this one.
    pub(super) complete: u64,
    /// What changed, if it matters.
    pub(super) change: Option<Arc<Change>>,
}

impl Step {
    /// There may be more changes of the same revision.
    fn change(revision: u64, change: Option<Arc<Change>>) -> Self {
        Self { revision, complete: revision.saturating_sub(1), change }
    }
}

impl Replay {
    /// Changes of keys with `prefix` after a revision; [`StorageError::Compacted`] when the backend has forgotten them too.
    pub(super) async fn open(shared: &Shared, prefix: &str, after: u64) -> Result<Self, StorageError> {
        let (backend, wait) = (&shared.backend, shared.tuning.wait);
        // Whoever asks for the revision makes quiet watches tell how far they are.
        backend.revision().await?;
        let mut events = backend.watch(prefix, after).await?;
        // etcd tells what it has compacted in place of the first event.
        let first = tokio::time::timeout(wait, events.next()).await;
        match first.ok().flatten() {
            Some(Ok(first)) => Ok(Self { events: stream::once(async { Ok(first) }).chain(events).boxed() }),
            Some(Err(error)) => Err(error),
            None => Err(StorageError::Unavailable("the history could not be read in time".into())),
        }
    }

    /// What comes next; `None` when the history cannot be read any further.
    pub(super) async fn next(&mut self, cache: &Cache) -> Option<Step> {
        let parse = |stored: Versioned| -> Option<Arc<Object>> { cache.parse(&stored).1.ok() };
        let (revision, new, old) = match self.events.next().await?.ok()? {
            Event::Put { new, old } => {
                let old = old.and_then(|value| parse(Versioned { value, damaged: false, ..new.clone() }));
                (new.revision, Some(parse(new)), old)
            }
            Event::Delete { key, old, revision } => (revision, None, parse(Versioned { key, value: old, revision, damaged: false })),
            Event::Progress(revision) => return Some(Step { revision, complete: revision, change: None }),
        };
        let change = match (new, old) {
            // What cannot be read was no event when it happened either.
            (Some(None), _) | (None, None) => None,
            (new, old) => Some(Arc::new(Change::new(revision, new.flatten(), old))),
        };
        Some(Step::change(revision, change))
    }
}
