//! Counting the pods of a workload in a member.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use super::{
    exchange::{Exchange, endless, failed, parsed},
    job::{Outcome, Survey},
};
use crate::{
    kinds::ObjectKey,
    request::{Call, Pages, query_value},
};

/// Pods, or sets of pods, of one workload a page.
const SURVEY_PAGE: usize = 500;

impl Exchange {
    /// Counts the pods of a workload: those of its own, or of a ReplicaSet of its own.
    pub(super) async fn survey(&mut self, key: &ObjectKey, selector: &str, replicas: i64, workload: &str) -> Result<Outcome, Outcome> {
        let selector: String = query_value(selector);
        let mut owners = vec![workload.to_owned()];
        if key.kind().kind == "Deployment" {
            let path = format!("/apis/apps/v1/namespaces/{}/replicasets?labelSelector={selector}", key.namespace);
            let own = |set: &Value| controller(set) == Some(workload);
            self.each(&path, |set| owners.extend(set["metadata"]["uid"].as_str().filter(|_| own(set)).map(str::to_owned))).await?;
        }
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", key.namespace);
        let (mut counted, now) = (Pods::default(), crate::time::now());
        self.each(&path, |pod| {
            if controller(pod).is_some_and(|uid| owners.iter().any(|o| o == uid)) {
                counted.count(pod, now);
            }
        })
        .await?;
        Ok(Outcome::Surveyed(counted.survey(replicas)))
    }

    /// Looks at each object of a collection, page by page.
    async fn each(&mut self, path: &str, mut look: impl FnMut(&Value)) -> Result<(), Outcome> {
        let mut pages = Pages::of(&format!("{path}&limit={SURVEY_PAGE}"));
        while let Some(page) = pages.next() {
            let reply = self.send(Call::get(&page)).await?;
            if reply.status != StatusCode::OK {
                return Err(failed(&reply));
            }
            let list: Value = parsed(&reply)?;
            pages.read(&list).map_err(endless)?;
            list["items"].as_array().into_iter().flatten().for_each(&mut look);
        }
        Ok(())
    }
}

/// uid of the controller of an object.
fn controller(object: &Value) -> Option<&str> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|o| o["controller"] == true)?["uid"].as_str()
}

/// Pods that cannot be scheduled for longer than this show that the cluster is full.
const UNSCHEDULABLE_SECONDS: i64 = 60;

/// Pods counted by v1's rules.
#[derive(Default)]
struct Pods {
    running: i64,
    unschedulable: i64,
}

impl Pods {
    fn count(&mut self, pod: &Value, now: jiff::Timestamp) {
        let conditions: BTreeMap<&str, &Value> =
            pod["status"]["conditions"].as_array().into_iter().flatten().filter_map(|c| Some((c["type"].as_str()?, c))).collect();
        if pod["status"]["phase"] == "Running" {
            self.running += i64::from(conditions.contains_key("Ready"));
            return;
        }
        let Some(scheduled) = conditions.get("PodScheduled") else { return };
        let since = scheduled["lastTransitionTime"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let long = since.is_some_and(|t| now.as_second() - t.as_second() > UNSCHEDULABLE_SECONDS);
        self.unschedulable += i64::from(scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable" && long);
    }

    fn survey(&self, replicas: i64) -> Survey {
        Survey { running: self.running, capacity: (self.unschedulable > 0).then(|| replicas.saturating_sub(self.unschedulable).max(0)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::exchange::tests::exchange;
    use super::*;

    #[test]
    fn pods_are_counted_by_v1s_rules() {
        let now: jiff::Timestamp = "2026-01-01T00:02:00Z".parse().unwrap();
        let pending = |since: &str, reason: &str| {
            json!({"status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": reason, "lastTransitionTime": since}]}})
        };
        let pods = json!([
            {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}},
            {"status": {"phase": "Running"}},
            pending("2026-01-01T00:00:30Z", "Unschedulable"),
            pending("2026-01-01T00:01:30Z", "Unschedulable"),
            pending("2026-01-01T00:00:30Z", "SchedulingGated"),
        ]);
        let mut counted = Pods::default();
        pods.as_array().unwrap().iter().for_each(|pod| counted.count(pod, now));
        assert_eq!(counted.survey(5), Survey { running: 1, capacity: Some(4) });
        assert_eq!(counted.survey(i64::MIN).capacity, Some(0));
        assert_eq!(Pods::default().survey(5), Survey { running: 0, capacity: None });
    }

    #[tokio::test]
    async fn d20_pods_are_counted_page_by_page() {
        let mut talk = exchange(|count, query| {
            let owners = json!([{"controller": true, "uid": "w"}]);
            let pod = json!({"metadata": {"ownerReferences": owners}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}});
            let token = if count < 2 { "more" } else { "" };
            assert_eq!(query.ends_with("&continue=more"), count > 0, "{query}");
            Ok((200, json!({"metadata": {"continue": token}, "items": [pod]})))
        });
        let key = ObjectKey { kind: crate::kinds::id("ReplicaSet"), namespace: "demo".into(), name: "web".into() };
        let outcome = talk.survey(&key, "app=web", 5, "w").await.unwrap();
        assert!(matches!(outcome, Outcome::Surveyed(Survey { running: 3, capacity: None })), "{outcome:?}");
    }

    #[tokio::test]
    async fn issue7_case_30_pods_are_counted_by_owner() {
        let mut talk = exchange(|count, _| {
            let of = |uid: &str| json!([{"controller": true, "uid": uid}]);
            let items = if count == 0 {
                json!([{"metadata": {"uid": "mine", "ownerReferences": of("w")}}, {"metadata": {"uid": "theirs", "ownerReferences": of("x")}}])
            } else {
                let old = "2026-01-01T00:00:00Z";
                let stuck = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": old}]);
                json!([
                    {"metadata": {"ownerReferences": of("mine")}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}},
                    {"metadata": {"ownerReferences": of("theirs")}, "status": {"phase": "Pending", "conditions": stuck}},
                    {"metadata": {}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}},
                ])
            };
            Ok((200, json!({"metadata": {}, "items": items})))
        });
        let key = ObjectKey { kind: crate::kinds::id("Deployment"), namespace: "demo".into(), name: "web".into() };
        let outcome = talk.survey(&key, "app=web", 5, "w").await.unwrap();
        assert!(matches!(outcome, Outcome::Surveyed(Survey { running: 1, capacity: None })), "{outcome:?}");
    }
}
