//! Status of a federated CronJob: what runs in any of the clusters, and when it last began and ended well in one. Pure.

use serde_json::{Map, Value};

/// Names of the two times, in a status.
const SCHEDULED: &str = "lastScheduleTime";
const SUCCEEDED: &str = "lastSuccessfulTime";
/// References to Jobs that are kept of one copy: a CronJob that lets its Jobs overlap may have any number of them.
const MOST: usize = 100;

/// What a copy says of its runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Runs {
    /// References to the Jobs that run, at most [`MOST`].
    active: Box<[Value]>,
    /// RFC 3339.
    scheduled: Option<Box<str>>,
    /// RFC 3339.
    succeeded: Option<Box<str>>,
}

impl Runs {
    /// From the status of a copy.
    pub(crate) fn read(status: &Value) -> Self {
        let time = |name: &str| status[name].as_str().map(Box::from);
        let active = status["active"].as_array().into_iter().flatten().take(MOST).cloned();
        Self { active: active.collect(), scheduled: time(SCHEDULED), succeeded: time(SUCCEEDED) }
    }
}

/// The status that the copies add up to, as Karmada does it: all that runs, and the newest times. A time that `current` has
/// stays where no copy knows a newer one: a cluster that is lost did run it then. Fields without a value are `null`.
pub(crate) fn merge<'a>(copies: impl Iterator<Item = &'a Runs>, current: &Value) -> Map<String, Value> {
    let copies: Vec<&Runs> = copies.collect();
    let active: Vec<Value> = copies.iter().flat_map(|copy| copy.active.iter().cloned()).collect();
    // RFC 3339 in UTC sorts as text.
    let newest = |name: &str, of: fn(&Runs) -> Option<&str>| {
        let told = copies.iter().filter_map(|copy| of(copy)).chain(current[name].as_str());
        (name.to_owned(), told.max().map_or(Value::Null, Value::from))
    };
    let active = if active.is_empty() { Value::Null } else { active.into() };
    let times = [newest(SCHEDULED, |copy| copy.scheduled.as_deref()), newest(SUCCEEDED, |copy| copy.succeeded.as_deref())];
    [("active".to_owned(), active)].into_iter().chain(times).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(copies: &[Value], current: &Value) -> Value {
        let copies: Vec<Runs> = copies.iter().map(Runs::read).collect();
        merge(copies.iter(), current).into()
    }

    #[test]
    fn issue8_all_that_runs_is_told_and_the_newest_times() {
        let job = |name: &str| json!({"kind": "Job", "name": name});
        let gondor =
            json!({"active": [job("a")], "lastScheduleTime": "2026-01-01T04:00:00Z", "lastSuccessfulTime": "2026-01-01T03:00:09Z"});
        let rohan = json!({"active": [job("b"), job("c")], "lastScheduleTime": "2026-01-01T03:00:00Z"});
        let both = json!({
            "active": [job("a"), job("b"), job("c")],
            "lastScheduleTime": "2026-01-01T04:00:00Z", "lastSuccessfulTime": "2026-01-01T03:00:09Z",
        });
        assert_eq!(told(&[gondor, rohan.clone()], &Value::Null), both);
        // gondor is lost: what ran there did, and what runs there is not known.
        let left = told(&[rohan], &both);
        assert_eq!((&left["active"], &left["lastScheduleTime"]), (&json!([job("b"), job("c")]), &both["lastScheduleTime"]));
        assert_eq!(told(&[json!({})], &Value::Null), json!({"active": null, "lastScheduleTime": null, "lastSuccessfulTime": null}));
    }

    #[test]
    fn no_copy_tells_of_more_jobs_than_are_kept() {
        let many: Vec<Value> = (0..1000).map(|n| json!({"kind": "Job", "name": n.to_string()})).collect();
        assert_eq!(told(&[json!({"active": many})], &Value::Null)["active"].as_array().map(Vec::len), Some(MOST));
    }
}
