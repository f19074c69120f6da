//! Label selectors inside objects.

use serde_json::Value;

use super::checks::{items, text};
use crate::schema::metadata;
use crate::status::{FieldError, FieldErrorKind};

/// Syntax of a `LabelSelector`.
pub(super) fn syntax(selector: &Value, path: &str, errors: &mut Vec<FieldError>) {
    errors.extend(metadata::labels(selector.get("matchLabels"), &format!("{path}.matchLabels")));
    for (index, requirement) in items(&selector["matchExpressions"]) {
        let path = format!("{path}.matchExpressions[{index}]");
        let key = text(&requirement["key"]);
        errors.extend(metadata::qualified_name(key).err().map(|why| FieldError::invalid(format!("{path}.key"), key, why)));
        let values = requirement["values"].as_array().map_or(0, Vec::len);
        match text(&requirement["operator"]) {
            "In" | "NotIn" if values == 0 => {
                errors.push(FieldError::required(format!("{path}.values"), "In and NotIn need values"));
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if values > 0 => {
                errors.push(FieldError::forbidden(format!("{path}.values"), "Exists and DoesNotExist take no values"));
            }
            "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator")),
        }
    }
}

/// Whether a selector has no conditions.
pub(super) fn is_empty(selector: &Value) -> bool {
    selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty)
        && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty)
}

/// Whether labels satisfy a selector.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    let all = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    all && items(&selector["matchExpressions"]).all(|(_, requirement)| {
        let label = labels.get(text(&requirement["key"]));
        let listed = || items(&requirement["values"]).any(|(_, v)| Some(v) == label);
        match text(&requirement["operator"]) {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            _ => false,
        }
    })
}

/// The selector of a workload: there, not empty, well formed, and matching the template's labels.
pub(super) fn of_workload(spec: &Value, what: &str, errors: &mut Vec<FieldError>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    let before = errors.len();
    syntax(selector, "spec.selector", errors);
    if errors.len() > before {
        return;
    }
    if !selector.is_null() && is_empty(selector) {
        let detail = format!("empty selector is invalid for {what}");
        errors.push(FieldError::invalid("spec.selector", selector.clone(), detail));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if selector.is_null() || !matches(selector, labels) {
        errors.push(FieldError {
            field: "spec.template.metadata.labels".into(),
            kind: FieldErrorKind::Invalid,
            value: Some(labels.clone()),
            detail: "`selector` does not match template `labels`".into(),
        });
    }
}
