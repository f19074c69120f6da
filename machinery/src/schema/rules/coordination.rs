//! `coordination.k8s.io`.

use serde_json::Value;

use super::checks::not_negative;
use crate::status::FieldError;

/// Rules of a Lease.
pub fn lease(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let duration = &spec["leaseDurationSeconds"];
    if duration.as_i64().is_some_and(|n| n <= 0) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", duration.clone(), "must be greater than 0"));
    }
    not_negative(&spec["leaseTransitions"], "spec.leaseTransitions", errors);
}
