//! Validation: required fields of any kind, then the rules of the kind.

use std::collections::HashSet;

use serde_json::Value;

use super::{Gvk, Shape, TypeId, Types, rules};
use crate::status::FieldError;

/// Errors of a conformed and defaulted object, `metadata` aside (see [`super::validate_metadata`]).
pub fn validate(types: &Types, gvk: &Gvk, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(id) = types.kind(&gvk.group, &gvk.version, &gvk.kind) {
        required(types, id, object, "", &mut errors);
    }
    let ruled = rules::validate(gvk, object);
    let fields: HashSet<&str> = ruled.iter().map(|r| r.field.as_str()).collect();
    errors.retain(|e| !fields.contains(e.field.as_str()));
    drop(fields);
    errors.extend(ruled);
    errors
}

/// Errors of a change: what may not be changed once it is set.
pub fn validate_update(gvk: &Gvk, new: &Value, old: &Value) -> Vec<FieldError> {
    rules::validate_update(gvk, new, old)
}

/// Required fields that are missing or empty strings.
///
/// Required lists, objects and numbers are left to the rules of the kind, because Go's zero value
/// stands in for them and upstream words the error itself. Status and metadata are not looked at.
fn required(types: &Types, id: TypeId, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match (&types.get(id).shape, value) {
        (Shape::Object(fields), Value::Object(map)) => {
            for field in &fields.fields {
                if path.is_empty() && matches!(field.name.as_str(), "metadata" | "status") {
                    continue;
                }
                let inner = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
                let value = map.get(&field.name);
                let is_text = matches!(types.get(field.type_id).shape, Shape::String(_));
                let missing = value.is_none_or(|v| v.is_null() || v.as_str() == Some(""));
                if field.required && is_text && missing && !may_be_empty(&types.get(id).name, &field.name) {
                    errors.push(FieldError::required(inner, ""));
                } else if let Some(value) = value {
                    required(types, field.type_id, value, &inner, errors);
                }
            }
        }
        (Shape::List { items, .. }, Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                required(types, *items, item, &format!("{path}[{index}]"), errors);
            }
        }
        (Shape::Map { values, .. }, Value::Object(map)) => {
            for (key, item) in map {
                required(types, *values, item, &format!("{path}[{key}]"), errors);
            }
        }
        _ => {}
    }
}

/// Strings upstream lists as required although the empty string is allowed.
fn may_be_empty(owner: &str, field: &str) -> bool {
    matches!((owner.rsplit('.').next().unwrap_or_default(), field), ("RoleRef", "apiGroup") | ("EventSeries", _) | ("Toleration", _))
}
