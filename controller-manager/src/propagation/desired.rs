//! What should be in a member: a pure function of the federated object and its share.

use bytes::Bytes;
use federation_api::keys;
use kube::api::DynamicObject;
use serde_json::{Map, Value};

use crate::compact::Digest;
use crate::kinds::{Family, Kind, NAMESPACE, ObjectKey};

#[cfg(test)]
#[path = "desired_tests.rs"]
mod tests;

/// A cluster's part of a divided object.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Split {
    /// `spec.replicas`, a Job's `spec.parallelism`, or an autoscaler's `spec.maxReplicas`.
    pub(crate) replicas: i64,
    /// An autoscaler's `spec.minReplicas`.
    pub(crate) minimum: Option<i64>,
    /// An autoscaler of the cluster decides about the replicas: they are not mentioned.
    pub(crate) scaled: bool,
    /// A Job's `spec.completions`.
    pub(crate) completions: Option<i64>,
}

/// Annotations that speak to the federation or to other tools about the federated object, and mean nothing in a member.
const FEDERATION_ONLY: [&str; 9] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    keys::CLUSTER_SELECTOR,
    keys::CONFLICT,
    keys::PROPAGATE,
    keys::SERVICE_INGRESSES,
    keys::SOURCE_UID,
    keys::APPLIED,
];

/// Labels that a Job controller puts into pod templates; each cluster makes its own.
const JOB_LABELS: [&str; 4] = ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];

/// The object as it is applied to a member.
pub(crate) fn member_object(key: &ObjectKey, object: &DynamicObject, federation: &str, split: Option<Split>) -> Value {
    let kind = key.kind();
    let mut body = Map::new();
    body.insert("apiVersion".into(), kind.api_version().into());
    body.insert("kind".into(), kind.kind.into());
    body.insert("metadata".into(), metadata(key, object, federation));
    if let Value::Object(fields) = &object.data {
        body.extend(
            fields
                .iter()
                .filter(|(k, _)| !matches!(k.as_str(), "status" | "apiVersion" | "kind" | "metadata"))
                .map(|(k, v)| (k.clone(), v.clone())),
        );
    }
    if key.kind == NAMESPACE {
        body.remove("spec");
    }
    if let Some(Value::Object(spec)) = body.get_mut("spec") {
        match kind.family {
            Family::Service => own_addresses(spec),
            Family::Job => own_job(spec, split),
            Family::Autoscaler => {
                let split = split.unwrap_or_default();
                spec.insert("maxReplicas".into(), split.replicas.into());
                spec.extend(split.minimum.map(|minimum| ("minReplicas".to_owned(), minimum.into())));
            }
            Family::Replicated if split.is_some_and(|split| split.scaled) => {
                spec.remove("replicas");
            }
            Family::Replicated => {
                spec.insert("replicas".into(), split.unwrap_or_default().replicas.into());
            }
            Family::Plain | Family::Claim | Family::Schedule => {}
        }
    }
    let mut body = Value::Object(body);
    drop_nulls(&mut body);
    body
}

fn metadata(key: &ObjectKey, object: &DynamicObject, federation: &str) -> Value {
    let preferences = key.kind().preferences;
    let mut labels: Map<String, Value> = object.metadata.labels.iter().flatten().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    labels.insert(keys::MANAGED_BY.into(), federation.into());
    let mut annotations: Map<String, Value> = object
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(k, _)| !FEDERATION_ONLY.contains(&k.as_str()) && Some(k.as_str()) != preferences)
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    annotations.insert(keys::SOURCE_UID.into(), object.metadata.uid.as_deref().unwrap_or_default().into());
    let mut metadata = Map::new();
    metadata.insert("name".into(), key.name.as_str().into());
    if !key.namespace.is_empty() {
        metadata.insert("namespace".into(), key.namespace.as_str().into());
    }
    metadata.insert("labels".into(), labels.into());
    metadata.insert("annotations".into(), annotations.into());
    metadata.into()
}

/// Addresses and ports that each cluster allocates for itself. A headless Service stays headless.
fn own_addresses(spec: &mut Map<String, Value>) {
    if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        spec.remove("clusterIP");
    }
    for field in ["clusterIPs", "ipFamilies", "healthCheckNodePort"] {
        spec.remove(field);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

/// A Job's share. The selector that a server generated is left to each cluster; one the user wrote is kept.
/// When it is over the federation deletes all copies together: a member that did so alone would say nothing of how
/// its Job ended.
fn own_job(spec: &mut Map<String, Value>, split: Option<Split>) {
    if let Some(split) = split {
        spec.insert("parallelism".into(), split.replicas.into());
        if let Some(completions) = split.completions {
            spec.insert("completions".into(), completions.into());
        }
    }
    spec.remove("ttlSecondsAfterFinished");
    if spec.get("manualSelector").and_then(Value::as_bool) == Some(true) {
        return;
    }
    spec.remove("selector");
    spec.remove("manualSelector");
    if let Some(labels) = spec.get_mut("template").and_then(|t| t.pointer_mut("/metadata/labels")).and_then(Value::as_object_mut) {
        labels.retain(|k, _| !JOB_LABELS.contains(&k.as_str()));
    }
}

/// In an applied configuration `null` is not "absent"; what the federation does not set it must not mention.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What is sent to a member: the object, and on it the digest of all the rest, so that the copy itself says what was
/// written last, whatever becomes of records and versions. `serde_json` keeps keys sorted, so equal objects have equal
/// digests.
pub(crate) fn body(mut object: Value) -> (Digest, Bytes) {
    let digest = Digest::of(object.to_string().as_bytes());
    object["metadata"]["annotations"][keys::APPLIED] = digest.to_string().into();
    (digest, object.to_string().into())
}

/// What is divided: replicas, or a Job's parallelism.
pub(crate) fn wanted_replicas(kind: &Kind, object: &DynamicObject) -> i64 {
    let field = match kind.family {
        Family::Job => "/spec/parallelism",
        Family::Autoscaler => "/spec/maxReplicas",
        _ => "/spec/replicas",
    };
    object.data.pointer(field).and_then(Value::as_i64).unwrap_or(1).max(0)
}

/// A Job's completions, if it has a fixed number of them.
pub(crate) fn wanted_completions(object: &DynamicObject) -> Option<i64> {
    object.data.pointer("/spec/completions").and_then(Value::as_i64)
}
