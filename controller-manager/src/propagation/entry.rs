//! What the controller holds in memory of each federated object and each member.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use federation_api::{
    keys,
    record::{ClusterRecord, PropagationRecordSpec, State},
};
use kube::api::DynamicObject;
use tokio::{sync::mpsc, time::Instant};

use super::{
    brake::BrakeState,
    damper::Damper,
    decide::{Action, Want, decide},
    desired::{Body, Split},
    observed::Seen,
};
use crate::{
    kinds::{KindId, ObjectKey, PerKind},
    members::job::{Job, Survey},
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
    pub(crate) uid: Arc<str>,
    /// The object as last seen; absent once it is gone.
    pub(crate) object: Option<Arc<DynamicObject>>,
    /// By cluster.
    pub(crate) copies: BTreeMap<String, Copy>,
    /// Bodies made from the object as it is, by split.
    pub(crate) bodies: HashMap<Option<Split>, Body>,
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

/// One object in one cluster.
#[derive(Default)]
pub(crate) struct Copy {
    pub(crate) record: ClusterRecord,
    /// A job for it is with the lane.
    pub(crate) busy: bool,
    /// The member said that nothing of ours is there, and nothing was sent since.
    pub(crate) absent: bool,
    pub(crate) failures: u32,
    /// Not tried again before.
    pub(crate) not_before: Option<Instant>,
    /// Since when the workload there is not ready.
    pub(crate) unready: Option<Instant>,
    pub(crate) survey: Option<Surveyed>,
    pub(crate) surveying: bool,
}

/// A look at the pods.
#[derive(Clone)]
pub(crate) struct Surveyed {
    /// Absent until the first look succeeded.
    pub(crate) result: Option<Survey>,
    pub(crate) at: Instant,
    /// Version of the workload when it was asked for.
    pub(crate) resource_version: String,
}

/// The wait after so many failures in a row, spread so that the objects of a member that fails do not come back together.
pub(crate) fn backoff(failures: u32) -> Duration {
    crate::backoff::JOB.spread(failures.saturating_sub(1))
}

impl Tracked {
    pub(crate) fn new(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            object: None,
            copies: BTreeMap::new(),
            bodies: HashMap::new(),
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

    /// The record to store; nothing when no cluster has anything.
    pub(crate) fn record(&self, key: &ObjectKey) -> Option<PropagationRecordSpec> {
        let clusters: BTreeMap<String, ClusterRecord> =
            self.copies.iter().map(|(name, copy)| (name.clone(), copy.record.clone())).collect();
        (!clusters.is_empty()).then(|| PropagationRecordSpec { object: key.object_ref(), clusters, deleted: None })
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.object.as_ref()?.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// resourceVersion of the object as last seen.
    pub(crate) fn version(&self) -> Option<Arc<str>> {
        self.object.as_ref()?.metadata.resource_version.as_deref().map(Arc::from)
    }

    pub(crate) fn has_finalizer(&self, finalizer: &str) -> bool {
        self.object.as_ref().and_then(|o| o.metadata.finalizers.as_ref()).is_some_and(|f| f.iter().any(|x| x == finalizer))
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.object.as_ref().is_some_and(|o| o.metadata.deletion_timestamp.is_some())
    }

    /// Existing objects of the same name in members are taken over.
    pub(crate) fn adopts(&self) -> bool {
        self.annotation(keys::CONFLICT) == Some("adopt")
    }
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
                && decide(Want::Present(&record.desired), record, seen, &live.uid) == Action::Nothing
        };
        let live = |live: &Tracked| !live.is_deleting() && live.copies.get(cluster).map_or(seen.is_none(), |copy| settled(live, copy));
        self.graves.is_empty() && self.live.as_ref().is_none_or(live)
    }
}

impl Copy {
    /// Writes down where it stands. Says whether that is news.
    pub(crate) fn set(&mut self, state: State, reason: &str) -> bool {
        let news = self.record.state != state || self.record.reason != reason;
        if news {
            self.record.state = state;
            reason.clone_into(&mut self.record.reason);
        }
        news
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
    pub(crate) fn unsee(&mut self, key: &Key, uid: &str) {
        if self.seen.get(key).is_some_and(|known| uid.is_empty() || known.uid == uid) {
            self.seen.remove(key);
        }
    }
}

/// The version as a number. Versions are compared only where they are numbers, as all API servers make them.
pub(super) fn version(seen: &Seen) -> Option<u64> {
    seen.resource_version.parse().ok()
}
