//! What members show of objects: what is remembered of each is as little as decisions need.

use federation_api::keys;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Map, Value, json};

pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod conditions;
pub(crate) mod runs;
pub(crate) mod scaler;

use crate::{
    compact::{Digest, Uid, Version},
    kinds::{Family, Kind},
};
pub(crate) use change::{Observed, Seeing};
use claim::Bound;
use conditions::Condition;
use runs::Runs;
use scaler::Scaler;

/// A member object as last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// uid in the member.
    pub(crate) uid: Uid,
    /// resourceVersion in the member.
    pub(crate) resource_version: Version,
    /// generation in the member.
    pub(crate) generation: i64,
    /// uid of the federated object it was made from, as its annotation says.
    pub(crate) source_uid: Uid,
    /// Whether the label says that it is this federation's.
    pub(crate) labelled: bool,
    /// Digest of the set of fields that we own. Server-side apply takes a field away from us when somebody
    /// else changes it, so this changes exactly when something we set was changed.
    pub(crate) owned: Digest,
    /// Digest of what was written, as its annotation says.
    pub(crate) applied: Digest,
    /// Deletion has begun.
    pub(crate) deleting: bool,
    /// What a workload reports.
    pub(crate) workload: Option<Box<Workload>>,
}

/// What a workload's spec and status say in one member.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Workload {
    /// `spec.replicas` or `spec.parallelism`.
    pub(crate) replicas: i64,
    /// `spec.completions`.
    pub(crate) completions: Option<i64>,
    /// `status.readyReplicas`.
    pub(crate) ready: i64,
    /// `status.observedGeneration`.
    pub(crate) observed_generation: i64,
    /// `spec.selector` as a label selector string, for listing its pods.
    pub(crate) pod_selector: String,
    /// The kind's status counters, in the kind's order.
    pub(crate) counters: Vec<i64>,
    /// `status.startTime` of a Job.
    pub(crate) start_time: Option<String>,
    /// `status.completionTime` of a Job.
    pub(crate) completion_time: Option<String>,
    /// The condition `Failed` or `Complete` of a Job, when `True`.
    pub(crate) finished: Option<Value>,
    /// Somebody else decides about `spec.replicas`, such as an autoscaler.
    pub(crate) scaled: bool,
    /// Conditions of a Deployment.
    pub(crate) conditions: Box<[Condition]>,
    /// `status.currentRevision` and `status.updateRevision` of a StatefulSet.
    pub(crate) revisions: Option<Box<[String; 2]>>,
    /// The bounds of an autoscaler, and what it reports.
    pub(crate) scaler: Option<Box<Scaler>>,
    /// What a claim is bound to.
    pub(crate) claim: Option<Box<Bound>>,
    /// What a CronJob runs and ran.
    pub(crate) runs: Option<Box<Runs>>,
}

impl Seen {
    /// From metadata alone.
    pub(crate) fn from_metadata(metadata: &ObjectMeta, federation: &str) -> Self {
        let annotation = |key: &str| metadata.annotations.as_ref()?.get(key).map(String::as_str);
        Self {
            uid: metadata.uid.as_deref().map_or_else(Uid::default, Uid::from),
            resource_version: metadata.resource_version.as_deref().map_or_else(Version::default, Version::from),
            generation: metadata.generation.unwrap_or_default(),
            source_uid: annotation(keys::SOURCE_UID).map_or_else(Uid::default, Uid::from),
            labelled: metadata.labels.as_ref().and_then(|l| l.get(keys::MANAGED_BY)).is_some_and(|v| v == federation),
            owned: owned(metadata.managed_fields.as_deref().unwrap_or_default()),
            applied: annotation(keys::APPLIED).map_or_else(Digest::default, Digest::from),
            deleting: metadata.deletion_timestamp.is_some(),
            workload: None,
        }
    }

    /// From the whole object.
    pub(crate) fn from_object(kind: &Kind, object: &DynamicObject, federation: &str) -> Self {
        let scaled = is_scaled(object.metadata.managed_fields.as_deref().unwrap_or_default());
        let workload = kind.reports().then(|| Box::new(Workload { scaled, ..Workload::from_data(kind, &object.data) }));
        Self { workload, ..Self::from_metadata(&object.metadata, federation) }
    }

    /// Whether the object is ours: by label, or by the mark of the federated object it was made from.
    pub(crate) fn is_ours(&self, uid: &Uid) -> bool {
        self.labelled || (!uid.is_empty() && self.source_uid == *uid)
    }

    /// Whether the object is ours and was not made from another federated object.
    pub(crate) fn is_from(&self, uid: &Uid) -> bool {
        self.is_ours(uid) && (self.source_uid.is_empty() || self.source_uid == *uid)
    }
}

/// Whether anybody but us owns `spec.replicas`.
fn is_scaled(entries: &[ManagedFieldsEntry]) -> bool {
    let others = entries.iter().filter(|e| e.manager.as_deref() != Some(keys::FIELD_MANAGER));
    others.filter_map(|e| e.fields_v1.as_ref()).any(|fields| !fields.0["f:spec"]["f:replicas"].is_null())
}

