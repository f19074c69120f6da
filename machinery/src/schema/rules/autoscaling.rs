//! `autoscaling`.

use serde_json::Value;

use super::checks::{items, one_of, text};
use crate::schema::metadata;
use crate::status::FieldError;

/// Rules of a HorizontalPodAutoscaler.
pub fn autoscaler(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let number = |key: &str| spec[key].as_i64().unwrap_or_default();
    let (min, max) = (spec["minReplicas"].as_i64(), number("maxReplicas"));
    if let Some(min) = min.filter(|m| *m < 1) {
        errors.push(FieldError::invalid("spec.minReplicas", min, "must be greater than or equal to 1"));
    }
    if max == 0 {
        errors.push(FieldError::required("spec.maxReplicas", "must be set and greater than 0"));
    } else if max < 0 {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to 1"));
    }
    if min.is_some_and(|min| max < min) {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to `minReplicas`"));
    }
    for key in ["kind", "name"] {
        let value = text(&spec["scaleTargetRef"][key]);
        let path = format!("spec.scaleTargetRef.{key}");
        match value {
            "" => errors.push(FieldError::required(path, "")),
            value => errors.extend(metadata::path_segment(value).err().map(|why| FieldError::invalid(path, value, why))),
        }
    }
    let elsewhere = items(&spec["metrics"]).any(|(_, m)| matches!(text(&m["type"]), "Object" | "External"));
    if min == Some(0) && !elsewhere {
        let detail = "scaling to zero needs a metric of type Object or External";
        errors.push(FieldError::forbidden("spec.metrics", detail));
    }
    let target = &spec["scaleTargetRef"];
    if !text(&target["apiVersion"]).contains('/') && text(&target["kind"]) != "ReplicationController" {
        let shown = text(&target["apiVersion"]);
        errors.push(FieldError::invalid("spec.scaleTargetRef.apiVersion", shown, "apiVersion must specify API group"));
    }
    for (index, metric) in items(&spec["metrics"]) {
        let path = format!("spec.metrics[{index}]");
        let kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"];
        one_of(&metric["type"], &format!("{path}.type"), &kinds, errors);
        let source = text(&metric["type"]);
        let mut field = source.to_owned();
        if let Some(first) = field.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        if kinds.contains(&source) && !metric[&field].is_object() {
            let detail = "is needed for a metric of this type";
            errors.push(FieldError::required(format!("{path}.{field}"), detail));
        }
    }
}
