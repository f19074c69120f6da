//! What the parts of a store have in common: how old answers may be, times and sizes, how far the caches are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pace::Pace;
use super::{Backend, StorageError};

/// How old an answer may be: Kubernetes' resourceVersion semantics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadAt {
    /// resourceVersion unset: as new as the backend itself.
    Latest,
    /// resourceVersion `0`: whatever the cache holds.
    Any,
    /// Not older than this revision. Waits for it, 3 s at most.
    NotOlderThan(u64),
    /// Exactly this revision (`resourceVersionMatch: Exact`, and pages after the first).
    Exact(u64),
}

/// Times and sizes of a store; the defaults are right outside tests.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// How long history is kept for watches and exact lists; it is compacted away as often.
    pub history: Duration,
    /// How often a quiet watch that asked for bookmarks gets one.
    pub bookmark: Duration,
    /// How long a read waits for the cache to reach its revision.
    pub wait: Duration,
    /// Changes of a resource that are remembered for watches, at most.
    pub ring: usize,
    /// Bytes of superseded objects that are remembered for watches of one resource, at most.
    pub ring_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            history: Duration::from_secs(5 * 60),
            bookmark: Duration::from_secs(60),
            wait: Duration::from_secs(3),
            ring: 16_384,
            ring_bytes: 8 << 20,
        }
    }
}

/// What all resources use.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) tuning: Tuning,
    pub(super) pace: Arc<Pace>,
    pub(super) horizon: Arc<Horizon>,
}

impl Shared {
    /// The backend's newest revision, linearizable.
    pub(super) async fn latest(&self) -> Result<u64, StorageError> {
        let revision = self.backend.revision().await?;
        self.horizon.reached(revision);
        Ok(revision)
    }
}

/// The newest that anybody here knows of the backend: one that does not know it is not the one it was.
#[derive(Debug, Default)]
pub(super) struct Horizon(Mutex<Known>);

#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) revision: u64,
    /// The newest write: its key and revision.
    pub(super) write: Option<(String, u64)>,
}

impl Horizon {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend told its revision.
    pub(super) fn reached(&self, revision: u64) {
        let mut known = self.known();
        known.revision = known.revision.max(revision);
    }

    /// Something was written.
    pub(super) fn wrote(&self, key: &str, revision: u64) {
        let mut known = self.known();
        known.revision = known.revision.max(revision);
        if known.write.as_ref().is_none_or(|(_, newest)| *newest < revision) {
            known.write = Some((key.to_owned(), revision));
        }
    }
}