/// Digest of the fields owned by our manager through apply; empty when there are none.
fn owned(entries: &[ManagedFieldsEntry]) -> Digest {
    let ours = |e: &&ManagedFieldsEntry| {
        e.manager.as_deref() == Some(keys::FIELD_MANAGER)
            && e.operation.as_deref() == Some("Apply")
            && e.subresource.as_deref().unwrap_or_default().is_empty()
    };
    entries.iter().find(ours).and_then(|e| e.fields_v1.as_ref()).map(|f| Digest::of(f.0.to_string().as_bytes())).unwrap_or_default()
}

impl Workload {
    /// How a Job ended, to be remembered and read again by [`Self::of_status`]; nothing as long as it has not.
    pub(crate) fn outcome(&self, kind: &Kind) -> Option<Value> {
        let condition = self.finished.as_ref()?;
        let mut status = Map::new();
        for (name, count) in kind.counters.iter().zip(&self.counters).filter(|(_, count)| **count != 0) {
            status.insert((*name).to_owned(), (*count).into());
        }
        for (name, time) in [("startTime", &self.start_time), ("completionTime", &self.completion_time)] {
            status.extend(time.iter().map(|time| (name.to_owned(), time.as_str().into())));
        }
        status.insert("conditions".into(), json!([condition]));
        Some(status.into())
    }

    /// What is known of a workload of which only the status is left.
    pub(crate) fn of_status(kind: &Kind, status: &Value) -> Self {
        Self::from_data(kind, &json!({"status": status}))
    }

    fn from_data(kind: &Kind, data: &Value) -> Self {
        let number = |path: &str| data.pointer(path).and_then(Value::as_i64);
        let text = |path: &str| data.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let replicas = if kind.family == Family::Job { "/spec/parallelism" } else { "/spec/replicas" };
        let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
        let finished = |wanted: &str| conditions.into_iter().flatten().find(|c| c["type"] == wanted && c["status"] == "True").cloned();
        Self {
            replicas: number(replicas).unwrap_or_default(),
            completions: number("/spec/completions"),
            ready: number("/status/readyReplicas").unwrap_or_default(),
            observed_generation: number("/status/observedGeneration").unwrap_or_default(),
            pod_selector: pod_selector(data.pointer("/spec/selector")),
            counters: kind.counters.iter().map(|c| data["status"][*c].as_i64().unwrap_or_default()).collect(),
            start_time: text("/status/startTime"),
            completion_time: text("/status/completionTime"),
            scaled: false,
            finished: if kind.family == Family::Job { finished("Failed").or_else(|| finished("Complete")) } else { None },
            conditions: if kind.kind == "Deployment" { Condition::read(&data["status"]) } else { Box::default() },
            revisions: if kind.kind == "StatefulSet" {
                text("/status/currentRevision").zip(text("/status/updateRevision")).map(|(is, will)| Box::new([is, will]))
            } else {
                None
            },
            scaler: (kind.family == Family::Autoscaler).then(|| Box::new(Scaler::read(data))),
            claim: (kind.family == Family::Claim).then(|| Box::new(Bound::read(&data["status"]))),
            runs: (kind.family == Family::Schedule).then(|| Box::new(Runs::read(&data["status"]))),
        }
    }
}

/// A label selector as the query parameter `labelSelector` spells it.
fn pod_selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let mut parts = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn a_deployment_is_reduced_to_what_decisions_need() {
        let kind = KINDS.iter().find(|k| k.resource == "deployments").unwrap();
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "uid": "m1", "resourceVersion": "9", "generation": 2,
                "labels": {"federation.kubernetes.io/managed-by": "fellowship"},
                "annotations": {"federation.kubernetes.io/source-uid": "u1"},
                "managedFields": [{"manager": "federation", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
            },
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "In", "values": ["a", "b"]}]}},
            "status": {"replicas": 3, "readyReplicas": 2, "observedGeneration": 2}
        }))
        .unwrap();
        let seen = Seen::from_object(kind, &object, "fellowship");
        let workload = seen.workload.as_ref().unwrap();
        assert!(seen.is_ours(&Uid::default()) && !seen.owned.is_empty());
        assert_eq!((workload.replicas, workload.ready, &*workload.counters), (3, 2, &[3, 0, 2, 0, 0][..]));
        assert_eq!(workload.pod_selector, "app=web,x in (a,b)");
    }

    #[test]
    fn losing_a_field_changes_what_we_own() {
        let entry = |operation: &str, fields: Value| {
            serde_json::from_value::<ManagedFieldsEntry>(json!({"manager": "federation", "operation": operation, "fieldsV1": fields}))
                .unwrap()
        };
        let both = owned(&[entry("Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}))]);
        let one = owned(&[entry("Apply", json!({"f:data": {"f:a": {}}}))]);
        assert_ne!(both, one);
        assert!(owned(&[entry("Update", json!({"f:data": {}}))]).is_empty());
    }
}
