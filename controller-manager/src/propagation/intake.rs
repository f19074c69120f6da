//! Everything that can happen to the propagation controller, as messages into its one mailbox.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::api::DynamicObject;
use tokio::sync::mpsc;

use super::record::Record;
use crate::{
    clusters::rights::Lacks,
    compact::Uid,
    follow::{Head, Listing},
    kinds::{KindId, ObjectKey},
    members::job::{Done, Job},
    observed::Observed,
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
    /// All Clusters were read once.
    ClustersListed(Vec<String>),
    /// A Cluster was joined, or its labels or annotations changed.
    Cluster {
        cluster: String,
        uid: String,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        lane: Option<mpsc::UnboundedSender<Job>>,
        was_ready: bool,
    },
    /// A Cluster left the federation.
    Left { cluster: String },
    /// A member can be reached, in this session; or cannot.
    Session { cluster: String, epoch: Option<u64> },
    /// A lost member was away for longer than the loss delay.
    Lost { cluster: String },
    /// A member said which verbs the federation may not use there, by kind.
    Rights { cluster: String, lacks: Box<Lacks> },
    /// Something was seen in a member.
    Observed { cluster: String, epoch: u64, kind: KindId, observed: Observed },
    /// A job was carried out.
    Done(Done),
    /// A write to a federated object was answered: the object as it is now, or nothing when it is gone; or why not.
    Written { key: Arc<ObjectKey>, uid: Uid, what: Write, result: Result<Option<Box<DynamicObject>>, WriteError> },
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
    pub(crate) fn send(&self, message: Intake) {
        let _ = self.0.send(message);
    }
}
