//! `authorization.k8s.io`: access reviews.

use serde_json::Value;

use super::checks::{items, text};
use crate::status::FieldError;

/// A review asks about exactly one thing and, where it asks for others, names somebody.
pub fn review(object: &Value, errors: &mut Vec<FieldError>) {
    let (kind, spec) = (text(&object["kind"]), &object["spec"]);
    if kind == "SelfSubjectRulesReview" {
        return;
    }
    let (resource, other) = (spec["resourceAttributes"].is_object(), spec["nonResourceAttributes"].is_object());
    if resource && other {
        let detail = "cannot be specified in combination with resourceAttributes";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"].clone(), detail));
    }
    if !resource && !other {
        let detail = "needs one of resourceAttributes and nonResourceAttributes, not both";
        errors.push(FieldError::invalid("spec.resourceAttributes", spec["resourceAttributes"].clone(), detail));
    }
    if kind != "SelfSubjectAccessReview" && text(&spec["user"]).is_empty() && items(&spec["groups"]).next().is_none() {
        errors.push(FieldError::invalid("spec.user", "", "at least one of user or group must be specified"));
    }
}
