//! What is known of a member, beside the objects in it.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{
    brake::BrakeState,
    damper::Damper,
    entry::{Key, version},
    per_cluster::ClusterName,
};
use crate::{
    kinds::{KindId, PerKind},
    members::job::Job,
    observed::Seen,
};

/// All members, by the names of their Clusters.
pub(super) type Members = BTreeMap<ClusterName, Member>;

/// A kind that may not be written in a member.
#[derive(Clone, Debug)]
pub(crate) struct Barred {
    pub(crate) since: Instant,
    /// Verbs that are missing.
    pub(crate) verbs: String,
}

/// A member as the controller sees it.
pub(crate) struct Member {
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

impl Member {
    /// Whether a kind could not be watched for longer than `loss_delay` although the member can be reached: what is known of
    /// it is old.
    pub(crate) fn is_blind(&self, kind: KindId, loss_delay: Duration, now: Instant) -> bool {
        self.blind[kind].is_some_and(|since| now.saturating_duration_since(since) >= loss_delay)
    }

    /// Whether a kind may not be written for longer than `loss_delay`.
    pub(crate) fn is_barred(&self, kind: KindId, loss_delay: Duration, now: Instant) -> bool {
        self.barred[kind].as_ref().is_some_and(|barred| now.saturating_duration_since(barred.since) >= loss_delay)
    }

    /// Why what the federation wants of a kind cannot be seen to, though the member can be reached.
    pub(crate) fn out_of_hand(&self, kind: KindId) -> Option<String> {
        let watched = self.failing[kind].as_ref().map(|reason| format!("the cluster cannot be watched: {reason}"));
        watched.or_else(|| self.barred[kind].as_ref().map(|barred| format!("the federation's account may not {} them there", barred.verbs)))
    }

    /// Whether its watch showed all up to the version of what an answer of the member shows: what that said is old news,
    /// also when it is that nothing is there any more.
    pub(crate) fn is_past(&self, kind: KindId, seen: &Seen) -> bool {
        self.watched[kind].is_some() && version(seen).is_some_and(|version| Some(version) <= self.watched[kind])
    }
}
