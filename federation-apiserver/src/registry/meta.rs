//! What an update may not do to `metadata`, besides what the schema engine knows.

use std::collections::BTreeSet;

use machinery::status::FieldError;
use serde_json::Value;

/// Checks a change of metadata. What the server owns was carried over before.
pub(crate) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    if !old["metadata"]["deletionTimestamp"].is_string() {
        return Vec::new();
    }
    let list =
        |v: &Value| -> BTreeSet<String> { v["metadata"]["finalizers"].as_array().into_iter().flatten().map(Value::to_string).collect() };
    let added: Vec<String> = list(new).difference(&list(old)).cloned().collect();
    if added.is_empty() {
        return Vec::new();
    }
    let rule = format!("nobody new may wait for an object that is being deleted: {}", added.join(", "));
    vec![FieldError::forbidden("metadata.finalizers", rule)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dying_object_takes_no_new_finalizers() {
        let old = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a"]}});
        assert!(validate_update(&json!({"metadata": {"finalizers": ["a"]}}), &old).is_empty());
        assert_eq!(validate_update(&json!({"metadata": {"finalizers": ["a", "b"]}}), &old).len(), 1);
    }
}
