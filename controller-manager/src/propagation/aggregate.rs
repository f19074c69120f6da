//! Status of federated workloads: sums over the clusters, written only when they changed.

use std::borrow::Cow;

use federation_api::record::State;
use serde_json::{Map, Value, json};

use super::{
    controller::{Controller, STATUS_FLUSH},
    entry::{Key, Tracked},
    intake::Write,
    member::Member,
    reconcile::Pass,
    timers::Timer,
};
use crate::kinds::{Family, Kind};
use crate::observed::{Workload, claim, conditions, runs, scaler};

impl Controller {
    /// Writes the status of an object, as it is by now.
    pub(super) fn write_status(&mut self, key: &Key) {
        let Some(entry) = self.objects.get(key) else { return };
        let Some(live) = entry.live.as_deref() else { return };
        let world = self.world();
        let pass = Pass { key, seen: &entry.seen, world: &world, effects: Vec::new() };
        let status = pass.status_of(live).zip(live.tree());
        let Some(live) = self.objects.get_mut(key).and_then(|entry| entry.live.as_deref_mut()) else { return };
        live.status_due = false;
        let Some((status, object)) = status else { return };
        if live.writing.is_none() {
            live.writing = Some(Write::Status);
            self.parts.writer.status(key, &object, &status);
        } else {
            live.status_due = true;
            self.later(STATUS_FLUSH, Timer::Status(key.clone()));
        }
    }
}

impl Pass<'_> {
    /// Plans a status write when the sums differ from what the object says.
    pub(super) fn aggregate(&mut self, live: &mut Tracked) {
        if self.key.kind().reports() && self.status_of(live).is_some() && !std::mem::replace(&mut live.status_due, true) {
            self.later(STATUS_FLUSH, Timer::Status(self.key.clone()));
        }
    }

    /// The part of the status that has to be written; nothing when it is right.
    fn status_of(&self, live: &Tracked) -> Option<Value> {
        let key = self.key;
        let object = live.tree()?;
        let (mut workloads, mut reported) = (Vec::new(), Vec::new());
        let mut all_follow = true;
        for (cluster, copy) in live.copies.iter() {
            // What is known of a kind that could not be watched for long is as old as that of a lost member.
            let is_known = |s: &&Member| s.counts && !s.is_blind(key.kind, self.world.settings.loss_delay, self.world.now);
            if self.cluster(cluster).filter(is_known).is_none() {
                continue;
            }
            let seen = self.copy_seen(cluster, &live.uid);
            all_follow &= copy.record.state == State::Applied
                && copy.record.applied == copy.record.desired
                && seen.is_some_and(|s| {
                    s.workload.as_ref().is_some_and(|w| w.observed_generation >= s.generation || key.kind().family == Family::Job)
                });
            let workload = seen.and_then(|s| s.workload.as_deref());
            let ended = || copy.record.finished.as_deref().map(|status| Cow::Owned(Workload::of_status(key.kind(), status)));
            workloads.extend(workload.map(Cow::Borrowed).or_else(ended));
            reported.push((&**cluster, workload.map_or(&[][..], |w| &w.conditions)));
        }
        let generation = all_follow.then(|| object.metadata.generation.unwrap_or_default());
        let current = &object.data["status"];
        let mut status = sum(key.kind(), &workloads, generation);
        if key.kind().family == Family::Claim {
            let seen = live.copies.keys().map(|cluster| self.copy_seen(cluster, &live.uid));
            status = claim::merge(seen.map(|seen| seen?.workload.as_ref()?.claim.as_deref()));
        }
        if key.kind().family == Family::Schedule {
            status = runs::merge(workloads.iter().filter_map(|w| w.runs.as_deref()), current);
        }
        if key.kind().family == Family::Autoscaler {
            scaler::merge(&mut status, workloads.iter().filter_map(|w| w.scaler.as_deref()), &object.data["spec"]["metrics"]);
        }
        if key.kind().kind == "Deployment"
            && let Some(conditions) = conditions::merge(&reported, &current["conditions"])
        {
            status.insert("conditions".into(), conditions);
        }
        difference(key.kind(), &status, current)
    }
}

