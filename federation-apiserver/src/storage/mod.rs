//! etcd's model, twice: a [`Backend`] is a flat, revisioned key space with watches;
//! [`store::Store`] puts a watch cache of shared bytes over it.
//!
//! Keys are `/registry/<group>/<resource>/<namespace>/<name>` (no group part for the core group, no
//! namespace part for cluster-scoped resources). Values are canonical JSON without
//! `metadata.resourceVersion`; the revision of the last write is the resourceVersion.

mod answers;
mod cache;
pub mod embedded;
pub mod etcd;
pub mod event;
mod feed;
pub mod head;
pub mod listing;
pub mod measured;
mod members;
pub mod object;
mod pace;
mod replay;
pub mod resource;
mod shared;
mod sorted;
pub mod store;
mod token;
mod unready;
mod watching;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use machinery::depth::TooDeep;
use thiserror::Error;

pub use self::unready::Unready;

/// What all keys start with.
pub const ROOT: &str = "/registry/";

/// A value and the revision that wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned {
    /// Full key.
    pub key: String,
    /// The value as stored.
    pub value: Bytes,
    /// Revision of the last write.
    pub revision: u64,
    /// Whether the value is not the one that was written, as far as the backend can tell.
    pub damaged: bool,
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Nothing under the key.
    Absent,
    /// The value written at this revision.
    Revision(u64),
}

/// A key that has to be as it was, for a write of another one to be done.
#[derive(Clone, Copy, Debug)]
pub struct Unchanged<'a> {
    /// Full key.
    pub key: &'a str,
    /// Revision of its last write.
    pub revision: u64,
}

/// One page of a key range.
#[derive(Clone, Debug)]
pub struct Page {
    /// In key order.
    pub items: Vec<Versioned>,
    /// Revision the page was read at.
    pub revision: u64,
    /// Whether keys remain after the last item.
    pub more: bool,
}

/// A change, or the news that there was none up to a revision.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A key was written.
    Put {
        /// The new state.
        new: Versioned,
        /// The value before; `None` when the key is new.
        old: Option<Bytes>,
    },
    /// A key was deleted.
    Delete {
        /// Full key.
        key: String,
        /// The last value.
        old: Bytes,
        /// Revision of the deletion.
        revision: u64,
    },
    /// Every change up to and including this revision has been delivered.
    Progress(u64),
}

impl Event {
    /// The revision of the change, or the one reached.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Put { new, .. } => new.revision,
            Self::Delete { revision, .. } | Self::Progress(revision) => *revision,
        }
    }
}

/// What can go wrong in storage.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The expectation of a write did not hold; read again and decide anew.
    #[error("the key is not as expected")]
    Conflict {
        /// What is there now, where the backend says so; `None` when the key is absent.
        current: Option<Versioned>,
    },
    /// What a write depends on besides its own key was written or deleted meanwhile; read that again and decide anew.
    #[error("what the object depends on has changed meanwhile")]
    Changed,
    /// The revision has been compacted; list again. Answered as 410 Expired.
    #[error("revision {requested} has been compacted, the oldest is {oldest}")]
    Compacted {
        /// Revision asked for.
        requested: u64,
        /// Oldest revision there is.
        oldest: u64,
    },
    /// The revision lies in the future.
    #[error("revision {requested} is newer than the current {current}")]
    Future {
        /// Revision asked for.
        requested: u64,
        /// Current revision.
        current: u64,
    },
    /// The revision of a continue token has been compacted. Answered as 410 Expired with `token` as
    /// `metadata.continue` of the Status: with it the list goes on at the newest state.
    #[error("the list can no longer be continued consistently; start again, or go on with the continue token given here")]
    ContinueExpired {
        /// Continues at the newest state.
        token: String,
    },
    /// A continue token nobody gave out. Answered as 400.
    #[error("the continue token is not valid: {0}")]
    BadContinue(String),
    /// A name or namespace that cannot be part of a key. Answered as 400.
    #[error("{0:?} cannot be a name or namespace")]
    BadName(String),
    /// Nested deeper than can be read back everywhere. Answered as 400.
    #[error("the object cannot be stored: {0}")]
    TooDeep(#[from] TooDeep),
    /// The backend cannot be reached; passing. Answered as 503.
    #[error("storage is not available: {0}")]
    Unavailable(String),
    /// A write was sent and not answered: it may have been done or not. Answered as 504; who asked reads before he
    /// tries again.
    #[error("it is not known whether the change was stored, read the object before trying again: {0}")]
    Unanswered(String),
    /// The backend takes no value as large as this. Answered as 413.
    #[error("the object is too large to be stored: {0}")]
    TooLarge(String),
    /// The backend holds something it should not, such as an object that cannot be read back. Needs a person. Answered
    /// as 500.
    #[error("storage is corrupt: {0}")]
    Corrupt(String),
}

/// A revisioned key space with one global revision, as etcd v3 has it.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// One key, linearizable; also the current revision.
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError>;

    /// Keys that start with `prefix` and are greater than `after`, at most `limit` (0: all).
    /// `revision` 0 reads the newest, linearizable; otherwise exactly that revision.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError>;

    /// Writes when the expectation holds; answers the new revision once it is durable.
    /// `ttl` makes the key vanish by itself (events).
    async fn put(&self, key: &str, value: Bytes, expect: Expect, ttl: Option<Duration>) -> Result<u64, StorageError> {
        self.put_while(key, value, expect, ttl, None).await
    }

    /// [`Backend::put`] that is done only while another key is as it was: in one step, so that nothing comes between.
    /// [`StorageError::Changed`] when it is not.
    async fn put_while(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Unchanged<'_>>,
    ) -> Result<u64, StorageError>;

    /// Deletes when the key was last written at `revision`; answers the revision of the deletion.
    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError>;

    /// Changes under `prefix` after `revision` (exclusive), in order, without end. When all changes of
    /// a revision have been told, an [`Event::Progress`] or a later change follows at once, for one
    /// revision may change many keys and is of use only as a whole. The stream ends
    /// with an error when the revision has been compacted or the backend is lost.
    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError>;

    /// The current revision, linearizable. Cheap; concurrent callers may share one round trip.
    async fn revision(&self) -> Result<u64, StorageError>;

    /// Forgets history before `revision`.
    async fn compact(&self, revision: u64) -> Result<(), StorageError>;

    /// Why nothing can be written before this process is restarted; `None` for whatever may pass by itself.
    fn failure(&self) -> Option<String> {
        None
    }
}
