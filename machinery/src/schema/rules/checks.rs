//! What the rules of several groups look at.

use serde_json::Value;

use crate::status::{FieldError, FieldErrorKind};

/// `field is immutable` when the value under a path changed; a value that was not set may be set.
pub(super) fn immutable(new: &Value, old: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    let (is, was) = path.iter().fold((new, old), |(is, was), key| (&is[*key], &was[*key]));
    if is != was {
        errors.push(FieldError::invalid(path.join("."), is.clone(), "field is immutable"));
    }
}

/// The items of a list; none when it is missing.
pub(super) fn items(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn not_negative(value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.as_i64().is_some_and(|n| n < 0) {
        errors.push(FieldError::invalid(path, value.clone(), "must be greater than or equal to 0"));
    }
}

pub(super) fn port_number(value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if !(1..=65535).contains(&value.as_i64().unwrap_or_default()) {
        let shown = if value.is_null() { Value::from(0) } else { value.clone() };
        errors.push(FieldError::invalid(path, shown, "must be between 1 and 65535, inclusive"));
    }
}

pub(super) fn duplicate(path: String, value: &Value) -> FieldError {
    FieldError { field: path, kind: FieldErrorKind::Duplicate, value: Some(value.clone()), detail: String::new() }
}

/// One of a fixed set of words; empty values are left to others.
pub(super) fn one_of(value: &Value, path: &str, allowed: &[&str], errors: &mut Vec<FieldError>) {
    let Some(word) = value.as_str() else { return };
    if !allowed.contains(&word) {
        errors.push(not_supported(path, word, allowed));
    }
}

pub(super) fn not_supported(path: &str, word: &str, allowed: &[&str]) -> FieldError {
    let allowed: Vec<String> = allowed.iter().map(|a| format!("{a:?}")).collect();
    let detail = format!("supported values: {}", allowed.join(", "));
    FieldError { field: path.into(), kind: FieldErrorKind::NotSupported, value: Some(word.into()), detail }
}
