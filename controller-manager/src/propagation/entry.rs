//! What is kept of each federated object.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use federation_api::{keys, record::State};
use kube::api::DynamicObject;
use tokio::time::Instant;

use super::{
    copies::{Copies, Copy},
    decide::{Action, Want, decide},
    desired::{Split, body, member_object},
    object::Object,
    per_cluster::{ClusterName, PerCluster},
    record::Record,
};
use crate::compact::{Digest, Uid, Version};
pub(crate) use crate::kinds::Key;
use crate::kinds::{Family, Kind, ObjectKey};
use crate::observed::Seen;

/// All that is known under one name.
#[derive(Default)]
pub(crate) struct Entry {
    /// The federated object, while it exists.
    pub(crate) live: Option<Box<Tracked>>,
    /// Objects that had the name before and left something in a member.
    pub(crate) tombstones: Vec<Tracked>,
    /// What members show of ours under the name.
    pub(crate) seen: PerCluster<Seen>,
    /// It waits to be looked at.
    pub(crate) queued: bool,
}

/// One federated object, existing or gone, and its copies.
pub(crate) struct Tracked {
    pub(crate) uid: Uid,
    /// The object as last seen; absent once it is gone.
    pub(crate) object: Option<Object>,
    /// By cluster.
    pub(crate) copies: Copies,
    /// Bodies made from the object as it is.
    bodies: Vec<Body>,
    /// A write to the federated object that is under way.
    pub(crate) writing: Option<super::intake::Write>,
    /// Failures in a row of writes to the federated object.
    pub(crate) failures: u32,
    /// A record of it is stored.
    pub(crate) recorded: bool,
    /// It had a copy once.
    pub(crate) placed: bool,
    /// Its deletion was let through, with that of its copies.
    pub(crate) released: bool,
    /// Its deletion was carried out once, and a member has it again.
    pub(crate) restored: bool,
    /// A status write is planned.
    pub(crate) status_due: bool,
    /// When a finished Job is to be deleted, or an autoscaler is looked at again, and when the look that is planned for it
    /// comes.
    pub(crate) alarm: Option<(jiff::Timestamp, Instant)>,
    /// Only the time of day says that a finished Job is to be deleted: the brakes of its clusters have a say.
    pub(crate) overdue: bool,
    /// How it was divided last.
    pub(crate) divided: BTreeMap<String, Split>,
    /// The last complaint about its annotations, so that each is told once.
    pub(crate) complaint: String,
}

/// What a split of the object comes to.
pub(crate) struct Body {
    split: Option<Split>,
    digest: Digest,
    /// What is sent to members, as long as one of them does not have it.
    bytes: Option<Bytes>,
}

/// The wait after so many failures in a row, spread so that the objects of a member that fails do not come back together.
pub(crate) fn backoff(failures: u32) -> Duration {
    crate::backoff::JOB.spread(failures.saturating_sub(1))
}

impl Tracked {
    pub(crate) fn new(uid: Uid) -> Self {
        Self {
            uid,
            object: None,
            copies: Copies::default(),
            bodies: Vec::new(),
            writing: None,
            failures: 0,
            recorded: false,
            placed: false,
            released: false,
            restored: false,
            status_due: false,
            alarm: None,
            overdue: false,
            divided: BTreeMap::new(),
            complaint: String::new(),
        }
    }

    /// An object that is gone, of which a record is stored.
    pub(crate) fn gone(uid: Uid) -> Self {
        Self { recorded: true, placed: true, ..Self::new(uid) }
    }

    /// The record to store; nothing when no cluster has anything.
    pub(crate) fn record(&self, key: &Key) -> Option<Record> {
        (!self.copies.is_empty()).then(|| Record { key: key.clone(), clusters: self.copies.placed(), deleted: None })
    }

    /// The object, if it exists.
    pub(crate) fn tree(&self) -> Option<Arc<DynamicObject>> {
        self.object.as_ref().map(Object::tree)
    }

