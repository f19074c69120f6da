//! The end of finished Jobs with `ttlSecondsAfterFinished`: members do not know of it, so it is the federation's.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    brain::{Brain, Timer},
    entry::{Key, Tracked},
    intake::Write,
};
use crate::kinds::Family;

impl Brain {
    /// Deletes a Job whose time is over, with its copies; or looks again when it is. As long as one copy that was
    /// made is not known to be finished, were its cluster away, the Job stays.
    pub(super) fn expire(&mut self, key: &Key, live: &mut Tracked) {
        if key.kind().family != Family::Job || live.writing.is_some() {
            return;
        }
        let Some((object, at)) = live.object.clone().and_then(|o| expiry(&o).map(|at| (o, at))) else { return };
        let mut made = live.copies.values().map(|copy| &copy.record).filter(|record| !record.applied.is_empty()).peekable();
        if made.peek().is_none() || !made.all(|record| record.finished.is_some()) {
            return;
        }
        let rest = Duration::try_from(at.duration_since(self.parts.clock.now())).unwrap_or_default();
        if rest.is_zero() {
            tracing::info!(name = key.full_name(), "the Job finished and its time is over: it is deleted");
            live.writing = Some(Write::Deletion);
            self.parts.writer.delete(key, &object);
        } else if live.alarm.is_none_or(|(planned, rings)| planned != at || rings <= Instant::now()) {
            // One that rang too early, because a clock was set, is not the last.
            live.alarm = Some((at, Instant::now() + rest));
            self.later(rest, Timer::Key(key.clone()));
        }
    }
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
    use serde_json::json;

    use super::*;

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
