//! `policy`.

use serde_json::Value;

use super::apps::percentage;
use super::checks::{not_negative, one_of};
use super::selector;
use crate::status::FieldError;

/// Rules of a PodDisruptionBudget.
pub fn disruption_budget(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        errors.push(FieldError::invalid("spec", spec.clone(), "minAvailable and maxUnavailable cannot be both set"));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        let path = format!("spec.{key}");
        match spec[key].as_str() {
            Some(percent) => match percentage(percent) {
                None => errors.push(FieldError::invalid(path, percent, "must be a number, or digits and '%' such as 25%")),
                Some(101..) => errors.push(FieldError::invalid(path, percent, "must not be greater than 100%")),
                Some(_) => {}
            },
            None => not_negative(&spec[key], &path, errors),
        }
    }
    if spec["selector"].is_object() {
        selector::syntax(&spec["selector"], "spec.selector", errors);
    }
    one_of(&spec["unhealthyPodEvictionPolicy"], "spec.unhealthyPodEvictionPolicy", &["AlwaysAllow", "IfHealthyBudget"], errors);
}
