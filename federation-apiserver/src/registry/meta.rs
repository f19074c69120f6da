//! Rules of `metadata` that hold for every kind (apimachinery's `ValidateObjectMeta`).

use federation_api::names;
use machinery::status::{FieldError, FieldErrorKind};
use serde_json::{Map, Value};

/// Annotations of one object may take so many bytes, keys and values together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// A rule for names: `Err` holds the rule in words.
pub type NameRule = fn(&str) -> Result<(), String>;

/// RFC 1123 subdomain, the rule of most kinds.
pub fn subdomain(name: &str) -> Result<(), String> {
    rule(
        names::is_rfc1123_subdomain(name),
        "must be an RFC 1123 subdomain: lower-case letters, digits, '-' and '.', each part starting and ending with a letter or digit, \
         for example 'example.com'",
    )
}

/// RFC 1123 label.
pub fn label(name: &str) -> Result<(), String> {
    rule(
        names::is_rfc1123_label(name),
        "must be an RFC 1123 label: at most 63 lower-case letters, digits and '-', starting and ending with a letter or digit, \
         for example 'my-name' or '123-abc'",
    )
}

/// RFC 1035 label: starts with a letter.
pub fn dns_label(name: &str) -> Result<(), String> {
    rule(
        names::is_rfc1035_label(name),
        "must be an RFC 1035 label: at most 63 lower-case letters, digits and '-', starting with a letter and ending with a letter or \
         digit, for example 'my-name' or 'abc-123'",
    )
}

/// Anything that can stand between two slashes of a path; names of RBAC objects.
pub fn path_segment(name: &str) -> Result<(), String> {
    rule(!matches!(name, "." | ".."), "may not be '.' or '..'")?;
    rule(!name.contains(['/', '%']), "may not contain '/' or '%'")
}

fn rule(ok: bool, words: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(words.to_owned()) }
}

/// `[prefix/]name`, as label keys, annotation keys and finalizers are written.
pub fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((p, n)) => (Some(p), n),
        None => (None, key),
    };
    prefix.is_none_or(names::is_rfc1123_subdomain) && is_label_text(name) && !name.is_empty()
}

/// A label value: empty, or at most 63 of letters, digits, `-_.`, with a letter or digit at both ends.
fn is_label_text(text: &str) -> bool {
    let b = text.as_bytes();
    let inner = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    b.is_empty() || (b.len() <= 63 && b[0].is_ascii_alphanumeric() && b[b.len() - 1].is_ascii_alphanumeric() && b.iter().all(inner))
}

const QUALIFIED: &str = "must be a name of letters, digits, '-', '_' and '.', at most 63 characters, optionally after a DNS subdomain and '/'";
const LABEL_VALUE: &str = "must be empty or at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit";

fn strings<'a>(meta: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    meta.get(field).and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default()))
}

/// Checks the metadata of an object that is about to be stored.
pub fn validate(object: &Value, name_rule: NameRule) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(meta) = object.get("metadata").and_then(Value::as_object) else {
        return vec![FieldError::required("metadata", "")];
    };
    let text = |field: &str| meta.get(field).and_then(Value::as_str).unwrap_or_default();
    let generate = text("generateName");
    if !generate.is_empty() && name_rule(&format!("{}a", generate.trim_end_matches('-'))).is_err() {
        errors.push(FieldError::invalid("metadata.generateName", generate, "does not make valid names"));
    }
    let name = text("name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Err(words) = name_rule(name) {
        errors.push(FieldError::invalid("metadata.name", name, words));
    }
    for (key, value) in strings(meta, "labels") {
        if !is_qualified_name(key) {
            errors.push(FieldError::invalid("metadata.labels", key, QUALIFIED));
        }
        if !is_label_text(value) {
            errors.push(FieldError::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    let mut size = 0;
    for (key, value) in strings(meta, "annotations") {
        size += key.len() + value.len();
        if !is_qualified_name(&key.to_ascii_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", key, QUALIFIED));
        }
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError {
            kind: FieldErrorKind::TooLong,
            ..FieldError::forbidden("metadata.annotations", format!("may not be more than {MAX_ANNOTATIONS} bytes"))
        });
    }
    for finalizer in list(meta, "finalizers").filter_map(Value::as_str) {
        if !is_qualified_name(finalizer) {
            errors.push(FieldError::invalid("metadata.finalizers", finalizer, QUALIFIED));
        }
    }
    owners(meta, &mut errors);
    errors
}

fn list<'a>(meta: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = &'a Value> {
    meta.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn owners(meta: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let mut controllers = 0;
    for (i, owner) in list(meta, "ownerReferences").enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                errors.push(FieldError::required(format!("metadata.ownerReferences[{i}].{field}"), "may not be empty"));
            }
        }
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        errors.push(FieldError::invalid("metadata.ownerReferences", controllers, "only one reference may be the controller"));
    }
}

/// Checks what an update may not do to metadata. What the server owns was carried over before.
pub fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if old["metadata"]["deletionTimestamp"].is_string() {
        let had: Vec<&Value> = old["metadata"]["finalizers"].as_array().into_iter().flatten().collect();
        let added: Vec<&Value> = new["metadata"]["finalizers"].as_array().into_iter().flatten().filter(|f| !had.contains(f)).collect();
        if !added.is_empty() {
            errors.push(FieldError::forbidden("metadata.finalizers", "an object that is being deleted takes no new finalizers"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(metadata: Value) -> Vec<String> {
        validate(&json!({ "metadata": metadata }), subdomain).into_iter().map(|e| e.field).collect()
    }

    #[test]
    fn good_metadata_passes() {
        let meta = json!({"name": "a.b-c", "labels": {"app.kubernetes.io/name": "x_Y.z", "empty": ""},
            "annotations": {"federation.kubernetes.io/Deployment-preferences": "{}"}, "finalizers": ["orphan"]});
        assert_eq!(fields(meta), Vec::<String>::new());
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        let meta = json!({"name": "A", "labels": {"-a": "b c"}, "annotations": {"a/b/c": ""}, "finalizers": ["no good"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]});
        let want = ["metadata.name", "metadata.labels", "metadata.labels", "metadata.annotations", "metadata.finalizers", "metadata.ownerReferences[0].uid"];
        assert_eq!(fields(meta), want);
        assert_eq!(fields(json!({})), ["metadata.name"]);
    }

    #[test]
    fn a_dying_object_takes_no_new_finalizers() {
        let old = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a"]}});
        assert!(validate_update(&json!({"metadata": {"finalizers": ["a"]}}), &old).is_empty());
        assert_eq!(validate_update(&json!({"metadata": {"finalizers": ["a", "b"]}}), &old).len(), 1);
    }
}