    /// Whether the object has those of our finalizers that it needs.
    pub(crate) fn is_finalized(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.is_finalized())
    }

    /// resourceVersion of the object as last seen.
    pub(crate) fn version(&self) -> Option<Version> {
        self.object.as_ref().map(|object| object.version().clone())
    }

    pub(crate) fn has_finalizer(&self, finalizer: &str) -> bool {
        self.object.as_ref().is_some_and(|object| object.has_finalizer(finalizer))
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.object.as_ref().is_some_and(Object::is_deleting)
    }

    /// Digest of what a split of the object comes to in a member.
    pub(crate) fn digest(&mut self, key: &ObjectKey, object: &DynamicObject, federation: &str, split: Option<Split>) -> Digest {
        if let Some(known) = self.bodies.iter().find(|body| body.split == split) {
            return known.digest;
        }
        let (digest, bytes) = body(member_object(key, object, federation, split));
        if self.bodies.capacity() == self.bodies.len() {
            self.bodies.reserve_exact(1);
        }
        self.bodies.push(Body { split, digest, bytes: Some(bytes) });
        digest
    }

    /// What is sent to a member for a split.
    pub(crate) fn body(&mut self, key: &ObjectKey, object: &DynamicObject, federation: &str, split: Option<Split>) -> Bytes {
        let make = || body(member_object(key, object, federation, split)).1;
        match self.bodies.iter_mut().find(|body| body.split == split) {
            Some(known) => known.bytes.get_or_insert_with(make).clone(),
            None => make(),
        }
    }

    /// The object changed: what it came to in members is no more.
    pub(crate) fn forget_bodies(&mut self) {
        self.bodies = Vec::new();
    }

    /// It is going to be decided about.
    pub(crate) fn unfold(&mut self) {
        self.object.iter_mut().for_each(Object::unfold);
    }

    /// It was decided about: what takes memory is kept only as long as it will be needed soon.
    pub(crate) fn rest(&mut self) {
        if let Some(object) = &mut self.object {
            object.fold();
        }
        if self.copies.values().all(|copy| copy.record.applied == copy.record.desired) {
            self.bodies.iter_mut().for_each(|body| body.bytes = None);
        }
    }
}

/// Existing objects of the same name in members are taken over.
pub(crate) fn adopts(object: &DynamicObject) -> bool {
    object.metadata.annotations.as_ref().and_then(|a| a.get(keys::CONFLICT)).is_some_and(|value| value == "adopt")
}

impl Entry {
    /// Whether nothing is known under the name.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_wanted() && self.seen.is_empty()
    }

    /// Whether there is an object of the name, or one was there and is not done with.
    pub(crate) fn is_wanted(&self) -> bool {
        self.live.is_some() || !self.tombstones.is_empty()
    }

    /// The object of this uid, whether it exists or is gone.
    pub(crate) fn tracked(&mut self, uid: &Uid) -> Option<&mut Tracked> {
        self.live.as_deref_mut().into_iter().chain(&mut self.tombstones).find(|tracked| tracked.uid == *uid)
    }

    /// The copies in a cluster of all objects that have or had the name.
    pub(crate) fn copies_in(&mut self, cluster: &str) -> impl Iterator<Item = &mut Copy> {
        self.live.as_deref_mut().into_iter().chain(&mut self.tombstones).filter_map(move |tracked| tracked.copies.get_mut(cluster))
    }

    /// Takes note of what a cluster shows, unless something newer is known of it.
    pub(crate) fn observe(&mut self, cluster: &ClusterName, seen: Seen) {
        let newer = self.seen.get(cluster).is_some_and(|known| known.uid == seen.uid && version(known) > version(&seen));
        if !newer {
            self.seen.insert(cluster, seen);
        }
    }

    /// Takes note that an object is gone from a cluster, unless another one has the name by now.
    pub(crate) fn observe_gone(&mut self, cluster: &str, uid: Option<&Uid>) {
        if self.seen.get(cluster).is_some_and(|known| uid.is_none_or(|uid| known.uid == *uid)) {
            self.seen.remove(cluster);
        }
    }

    /// Whether a look at the object would change nothing in a cluster, as long as it is divided as before.
    pub(crate) fn is_settled(&self, cluster: &str) -> bool {
        let seen = self.seen.get(cluster);
        let settled = |live: &Tracked, copy: &Copy| {
            let record = &copy.record;
            !copy.busy
                && !copy.surveying
                && record.state == State::Applied
                && record.applied == record.desired
                && decide(Want::Present(record.desired), record, seen, &live.uid) == Action::Nothing
        };
        let live = |live: &Tracked| !live.is_deleting() && live.copies.get(cluster).map_or(seen.is_none(), |copy| settled(live, copy));
        self.tombstones.is_empty() && self.live.as_deref().is_none_or(live)
    }

    /// Whether what a cluster just said of an object is of no consequence: there it is as it should be, and of a kind that is
    /// the same in each cluster that says nothing about the others.
    fn is_of_no_consequence(&self, kind: &Kind, cluster: &str) -> bool {
        let waits = |live: &Tracked| live.copies.get(cluster).is_some_and(|copy| copy.not_before.is_some());
        kind.family == Family::Plain
            && !kind.reports()
            && !self.seen.get(cluster).is_none_or(|seen| seen.deleting)
            && self.live.as_deref().is_some_and(|live| !waits(live))
            && self.is_settled(cluster)
    }

    /// After news from a cluster: whether the object has to be looked at. A look decides about all clusters, and of an object in
    /// twenty of them there are forty pieces of news before it is quiet.
    pub(crate) fn is_due(&mut self, kind: &Kind, cluster: &str) -> bool {
        let due = !self.is_of_no_consequence(kind, cluster);
        if let Some(live) = self.live.as_deref_mut().filter(|_| !due) {
            live.rest();
        }
        due
    }
}

/// The version as a number. Versions are compared only where they are numbers, as all API servers make them.
pub(super) fn version(seen: &Seen) -> Option<u64> {
    seen.resource_version.number()
}
