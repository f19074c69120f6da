//! What follows from a look at a name, beside what it changes there: a list, which the controller carries out.

use std::{sync::Arc, time::Duration};

use kube::api::DynamicObject;

use super::{damper::Undone, per_cluster::ClusterName, record::Record, timers::Timer};
use crate::compact::Uid;
use crate::{kinds::ObjectKey, members::job::Job};

/// One thing that follows.
pub(super) enum Effect {
    /// The record of the object of this uid changed.
    Record(Uid),
    /// The deletion of the object of this uid was carried out everywhere.
    Deleted(Uid),
    /// Another name is looked at soon, or this one once more.
    Look(ObjectKey),
    /// So is all that is in a namespace.
    LookInside(String),
    /// Something is looked at after so long.
    Later(Duration, Timer),
    /// An Event about the object of this uid.
    Tell { uid: Uid, warning: bool, reason: &'static str, message: String },
    /// A deletion in a cluster waits for its brake.
    AskBrake(ClusterName),
    /// None does any more.
    LeaveBrake(ClusterName),
    /// What was done for the object of this uid in a cluster was undone there.
    Undone { cluster: ClusterName, uid: Uid, undone: Undone },
    /// The lane of a cluster has work.
    Job(ClusterName, Box<Job>),
    /// The object is written in the federation.
    Write(Arc<DynamicObject>, Change),
}

/// What is written into a federated object.
pub(super) enum Change {
    /// These finalizers; after the record was stored, if there is one.
    Finalizers(Vec<String>, Option<Record>),
    /// Its end.
    Deletion,
}
