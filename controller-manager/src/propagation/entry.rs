//! What the controller holds in memory of each federated object and each member.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use federation_api::{keys, record::State};
use kube::api::DynamicObject;
use tokio::{sync::mpsc, time::Instant};

use super::{
    brake::BrakeState,
    compact::{Digest, Uid, Version},
    copies::{Copies, Copy},
    damper::Damper,
    decide::{Action, Want, decide},
    desired::{Split, body, member_object},
    object::Object,
    observed::Seen,
    record::Record,
};
use crate::{
    kinds::{KindId, ObjectKey, PerKind},
    members::job::Job,
};

/// A key that many tables share.
pub(crate) type Key = Arc<ObjectKey>;

/// All that is known under one name.
#[derive(Default)]
pub(crate) struct Entry {
    /// The federated object, while it exists.
    pub(crate) live: Option<Tracked>,
    /// Objects that had the name before and left something in a member.
    pub(crate) graves: Vec<Tracked>,
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
    pub(crate) revenant: bool,
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
            revenant: false,
            status_due: false,
            alarm: None,
            overdue: false,
            divided: BTreeMap::new(),
            complaint: String::new(),
        }
    }

    /// An object that is gone, of which a record is stored.
    pub(crate) fn buried(uid: Uid) -> Self {
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
    /// Whether a look at the object would change nothing in a cluster, as long as it is divided as before.
    pub(crate) fn is_settled(&self, cluster: &str, seen: Option<&Seen>) -> bool {
        let settled = |live: &Tracked, copy: &Copy| {
            let record = &copy.record;
            !copy.busy
                && !copy.surveying
                && record.state == State::Applied
                && record.applied == record.desired
                && decide(Want::Present(record.desired), record, seen, &live.uid) == Action::Nothing
        };
        let live = |live: &Tracked| !live.is_deleting() && live.copies.get(cluster).map_or(seen.is_none(), |copy| settled(live, copy));
        self.graves.is_empty() && self.live.as_ref().is_none_or(live)
    }
}

/// A kind that may not be written in a member.
#[derive(Clone, Debug)]
pub(crate) struct Barred {
    pub(crate) since: Instant,
    /// Verbs that are missing.
    pub(crate) verbs: String,
}

/// A member as the controller sees it.
pub(crate) struct ClusterSide {
    /// uid of the Cluster.
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Consent to deletions that the brake stopped.
    pub(crate) consent: bool,
    /// Unbounded: of each object at most one job and one look at its pods are under way.
    pub(crate) lane: mpsc::UnboundedSender<Job>,
    /// The session, while the member can be reached.
    pub(crate) epoch: Option<u64>,
    /// Replicas there count: ready, or away for less than the loss delay.
    pub(crate) counts: bool,
    /// It was not heard of since the start, or since all members were away: no replicas are divided before this.
    pub(crate) unheard_until: Option<Instant>,
    /// What the member holds of ours.
    pub(crate) seen: HashMap<Key, Seen>,
    /// Kinds listed completely in this session.
    pub(crate) listed: PerKind<bool>,
    /// Kinds listed completely in any session.
    pub(crate) ever_listed: PerKind<bool>,
    /// Version up to which a kind's watch told everything, in this session.
    pub(crate) watched: PerKind<Option<u64>>,
    /// Why a kind cannot be watched.
    pub(crate) failing: PerKind<Option<String>>,
    /// Since when a kind cannot be watched, over all sessions.
    pub(crate) blind: PerKind<Option<Instant>>,
    /// Kinds that may not be written there.
    pub(crate) barred: PerKind<Option<Barred>>,
    /// What is undone there again and again.
    pub(crate) damper: Damper<Key>,
    pub(crate) brake: BrakeState<Key>,
    /// When its waiting deletions are looked at next.
    pub(crate) judged_at: Option<Instant>,
}

impl ClusterSide {
    /// Whether a kind could not be watched for longer than `hold` although the member can be reached: what is known of
    /// it is old.
    pub(crate) fn is_blind(&self, kind: KindId, hold: Duration) -> bool {
        self.blind[kind].is_some_and(|since| since.elapsed() >= hold)
    }

    /// Whether a kind may not be written for longer than `hold`.
    pub(crate) fn is_barred(&self, kind: KindId, hold: Duration) -> bool {
        self.barred[kind].as_ref().is_some_and(|barred| barred.since.elapsed() >= hold)
    }

    /// Why what the federation wants of a kind cannot be seen to, though the member can be reached.
    pub(crate) fn out_of_hand(&self, kind: KindId) -> Option<String> {
        let watched = self.failing[kind].as_ref().map(|reason| format!("the cluster cannot be watched: {reason}"));
        watched.or_else(|| self.barred[kind].as_ref().map(|barred| format!("the federation's account may not {} them there", barred.verbs)))
    }

    /// Takes note of an object, unless something newer is known of it.
    pub(crate) fn see(&mut self, key: Key, seen: Seen) {
        let newer = self.seen.get(&key).is_some_and(|known| known.uid == seen.uid && version(known) > version(&seen));
        if !newer {
            self.seen.insert(key, seen);
        }
    }

    /// Takes note of what an answer of the member showed, unless its watch is further: what that showed is newer, also
    /// when it is that nothing is there any more.
    pub(crate) fn learn(&mut self, key: Key, seen: Seen) {
        let behind = self.watched[key.kind].is_some() && version(&seen).is_some_and(|v| Some(v) <= self.watched[key.kind]);
        if !behind {
            self.see(key, seen);
        }
    }

    /// Takes note that an object is gone, unless another one has the name by now.
    pub(crate) fn unsee(&mut self, key: &Key, uid: Option<&Uid>) {
        if self.seen.get(key).is_some_and(|known| uid.is_none_or(|uid| known.uid == *uid)) {
            self.seen.remove(key);
        }
    }
}

/// The version as a number. Versions are compared only where they are numbers, as all API servers make them.
pub(super) fn version(seen: &Seen) -> Option<u64> {
    seen.resource_version.number()
}
