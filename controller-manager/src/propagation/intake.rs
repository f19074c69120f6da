//! Everything that can happen to the propagation controller, as messages into its one mailbox.

use std::{sync::Arc, time::Duration};

use kube::api::DynamicObject;
use tokio::sync::mpsc;

use super::record::Record;
use crate::{
    compact::Uid,
    follow::{Head, Listing},
    kinds::{KindId, ObjectKey},
    members::news::News,
};

/// One thing that happened.
pub(crate) enum Intake {
    /// All objects of a kind in the federation.
    FederatedList { kind: KindId, listing: Listing<DynamicObject> },
    /// A federated object was made or changed.
    Federated { kind: KindId, object: Box<DynamicObject> },
    /// A federated object is gone.
    FederatedGone { kind: KindId, head: Head, object: Option<Box<DynamicObject>> },
    /// A federated kind can neither be listed nor watched; with the reason.
    FederatedFailing { kind: KindId, reason: String },
    /// A federated kind can be watched again.
    FederatedWatching { kind: KindId },
    /// All records, read once at the start, by the uids of their objects.
    Records(Vec<(Uid, Record)>),
    /// Something happened to a member or in one.
    Member(News),
    /// A write to a federated object was answered: the object as it is now, or nothing when it is gone; or why not.
    Written { key: Arc<ObjectKey>, uid: Uid, what: Write, result: Result<Option<Box<DynamicObject>>, WriteError> },
}

impl From<News> for Intake {
    fn from(news: News) -> Self {
        Self::Member(news)
    }
}

/// Why a write to the federation failed.
#[derive(Debug)]
pub(crate) struct WriteError {
    pub(crate) reason: String,
    /// The object changed meanwhile; the watch will bring its new state.
    pub(crate) stale: bool,
    pub(crate) retry_after: Option<Duration>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Write {
    /// Finalizers.
    Finalizers,
    /// Status.
    Status,
    /// Deletion.
    Deletion,
}

/// Where messages go. Unbounded: every sender's rate is bounded by an API server, and the reader does no IO.
#[derive(Clone)]
pub(crate) struct Mailbox(mpsc::UnboundedSender<Intake>);

impl Mailbox {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Intake>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// After the reader ended nobody needs the message.
    pub(crate) fn send(&self, message: impl Into<Intake>) {
        let _ = self.0.send(message.into());
    }
}
