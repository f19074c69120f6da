//! Conditions of a federated Deployment, which `kubectl wait` and `kubectl rollout status` read: from those of its
//! copies. Pure.

use serde_json::{Value, json};

/// One condition of a copy, as small as it can be: there is one of each object in each cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    /// Index into [`TYPES`].
    type_: usize,
    status: Status,
    reason: Box<str>,
    /// `lastTransitionTime`.
    since: Box<str>,
}

/// From the worst to the best; what is still under way is worse than what came to its end.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Status {
    False,
    #[default]
    Unknown,
    UnderWay,
    True,
}

/// Types of conditions that are put together, and the reasons by which the last two say that nothing is left to do.
const TYPES: [&str; 3] = [AVAILABLE, "Progressing", REPLICA_FAILURE];
const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const SETTLED: [&str; 2] = ["MinimumReplicasAvailable", "NewReplicaSetAvailable"];

impl Condition {
    /// The conditions of a copy's status that matter.
    pub(crate) fn read(status: &Value) -> Box<[Self]> {
        let text = |value: &Value| value.as_str().unwrap_or_default().into();
        let read = |c: &Value| {
            let type_ = TYPES.iter().position(|t| c["type"] == **t)?;
            let reason: Box<str> = text(&c["reason"]);
            let status = match c["status"].as_str() {
                Some("True") if SETTLED.contains(&&*reason) => Status::True,
                Some("True") => Status::UnderWay,
                Some("False") => Status::False,
                _ => Status::Unknown,
            };
            Some(Self { type_, status, reason, since: text(&c["lastTransitionTime"]) })
        };
        status["conditions"].as_array().into_iter().flatten().filter_map(read).collect()
    }
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::False => "False",
            Self::Unknown => "Unknown",
            Self::UnderWay | Self::True => "True",
        }
    }
}

/// The conditions that the copies add up to, by cluster: as good as the worst. Nothing as long as a copy has not said
/// whether it is available. A condition that keeps its status keeps its time in `current`.
pub(crate) fn merge(copies: &[(&str, &[Condition])], current: &Value) -> Option<Value> {
    let of = |type_: usize| -> Vec<(&str, &Condition)> {
        copies.iter().filter_map(|(cluster, all)| Some((*cluster, all.iter().find(|c| c.type_ == type_)?))).collect()
    };
    if copies.is_empty() || of(0).len() < copies.len() {
        return None;
    }
    let conditions: Vec<Value> = TYPES
        .iter()
        .enumerate()
        .filter_map(|(type_, name)| {
            let all = of(type_);
            let statuses = all.iter().map(|(_, c)| c.status);
            let told = match *name {
                // Only told of where there is one.
                REPLICA_FAILURE => statuses.max(),
                _ if all.len() == copies.len() => statuses.min(),
                _ => None,
            }?;
            Some(condition(name, &all, copies.len(), told, current))
        })
        .collect();
    Some(conditions.into())
}

fn condition(name: &str, all: &[(&str, &Condition)], clusters: usize, told: Status, current: &Value) -> Value {
    let telling: Vec<&(&str, &Condition)> = all.iter().filter(|(_, c)| c.status == told).collect();
    let names: Vec<&str> = telling.iter().map(|(cluster, _)| *cluster).collect();
    let reason = telling.first().map_or("", |(_, c)| &*c.reason);
    let place = if telling.len() == clusters { "all clusters".to_owned() } else { names.join(", ") };
    let status = told.text();
    let before = current.as_array().into_iter().flatten().find(|c| c["type"] == name && c["status"] == status);
    // RFC 3339 in UTC sorts as text.
    let since = || telling.iter().map(|(_, c)| &*c.since).max().map(Value::from);
    let since = before.map(|c| c["lastTransitionTime"].clone()).or_else(since).filter(|t| t != "" && !t.is_null());
    let mut condition = json!({"type": name, "status": status, "reason": reason, "message": format!("{reason} in {place}")});
    for time in ["lastTransitionTime", "lastUpdateTime"] {
        if let Some(since) = &since {
            condition[time] = since.clone();
        }
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(available: (&str, &str), progressing: (&str, &str), time: &str) -> Box<[Condition]> {
        let condition = |type_: &str, (status, reason): (&str, &str)| json!({"type": type_, "status": status, "reason": reason, "lastTransitionTime": time, "lastUpdateTime": time});
        Condition::read(&json!({"conditions": [condition("Progressing", progressing), condition("Available", available)]}))
    }

    /// `type=status reason @ time: message` of each.
    fn lines(conditions: &Value) -> Vec<String> {
        let line = |c: &Value| {
            let text = |field: &str| c[field].as_str().unwrap_or("-").to_owned();
            format!("{}={} @ {}: {}", text("type"), text("status"), text("lastTransitionTime"), text("message"))
        };
        conditions.as_array().unwrap().iter().map(line).collect()
    }

    const UP: (&str, &str) = ("True", "MinimumReplicasAvailable");
    const DOWN: (&str, &str) = ("False", "MinimumReplicasUnavailable");
    const DONE: (&str, &str) = ("True", "NewReplicaSetAvailable");
    const ROLLING: (&str, &str) = ("True", "ReplicaSetUpdated");
    const STUCK: (&str, &str) = ("False", "ProgressDeadlineExceeded");

    #[test]
    fn a_deployment_is_as_good_as_its_worst_copy() {
        let (good, down, stuck) = (copy(UP, DONE, "t1"), copy(DOWN, ROLLING, "t2"), copy(UP, STUCK, "t3"));
        let merged = |copies: &[(&str, &[Condition])]| lines(&merge(copies, &Value::Null).unwrap());
        assert_eq!(
            merged(&[("gondor", &good), ("rohan", &good)]),
            [
                "Available=True @ t1: MinimumReplicasAvailable in all clusters",
                "Progressing=True @ t1: NewReplicaSetAvailable in all clusters"
            ]
        );
        assert_eq!(
            merged(&[("gondor", &good), ("rohan", &down)]),
            ["Available=False @ t2: MinimumReplicasUnavailable in rohan", "Progressing=True @ t2: ReplicaSetUpdated in rohan"]
        );
        assert_eq!(merged(&[("gondor", &stuck), ("rohan", &down)])[1], "Progressing=False @ t3: ProgressDeadlineExceeded in gondor");
    }

    #[test]
    fn nothing_is_said_before_every_copy_reported() {
        let good = copy(UP, DONE, "t1");
        assert_eq!(merge(&[("gondor", &good), ("rohan", &[])], &Value::Null), None);
        assert_eq!(merge(&[], &Value::Null), None);
    }

    #[test]
    fn a_status_that_stays_keeps_its_time() {
        let (early, late) = (copy(UP, DONE, "t1"), copy(UP, DONE, "t2"));
        let before = merge(&[("gondor", &early)], &Value::Null).unwrap();
        let after = merge(&[("gondor", &early), ("rohan", &late)], &before).unwrap();
        assert!(lines(&after).iter().all(|line| line.contains("@ t1")), "{after}");
    }

    #[test]
    fn a_failure_to_make_pods_is_told_wherever_it_is() {
        let failure = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"});
        let available = json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"});
        let failing = Condition::read(&json!({"conditions": [available, failure]}));
        let merged = merge(&[("gondor", &failing), ("rohan", &copy(UP, DONE, "t"))], &Value::Null).unwrap();
        assert_eq!(lines(&merged)[1], "ReplicaFailure=True @ -: FailedCreate in gondor");
    }
}
