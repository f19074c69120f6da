//! The end of finished Jobs with `ttlSecondsAfterFinished`: members do not know of it, so it is the federation's.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    effect::{Change, Effect},
    entry::Tracked,
    intake::Write,
    reconcile::Pass,
    timers::Timer,
};
use crate::kinds::Family;

/// A time that is over for no longer is believed: a controller manager that starts again misses that much.
const BELIEVED: SignedDuration = SignedDuration::from_mins(5);

impl Pass<'_> {
    /// Deletes a Job whose time is over, with its copies; or looks again when it is. As long as one copy that was
    /// made is not known to be finished, were its cluster away, the Job stays.
    pub(super) fn expire(&mut self, live: &mut Tracked) {
        if self.key.kind().family != Family::Job || live.writing.is_some() {
            return;
        }
        let Some((object, at)) = finished_everywhere(live) else { return self.stays(live) };
        let now = self.world.now;
        let late = self.world.time.duration_since(at);
        let waited = |alarm: (Timestamp, Instant)| alarm.0 == at && alarm.1 <= now;
        if late.is_negative() {
            self.stays(live);
            if live.alarm.is_none_or(|alarm| alarm.0 != at || waited(alarm)) {
                // One that rang too early, because a clock was set, is not the last.
                let rest = Duration::try_from(-late).unwrap_or_default();
                live.alarm = Some((at, now + rest));
                self.later(rest, Timer::Key(self.key.clone()));
            }
        } else if late < BELIEVED || live.alarm.is_some_and(waited) || self.may_expire(live) {
            tracing::info!(name = self.key.full_name(), "the Job finished and its time is over: it is deleted");
            live.writing = Some(Write::Deletion);
            self.follows(Effect::Write(object, Change::Deletion));
        }
    }

    /// Whether the brakes of all its clusters let a Job go that nobody waited for: after a long stop, or with a clock
    /// that jumped, many go at once.
    fn may_expire(&mut self, live: &mut Tracked) -> bool {
        live.overdue = true;
        let mut may = true;
        for cluster in live.copies.keys() {
            if self.cluster(cluster).is_some_and(|member| !member.brake.is_released(self.key)) {
                may = false;
                self.follows(Effect::AskBrake(cluster.clone()));
            }
        }
        may
    }

    /// A Job is not to be deleted, or not yet.
    fn stays(&mut self, live: &mut Tracked) {
        if std::mem::take(&mut live.overdue) {
            // The next look takes it off the brakes.
            self.follows(Effect::Look(self.key.as_ref().clone()));
        }
    }
}

/// The Job and when it is to be deleted, if it is, and all copies that were made are known to be finished.
fn finished_everywhere(live: &Tracked) -> Option<(Arc<DynamicObject>, Timestamp)> {
    let object = live.tree()?;
    let at = expiry(&object)?;
    let mut made = live.copies.values().map(|copy| &copy.record).filter(|record| !record.applied.is_empty()).peekable();
    (made.peek().is_some() && made.all(|record| record.finished.is_some())).then_some((object, at))
}

