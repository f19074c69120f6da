//! Errors as Kubernetes tells them: `kind: Status`.
//!
//! The one place where HTTP code, reason, message and details of an error are fixed.

use serde::Serialize;
use serde_json::{Value, json};

/// An error answer of the API.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, `metav1.StatusReason`.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// What it is about; `null` when there is nothing to say.
    pub details: Value,
}

/// Why one field was refused, `field.ErrorType` of apimachinery.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum FieldErrorKind {
    /// The value is missing.
    #[serde(rename = "FieldValueRequired")]
    Required,
    /// The value breaks a rule.
    #[serde(rename = "FieldValueInvalid")]
    Invalid,
    /// The value is not one of those allowed.
    #[serde(rename = "FieldValueNotSupported")]
    NotSupported,
    /// The value appears twice in a set.
    #[serde(rename = "FieldValueDuplicate")]
    Duplicate,
    /// The value may not be given here.
    #[serde(rename = "FieldValueForbidden")]
    Forbidden,
    /// The value names something that is not there.
    #[serde(rename = "FieldValueNotFound")]
    NotFound,
    /// The value is longer than allowed.
    #[serde(rename = "FieldValueTooLong")]
    TooLong,
    /// The list has more items than allowed.
    #[serde(rename = "FieldValueTooMany")]
    TooMany,
    /// The value has the wrong JSON type.
    #[serde(rename = "FieldValueTypeInvalid")]
    TypeInvalid,
}

/// Most refused fields one answer lists.
const MAX_CAUSES: usize = 1000;

/// One refused field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path as Kubernetes writes it, `spec.ports[0].port`.
    pub field: String,
    /// Why it was refused.
    pub kind: FieldErrorKind,
    /// The value, where showing it helps; `None` for `Required` and `Forbidden`.
    pub value: Option<Value>,
    /// The rule in words; may be empty.
    pub detail: String,
}

impl FieldError {
    /// A required field is missing.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), kind: FieldErrorKind::Required, value: None, detail: detail.into() }
    }

    /// A value breaks a rule.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), kind: FieldErrorKind::Invalid, value: Some(value.into()), detail: detail.into() }
    }

    /// A value may not be given here.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), kind: FieldErrorKind::Forbidden, value: None, detail: detail.into() }
    }

    /// The message of the cause: kind, value and detail without the path.
    pub fn message(&self) -> String {
        let head = match self.kind {
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Invalid | FieldErrorKind::TypeInvalid => "Invalid value",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::NotFound => "Not found",
            FieldErrorKind::TooLong => "Too long",
            FieldErrorKind::TooMany => "Too many",
        };
        let mut out = head.to_owned();
        if let Some(value) = &self.value {
            out.push_str(": ");
            out.push_str(&value.to_string());
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

/// `resource` or `resource.group`, as messages name a resource.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut d = serde_json::Map::new();
    for (k, v) in [("group", group), ("kind", kind), ("name", name)] {
        if !v.is_empty() {
            d.insert(k.into(), v.into());
        }
    }
    Value::Object(d)
}

impl ApiError {
    /// Any error from its parts, without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// 404 for one object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        Self { details: details(group, resource, name), ..Self::new(404, "NotFound", message) }
    }

    /// 404 for a path nobody serves.
    pub fn no_such_path() -> Self {
        Self { details: json!({}), ..Self::new(404, "NotFound", "the server could not find the requested resource") }
    }

    /// 409 on create.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Self { details: details(group, resource, name), ..Self::new(409, "AlreadyExists", message) }
    }

    /// 409 on a write based on an old version.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, resource));
        Self { details: details(group, resource, name), ..Self::new(409, "Conflict", message) }
    }

    /// 422 with a cause for each field. `kind` is the Kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let (errors, more) = errors.split_at(errors.len().min(MAX_CAUSES));
        let mut each: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.field, e.message())).collect();
        if !more.is_empty() {
            each.push(format!("and {} more", more.len()));
        }
        let list = if each.len() == 1 { each[0].clone() } else { format!("[{}]", each.join(", ")) };
        let message = format!("{} \"{name}\" is invalid: {list}", qualified(group, kind));
        let mut d = details(group, kind, name);
        d["causes"] = errors.iter().map(|e| json!({"reason": e.kind, "message": e.message(), "field": e.field})).collect();
        Self { details: d, ..Self::new(422, "Invalid", message) }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403. `action` is the whole sentence after the object's name.
    pub fn forbidden(group: &str, resource: &str, name: &str, action: &str) -> Self {
        let what = qualified(group, resource);
        let message = match (what.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {action}"),
            (false, true) => format!("{what} is forbidden: {action}"),
            (false, false) => format!("{what} \"{name}\" is forbidden: {action}"),
        };
        Self { details: details(group, resource, name), ..Self::new(403, "Forbidden", message) }
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self { details: json!({}), ..Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource") }
    }

    /// 410: the revision asked for has been compacted away.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!("the body of the request was in an unknown format - accepted media types include: {}", accepted.join(", "));
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 500. The message is for the operator; nothing secret may be in it.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// 503 for a passing state, such as storage that is away.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { details: json!({"retryAfterSeconds": 1}), ..Self::new(503, "ServiceUnavailable", message) }
    }

    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut v = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            v["details"] = self.details.clone();
        }
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_reads_as_a_sentence_and_several_as_a_list() {
        let one = [FieldError::required("spec.ports", "")];
        assert_eq!(ApiError::invalid("", "Service", "web", &one).message, "Service \"web\" is invalid: spec.ports: Required value");
        let two = [FieldError::required("a", ""), FieldError::invalid("b", 3, "must be even")];
        let e = ApiError::invalid("apps", "Deployment", "web", &two);
        assert_eq!(e.message, "Deployment.apps \"web\" is invalid: [a: Required value, b: Invalid value: 3: must be even]");
        assert_eq!(e.details["causes"][1]["reason"], "FieldValueInvalid");
    }

    #[test]
    fn d5_errors_are_told_up_to_a_number() {
        let many = vec![FieldError::required("a", ""); 100_000];
        let e = ApiError::invalid("", "Service", "web", &many);
        assert_eq!(e.details["causes"].as_array().map(Vec::len), Some(1000));
        assert!(e.message.ends_with("a: Required value, and 99000 more]"), "{}", e.message.len());
    }

    #[test]
    fn resources_are_named_with_their_group() {
        assert_eq!(ApiError::not_found("apps", "deployments", "web").message, "deployments.apps \"web\" not found");
        assert_eq!(ApiError::not_found("", "secrets", "s").message, "secrets \"s\" not found");
    }
}