/// The status that the workloads add up to. `generation` is the federated object's, when all clusters follow it.
fn sum(kind: &Kind, workloads: &[Cow<'_, Workload>], generation: Option<i64>) -> Map<String, Value> {
    let mut status = Map::new();
    for (i, counter) in kind.counters.iter().enumerate() {
        // What members say is not to be trusted with arithmetic.
        let counts = workloads.iter().map(|w| w.counters.get(i).copied().unwrap_or_default().max(0));
        let total = counts.fold(0_i64, i64::saturating_add);
        status.insert((*counter).to_owned(), total.into());
    }
    // `kubectl rollout status` waits until both are the same: those of a set that is being updated tell of all.
    let revisions = || workloads.iter().filter_map(|w| w.revisions.as_deref());
    if let Some([current, update]) = revisions().find(|[is, will]| is != will).or_else(|| revisions().next()) {
        status.insert("currentRevision".into(), current.as_str().into());
        status.insert("updateRevision".into(), update.as_str().into());
    }
    if kind.family != Family::Job {
        if let Some(generation) = generation {
            status.insert("observedGeneration".into(), generation.into());
        }
        return status;
    }
    // RFC 3339 in UTC sorts as text.
    if let Some(start) = workloads.iter().filter_map(|w| w.start_time.as_ref()).min() {
        status.insert("startTime".into(), start.as_str().into());
    }
    if !workloads.is_empty() && workloads.iter().all(|w| w.finished.is_some()) {
        let finished: Vec<&Value> = workloads.iter().filter_map(|w| w.finished.as_ref()).collect();
        let failed = finished.iter().find(|c| c["type"] == "Failed");
        let condition = failed.or(finished.first());
        status.insert("conditions".into(), condition.map_or_else(|| json!([]), |c| json!([c])));
        if failed.is_none()
            && let Some(end) = workloads.iter().filter_map(|w| w.completion_time.as_ref()).max()
        {
            status.insert("completionTime".into(), end.as_str().into());
        }
    }
    status
}

/// The fields of `wanted` that `current` does not have; a counter that is absent is zero.
fn difference(kind: &Kind, wanted: &Map<String, Value>, current: &Value) -> Option<Value> {
    let differs = |name: &String, value: &Value| {
        let counter = kind.counters.contains(&name.as_str());
        if counter { current[name].as_i64().unwrap_or_default() != value.as_i64().unwrap_or_default() } else { current[name] != *value }
    };
    let fields: Map<String, Value> = wanted.iter().filter(|(k, v)| differs(k, v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    (!fields.is_empty()).then_some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    fn kind(resource: &str) -> &'static Kind {
        KINDS.iter().find(|k| k.resource == resource).unwrap()
    }

    #[test]
    fn counters_are_summed_and_only_differences_written() {
        let gondor = Workload { counters: vec![3, 3, 3, 2, 1], ..Workload::default() };
        let rohan = Workload { counters: vec![6, 6, 5, 5, 0], ..Workload::default() };
        let status = sum(kind("deployments"), &[Cow::Borrowed(&gondor), Cow::Borrowed(&rohan)], Some(4));
        let current = json!({"replicas": 9, "updatedReplicas": 9, "observedGeneration": 3});
        let wanted = json!({"readyReplicas": 8, "availableReplicas": 7, "unavailableReplicas": 1, "observedGeneration": 4});
        assert_eq!(difference(kind("deployments"), &status, &current), Some(wanted));
        assert_eq!(difference(kind("deployments"), &sum(kind("deployments"), &[], None), &Value::Null), None);
    }

    #[test]
    fn d35_no_counter_of_a_member_wraps_the_sum() {
        let count = |n: i64| Cow::Owned(Workload { counters: vec![n; 5], ..Workload::default() });
        let status = sum(kind("deployments"), &[count(i64::MAX), count(i64::MAX), count(i64::MIN)], None);
        assert_eq!(status["replicas"], i64::MAX);
    }

    #[test]
    fn issue8_a_stateful_set_is_being_updated_as_long_as_one_of_its_copies_is() {
        let set = |current: &str, update: &str| {
            let revisions = Some(Box::new([current.to_owned(), update.to_owned()]));
            Cow::Owned(Workload { counters: vec![2; 5], revisions, ..Workload::default() })
        };
        let status = sum(kind("statefulsets"), &[set("db-2", "db-2"), set("db-1", "db-2")], None);
        assert_eq!(
            (&status["replicas"], &status["currentRevision"], &status["updateRevision"]),
            (&json!(4), &json!("db-1"), &json!("db-2"))
        );
        let status = sum(kind("statefulsets"), &[Cow::Owned(Workload::default()), set("db-2", "db-2")], None);
        assert_eq!((&status["currentRevision"], &status["updateRevision"]), (&json!("db-2"), &json!("db-2")));
        assert_eq!(sum(kind("statefulsets"), &[], None).get("currentRevision"), None);
    }

    #[test]
    fn a_job_is_finished_when_all_are_and_failed_when_one_is() {
        let done = |condition: &str, start: &str, end: Option<&str>| Workload {
            counters: vec![0, 1, 0],
            start_time: Some(start.into()),
            completion_time: end.map(str::to_owned),
            finished: Some(json!({"type": condition, "status": "True"})),
            ..Workload::default()
        };
        let (a, b) = (
            done("Complete", "2026-01-01T00:00:02Z", Some("2026-01-01T00:01:00Z")),
            done("Complete", "2026-01-01T00:00:01Z", Some("2026-01-01T00:02:00Z")),
        );
        let status = sum(kind("jobs"), &[Cow::Borrowed(&a), Cow::Borrowed(&b)], None);
        assert_eq!(
            (status["startTime"].as_str(), status["completionTime"].as_str()),
            (Some("2026-01-01T00:00:01Z"), Some("2026-01-01T00:02:00Z"))
        );
        let failed = done("Failed", "2026-01-01T00:00:01Z", None);
        let status = sum(kind("jobs"), &[Cow::Borrowed(&a), Cow::Borrowed(&failed)], None);
        assert_eq!(status["conditions"][0]["type"], "Failed");
        assert_eq!(status.get("completionTime"), None);
        assert_eq!(sum(kind("jobs"), &[Cow::Borrowed(&a), Cow::Borrowed(&Workload::default())], None).get("conditions"), None);
    }
}