/// The condition that says how a Job ended, once it did.
pub(super) fn end_of(job: &DynamicObject) -> Option<&Value> {
    let over = |c: &&Value| (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True";
    job.data.pointer("/status/conditions")?.as_array()?.iter().find(over)
}

/// When a Job is to be deleted: so long after it finished, if it says so. An absurdly long time is for ever.
fn expiry(job: &DynamicObject) -> Option<Timestamp> {
    let seconds = job.data.pointer("/spec/ttlSecondsAfterFinished")?.as_i64()?;
    let finished: Timestamp = end_of(job)?["lastTransitionTime"].as_str()?.parse().ok()?;
    finished.checked_add(SignedDuration::from_secs(seconds)).ok()
}

#[cfg(test)]
mod tests {
    use federation_api::{
        keys,
        record::{ClusterRecord, State},
    };
    use serde_json::json;

    use super::{
        super::{
            intake::Intake,
            safety_tests::{BOTH, Bench, object, recorded},
        },
        *,
    };
    use crate::{
        follow::{Listing, Why},
        kinds::{KindId, ObjectKey, PerKind, id},
        members::news::News,
        observed::{Observed, Seeing},
        time::Clock,
    };

    fn key() -> ObjectKey {
        ObjectKey { kind: job(), namespace: "demo".into(), name: "quest".into() }
    }

    fn job() -> KindId {
        id("Job")
    }

    /// A Job that finished at a known time and is to be deleted so long after it, and ran in gondor.
    fn finished(ttl: i64) -> Bench {
        let mut bench = Bench::start_with(vec![], None, PerKind::new(|kind| kind == job()));
        bench.controller.parts.settings.brake.allowed = 0;
        let record = ClusterRecord { applied: "d".into(), finished: Some(json!({})), state: State::Applied, ..ClusterRecord::default() };
        bench.tell(Intake::Records(vec![("u".into(), recorded(key(), record))]));
        bench.tell(Intake::FederatedList {
            kind: job(),
            listing: Listing { objects: vec![quest(1, ttl)], unreadable: vec![], version: None, why: Why::First, bytes: 0 },
        });
        bench
    }

    fn quest(version: u64, ttl: i64) -> DynamicObject {
        object(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "quest", "namespace": "demo", "uid": "u", "resourceVersion": version.to_string(), "finalizers": BOTH},
            "spec": {"ttlSecondsAfterFinished": ttl},
            "status": {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
    }

    fn at(time: &str) -> Clock {
        Clock::showing(time.parse().unwrap())
    }

    /// Gondor is heard of: the copy is not there any more.
    fn hear(bench: &mut Bench) {
        bench.reach();
        let seeing = Seeing { objects: vec![], unreadable: vec![], version: Some(7), why: Why::First, bytes: 0 };
        bench.tell(News::Observed { cluster: "gondor".into(), epoch: 1, kind: job(), observed: Observed::Listed(seeing) });
    }

    fn is_deleted(bench: &Bench) -> bool {
        bench.controller.objects.get(&key()).unwrap().live.as_ref().unwrap().writing == Some(Write::Deletion)
    }

    fn judge(bench: &mut Bench) -> bool {
        bench.controller.judge("gondor");
        bench.controller.work(usize::MAX);
        bench.controller.members["gondor"].brake.stopped
    }

    #[tokio::test]
    async fn d39_a_job_that_only_the_time_of_day_calls_overdue_asks_the_brake() {
        let mut bench = finished(60);
        bench.controller.parts.settings.clock = at("2026-02-01T00:00:00Z");
        hear(&mut bench);
        assert!(!is_deleted(&bench));
        assert!(judge(&mut bench), "all that gondor has would go");
        assert!(!is_deleted(&bench));
        bench.tell(News::Cluster {
            cluster: "gondor".into(),
            uid: "g".into(),
            labels: [].into(),
            annotations: [(keys::MASS_DELETION.to_owned(), "allow".to_owned())].into(),
            lane: None,
            was_ready: false,
        });
        assert!(!judge(&mut bench));
        assert!(is_deleted(&bench));
    }

    #[tokio::test]
    async fn d39_a_job_that_is_to_stay_after_all_does_not_wait_at_the_brake() {
        let mut bench = finished(60);
        bench.controller.parts.settings.clock = at("2026-02-01T00:00:00Z");
        hear(&mut bench);
        assert!(judge(&mut bench));
        bench.tell(Intake::Federated { kind: job(), object: Box::new(quest(2, 100_000_000)) });
        assert!(!judge(&mut bench));
        assert!(!is_deleted(&bench));
    }

    #[tokio::test(start_paused = true)]
    async fn d39_a_time_that_was_waited_for_or_is_hardly_over_asks_nobody() {
        let mut bench = finished(60);
        bench.controller.parts.settings.clock = at("2026-01-01T00:02:00Z");
        hear(&mut bench);
        assert!(is_deleted(&bench));

        let mut bench = finished(60);
        bench.controller.parts.settings.clock = at("2026-01-01T00:00:59.98Z");
        hear(&mut bench);
        tokio::time::advance(Duration::from_millis(30)).await;
        bench.controller.parts.settings.clock = at("2026-02-01T00:00:00Z");
        bench.tell(Intake::Federated { kind: job(), object: Box::new(quest(2, 60)) });
        assert!(is_deleted(&bench));
    }

    #[test]
    fn only_a_finished_job_that_says_so_expires() {
        let expires = |ttl: Value, type_: &str, status: &str| {
            let condition = json!({"type": type_, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let job = json!({"metadata": {}, "spec": {"ttlSecondsAfterFinished": ttl}, "status": {"conditions": [condition]}});
            expiry(&serde_json::from_value(job).unwrap()).map(|at| at.to_string())
        };
        assert_eq!(expires(json!(60), "Complete", "True").as_deref(), Some("2026-01-01T00:01:00Z"));
        assert_eq!(expires(json!(0), "Failed", "True").as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(expires(json!(60), "Suspended", "True"), None);
        assert_eq!(expires(json!(60), "Complete", "False"), None);
        assert_eq!(expires(Value::Null, "Complete", "True"), None);
        assert_eq!(expires(json!(i64::MAX), "Complete", "True"), None);
    }
}
