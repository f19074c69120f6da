//! HorizontalPodAutoscalers of `autoscaling/v1`, which know one metric, the processor's utilization. All else that `v2`
//! has is carried in annotations, as upstream does (`pkg/apis/autoscaling/v1/conversion.go`).

mod fields;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::fields::{BEHAVIOR, CONDITION, METRIC, METRIC_STATUS};
use super::carried::{read, read_list, text, texts};
use super::way::Conversion;

pub(super) static V1: Conversion = Conversion { stored: "v2", to_stored: to_v2, from_stored: from_v2 };

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// Annotations that carry fields between versions, and so are never stored.
const ANNOTATIONS: [&str; 6] = [
    METRICS,
    CURRENT_METRICS,
    CONDITIONS,
    BEHAVIOR_ANNOTATION,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

/// Of a processor whose utilization nobody asked for.
const DEFAULT_UTILIZATION: i32 = 80;

type Object = Map<String, Value>;

fn part<'a>(root: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    root.get_mut(name)?.as_object_mut()
}

fn taken(object: &mut Object, name: &str) -> Vec<Value> {
    match object.remove(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Utilization of the processor, if that is what a metric is about: at most one field `v1` has.
fn utilization(metric: &Value, at: &str) -> Option<Value> {
    let processor = metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
    processor.then(|| metric["resource"][at]["averageUtilization"].clone()).filter(Value::is_number)
}

fn from_v2(object: &mut Value) {
    let Some(root) = object.as_object_mut().filter(|root| !root.is_empty()) else { return };
    let mut carried: Vec<(&str, String)> = Vec::new();
    if let Some(spec) = part(root, "spec") {
        let (processor, others): (Vec<Value>, Vec<Value>) =
            taken(spec, "metrics").into_iter().partition(|metric| utilization(metric, "target").is_some());
        if let Some(target) = processor.first().and_then(|metric| utilization(metric, "target")) {
            spec.insert("targetCPUUtilizationPercentage".into(), target);
        }
        if !others.is_empty() {
            carried.push((METRICS, texts(METRIC, &others)));
        }
        if let Some(behavior) = spec.remove("behavior").filter(|behavior| !behavior.is_null()) {
            carried.push((BEHAVIOR_ANNOTATION, text(BEHAVIOR, &behavior)));
        }
    }
    root.entry("status").or_insert_with(|| json!({}));
    if let Some(status) = part(root, "status") {
        let metrics = taken(status, "currentMetrics");
        // All of it is carried: the utilization is not all that is known of the processor.
        if !metrics.is_empty() {
            carried.push((CURRENT_METRICS, texts(METRIC_STATUS, &metrics)));
        }
        if let Some(current) = metrics.iter().rev().find_map(|metric| utilization(metric, "current")) {
            status.insert("currentCPUUtilizationPercentage".into(), current);
        }
        let conditions = taken(status, "conditions");
        if !conditions.is_empty() {
            carried.push((CONDITIONS, texts(CONDITION, &conditions)));
        }
        for count in ["currentReplicas", "desiredReplicas"] {
            status.entry(count).or_insert_with(|| 0.into());
        }
    }
    drop_annotations(root);
    for (name, text) in carried {
        object["metadata"]["annotations"][name] = text.into();
    }
}

fn to_v2(object: &mut Value) {
    let Some(root) = object.as_object_mut() else { return };
    let annotation = |name: &str| root.get("metadata")?.get("annotations")?.get(name)?.as_str();
    let others = annotation(METRICS).and_then(|text| read_list(METRIC, text));
    let behavior = annotation(BEHAVIOR_ANNOTATION).and_then(|text| read(BEHAVIOR, text)).filter(|read| *read != json!({}));
    let current = annotation(CURRENT_METRICS).and_then(|text| read_list(METRIC_STATUS, text));
    let conditions = annotation(CONDITIONS).and_then(|text| read_list(CONDITION, text));
    if let Some(spec) = part(root, "spec") {
        let target = spec.remove("targetCPUUtilizationPercentage").filter(|target| !target.is_null());
        let mut metrics: Vec<Value> = others.unwrap_or_default().into_iter().map(fields::with_target_types).collect();
        metrics.extend(target.map(|target| processor("target", &json!({"type": "Utilization", "averageUtilization": target}))));
        if metrics.is_empty() {
            metrics.push(processor("target", &json!({"type": "Utilization", "averageUtilization": DEFAULT_UTILIZATION})));
        }
        spec.insert("metrics".into(), metrics.into());
        if let Some(behavior) = behavior {
            spec.insert("behavior".into(), behavior);
        }
    }
    if (current.is_some() || conditions.is_some()) && !root.contains_key("status") {
        root.insert("status".into(), json!({}));
    }
    if let Some(status) = part(root, "status") {
        let known = status.remove("currentCPUUtilizationPercentage").filter(|known| !known.is_null());
        let known = known.map(|known| vec![processor("current", &json!({"averageUtilization": known}))]);
        if let Some(metrics) = current.or(known).filter(|metrics| !metrics.is_empty()) {
            status.insert("currentMetrics".into(), metrics.into());
        }
        if let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) {
            status.insert("conditions".into(), conditions.into());
        }
    }
    drop_annotations(root);
}

/// A metric of the processor.
fn processor(what: &str, value: &Value) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", what: value}})
}

/// Takes away what other versions carry in annotations.
pub(super) fn drop_annotations(root: &mut Object) {
    let Some(metadata) = part(root, "metadata") else { return };
    let Some(annotations) = part(metadata, "annotations") else { return };
    annotations.retain(|name, _| !ANNOTATIONS.contains(&name.as_str()));
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}
