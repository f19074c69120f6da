//! `rbac.authorization.k8s.io`.

use serde_json::Value;

use super::checks::{immutable, items, not_supported, text};
use super::selector;
use crate::schema::metadata;
use crate::status::FieldError;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Rules of a Role.
pub fn role(object: &Value, namespaced: bool, errors: &mut Vec<FieldError>) {
    for (index, rule) in items(&object["rules"]) {
        policy_rule(rule, &format!("rules[{index}]"), namespaced, errors);
    }
}

/// Rules of a ClusterRole.
pub fn cluster_role(object: &Value, errors: &mut Vec<FieldError>) {
    role(object, false, errors);
    let aggregation = &object["aggregationRule"];
    if aggregation.is_object() && items(&aggregation["clusterRoleSelectors"]).next().is_none() {
        errors.push(FieldError::required("aggregationRule.clusterRoleSelectors", "an aggregation rule needs a selector"));
    }
    for (index, item) in items(&aggregation["clusterRoleSelectors"]) {
        selector::syntax(item, &format!("aggregationRule.clusterRoleSelectors[{index}]"), errors);
    }
}

fn policy_rule(rule: &Value, path: &str, namespaced: bool, errors: &mut Vec<FieldError>) {
    let none = |key: &str| items(&rule[key]).next().is_none();
    if none("verbs") {
        errors.push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
    }
    if !none("nonResourceURLs") {
        if namespaced {
            let detail = "URLs are in no namespace";
            errors.push(FieldError::invalid(format!("{path}.nonResourceURLs"), rule["nonResourceURLs"].clone(), detail));
        }
        if !none("apiGroups") || !none("resources") || !none("resourceNames") {
            let detail = "a rule is about resources or about URLs, not both";
            errors.push(FieldError::invalid(format!("{path}.nonResourceURLs"), rule["nonResourceURLs"].clone(), detail));
        }
        return;
    }
    if none("apiGroups") {
        errors.push(FieldError::required(format!("{path}.apiGroups"), "resource rules must supply at least one api group"));
    }
    if none("resources") {
        errors.push(FieldError::required(format!("{path}.resources"), "resource rules must supply at least one resource"));
    }
}

/// Rules of a RoleBinding or ClusterRoleBinding.
pub fn binding(object: &Value, namespaced: bool, errors: &mut Vec<FieldError>) {
    let role = &object["roleRef"];
    if text(&role["apiGroup"]) != GROUP {
        errors.push(not_supported("roleRef.apiGroup", text(&role["apiGroup"]), &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&text(&role["kind"])) {
        errors.push(not_supported("roleRef.kind", text(&role["kind"]), kinds));
    }
    match text(&role["name"]) {
        "" => errors.push(FieldError::required("roleRef.name", "")),
        name => errors.extend(metadata::path_segment(name).err().map(|why| FieldError::invalid("roleRef.name", name, why))),
    }
    for (index, item) in items(&object["subjects"]) {
        subject(item, &format!("subjects[{index}]"), namespaced, errors);
    }
}

fn subject(subject: &Value, path: &str, namespaced: bool, errors: &mut Vec<FieldError>) {
    let (kind, name) = (text(&subject["kind"]), text(&subject["name"]));
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let group = match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                errors.extend(metadata::dns_subdomain(name).err().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
            }
            if !namespaced && text(&subject["namespace"]).is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
            ""
        }
        "User" | "Group" => GROUP,
        other => {
            errors.push(not_supported(&format!("{path}.kind"), other, &["ServiceAccount", "User", "Group"]));
            return;
        }
    };
    if text(&subject["apiGroup"]) != group {
        errors.push(not_supported(&format!("{path}.apiGroup"), text(&subject["apiGroup"]), &[group]));
    }
}

/// The role of a binding stays.
pub fn binding_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    immutable(new, old, &["roleRef"], errors);
    if let Some(error) = errors.get_mut(before) {
        error.detail = "cannot change roleRef".into();
    }
}
