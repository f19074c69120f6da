//! Cross-field rules and immutable fields, one file per API group.
//!
//! Rules read conformed and defaulted objects; missing parts read as `null`.

use serde_json::Value;

use super::Gvk;
use crate::status::FieldError;

/// The rules of a kind.
pub(super) fn validate(gvk: &Gvk, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        _ => {}
    }
    let _ = (object, &mut errors);
    errors
}

/// What an update of a kind may not change.
pub(super) fn validate_update(gvk: &Gvk, new: &Value, old: &Value) -> Vec<FieldError> {
    let _ = (gvk, new, old);
    Vec::new()
}
