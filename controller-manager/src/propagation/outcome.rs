//! What follows from a job that a lane carried out.

use std::time::Duration;

use federation_api::record::State;

use tokio::time::Instant;

use super::{
    controller::Controller,
    entry::{Key, backoff},
    reconcile::DELETION_RECHECK,
    timers::Timer,
};
use crate::{
    compact::{Digest, Uid},
    kinds::NAMESPACE,
    members::job::{Done, Outcome},
};

/// Longest wait before an object that is not ours is looked at again: its removal is seen by no watch of ours.
const CONFLICT_RECHECK: Duration = Duration::from_secs(30);

/// What is told about an outcome.
struct Told {
    warning: bool,
    reason: &'static str,
    message: String,
}

impl Controller {
    pub(super) fn take_outcome(&mut self, Done { cluster, epoch, key, uid, digest, outcome }: Done) {
        let (cluster, key, uid): (&str, &Key, &Uid) = (&cluster, &key, &uid);
        let Some(name) = self.members.get_key_value(cluster).map(|(name, _)| name.clone()) else { return };
        let Some(member) = self.members.get_mut(cluster).filter(|s| s.epoch == Some(epoch)) else { return };
        let entry = self.objects.get_mut(key);
        match (&outcome, entry) {
            (Outcome::Applied { seen, .. }, _) if member.is_past(key.kind, seen) => {}
            (Outcome::Applied { seen, .. }, _) => self.objects.entry(key).observe(&name, (**seen).clone()),
            (Outcome::Gone | Outcome::Kept(_), Some(entry)) if entry.seen.get(cluster).is_some_and(|s| s.source_uid == *uid) => {
                entry.observe_gone(cluster, None);
            }
            _ => {}
        }
        if matches!(outcome, Outcome::Gone | Outcome::Kept(_)) {
            member.brake.done(key);
        }
        let kind = key.kind().kind;
        let name = key.full_name();
        let Some(tracked) = self.objects.get_mut(key).and_then(|entry| entry.tracked(uid)) else { return };
        let others = tracked.copies.iter().filter(|(name, _)| ***name != *cluster);
        let first = !others.map(|(_, copy)| &copy.record).any(|record| record.applied == digest && record.state == State::Applied);
        let Some(copy) = tracked.copies.get_mut(cluster) else { return };
        let told;
        let mut retry = None;
        let tell = |warning, reason, message| Some(Told { warning, reason, message });
        match outcome {
            Outcome::Surveyed(result) => {
                copy.surveying = false;
                if let Some(survey) = &mut copy.survey {
                    survey.result = Some(result);
                }
                self.objects.enqueue(key);
                return;
            }
            Outcome::Unsurveyed(reason) => {
                tracing::debug!(cluster, kind, name, error = reason, "pods cannot be listed");
                copy.surveying = false;
                self.objects.enqueue(key);
                return;
            }
            Outcome::Applied { seen, created } => {
                copy.record.resource_version = seen.resource_version;
                copy.record.owned = seen.owned;
                copy.record.generation = seen.generation;
                copy.record.applied = digest;
                copy.failures = 0;
                copy.set(State::Applied, "");
                // That it went well elsewhere too is no news; the record says where.
                told = if !first {
                    None
                } else if created {
                    tell(false, "CreateInCluster", format!("Creating {kind} \"{name}\" in cluster {cluster}"))
                } else {
                    tell(false, "UpdateInCluster", format!("Updating {kind} \"{name}\" in cluster {cluster}"))
                };
            }
            Outcome::Conflict => {
                let reason = "an object that the federation did not make has the name";
                copy.failures += 1;
                let wait = backoff(copy.failures).min(CONFLICT_RECHECK);
                copy.not_before = Some(Instant::now() + wait);
                let settled = copy.record.applied == digest;
                copy.record.applied = digest;
                if !copy.set(State::Conflict, reason) && settled {
                    copy.busy = false;
                    self.later(wait, Timer::Key(key.clone()));
                    return;
                }
                retry = Some(wait);
                let key = federation_api::keys::CONFLICT;
                told = tell(
                    true,
                    "Conflict",
                    format!("{kind} \"{name}\" in cluster {cluster}: {reason}; annotation {key}=adopt takes it over"),
                );
            }
            Outcome::Deleting => {
                copy.not_before = Some(Instant::now() + DELETION_RECHECK);
                copy.set(State::Deleting, "waiting until it is gone");
                told = tell(false, "DeleteInCluster", format!("Deleting {kind} \"{name}\" in cluster {cluster}"));
            }
            Outcome::Gone => {
                copy.record.applied = Digest::default();
                copy.absent = true;
                copy.failures = 0;
                told = tell(false, "DeleteInCluster", format!("Deleting {kind} \"{name}\" in cluster {cluster}"));
            }
            Outcome::Kept(reason) => {
                copy.record.applied = Digest::default();
                copy.absent = true;
                copy.failures = 0;
                tracing::warn!(cluster, kind, name, reason, "kept in the member, without the federation's marks");
                told = tell(true, "KeptInCluster", format!("{kind} \"{name}\" stays in cluster {cluster}: {reason}"));
            }
            Outcome::Failed { reason, retry_after } => {
                copy.failures += 1;
                let wait = retry_after.unwrap_or_else(|| backoff(copy.failures));
                copy.not_before = Some(Instant::now() + wait);
                retry = Some(wait);
                let (event, verb) = match (copy.record.desired.is_empty(), copy.record.applied.is_empty()) {
                    (true, _) => ("DeleteInClusterFailed", "delete"),
                    (false, true) => ("AddInClusterFailed", "create"),
                    (false, false) => ("UpdateInClusterFailed", "update"),
                };
                let state = if copy.record.desired.is_empty() { State::Deleting } else { State::Failed };
                copy.set(state, &reason);
                metrics::counter!("federation_member_failures_total", "cluster" => cluster.to_owned()).increment(1);
                tracing::warn!(cluster, kind, name, error = reason, "failed to {verb}");
                told = tell(true, event, format!("Failed to {verb} {kind} \"{name}\" in cluster {cluster}: {reason}"));
            }
        }
        copy.busy = false;
        if let Some(wait) = retry {
            self.later(wait, Timer::Key(key.clone()));
        }
        self.touch(key, uid);
        self.objects.enqueue_after(key, cluster);
        if key.kind == NAMESPACE {
            self.objects.enqueue_namespace(&key.name);
        }
        if let Some(Told { warning, reason, message }) = told {
            self.event(key, uid, warning, reason, message);
        }
    }
}
