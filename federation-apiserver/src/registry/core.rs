//! The core group.

use std::time::Duration;

use machinery::schema::metadata::{self, NameRule};
use machinery::status::FieldError;
use serde_json::{Value, json};

use super::namespaces::Namespaces;
use super::resource::{Resource, Strategy, Subresource};
use super::services::Services;
use super::workloads;

const fn core(kind: &'static str, plural: &'static str, singular: &'static str) -> Resource {
    Resource::namespaced("", "v1", kind, plural, singular)
}

/// Resources of every profile.
pub(super) static RESOURCES: &[Resource] = &[
    Resource { short_names: &["cm"], strategy: &Immutable(&["data", "binaryData"]), ..core("ConfigMap", "configmaps", "configmap") },
    Resource { short_names: &["ep"], ..core("Endpoints", "endpoints", "endpoints") },
    Resource { short_names: &["ev"], selectable: EVENT_FIELDS, ttl: Some(Duration::from_secs(3600)), ..core("Event", "events", "event") },
    Resource {
        short_names: &["ns"],
        namespaced: false,
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[Subresource::Finalize, Subresource::Status],
        selectable: &["status.phase"],
        strategy: &Namespaces,
        ..core("Namespace", "namespaces", "namespace")
    },
    Resource { selectable: &["type"], strategy: &Immutable(&["data", "stringData"]), ..core("Secret", "secrets", "secret") },
    Resource { short_names: &["sa"], strategy: &ServiceAccounts, ..core("ServiceAccount", "serviceaccounts", "serviceaccount") },
    Resource {
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        selectable: &["spec.clusterIP", "spec.type"],
        strategy: &Services,
        ..core("Service", "services", "service")
    },
];

/// Resources of hollow members.
pub(super) static MEMBER: &[Resource] = &[
    Resource {
        short_names: &["no"],
        namespaced: false,
        subresources: &[Subresource::Status],
        selectable: &["spec.unschedulable"],
        strategy: &Nodes,
        ..core("Node", "nodes", "node")
    },
    Resource {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        strategy: &workloads::Pods,
        ..core("Pod", "pods", "pod")
    },
];

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Config maps and secrets: data of valid keys, which `immutable: true` freezes. The last of the
/// fields is `binaryData` or, for secrets, the write-only `stringData`.
struct Immutable(&'static [&'static str]);

impl Immutable {
    fn is_secret(&self) -> bool {
        self.0.contains(&"stringData")
    }
}

impl Strategy for Immutable {
    fn prepare_create(&self, object: &mut Value, _user: &crate::auth::UserInfo) {
        if self.is_secret() {
            fold_string_data(object);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.is_secret() {
            fold_string_data(new);
            if new.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
                new["type"] = old["type"].clone();
            }
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut size = 0;
        for field in self.0 {
            for (key, value) in new[*field].as_object().into_iter().flatten() {
                size += value.as_str().map_or(0, str::len);
                let ok = !key.is_empty() && key.len() <= 253 && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
                if !ok || key == "." || key.starts_with("..") {
                    let rule = "must be at most 253 letters, digits, '-', '_' and '.', and neither '.' nor begin with '..'";
                    errors.push(FieldError::invalid(format!("{field}[{key}]"), key.as_str(), rule));
                }
            }
        }
        // Secrets are counted as base64 here, a third more than their bytes.
        let limit = if self.is_secret() { (1 << 20) / 3 * 4 + 4 } else { 1 << 20 };
        if size > limit {
            let kind = machinery::status::FieldErrorKind::TooLong;
            errors.push(FieldError { kind, ..FieldError::forbidden("data", "may not be more than 1048576 bytes") });
        }
        let Some(old) = old else { return errors };
        if old["immutable"] == true {
            if new["immutable"] != true {
                errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
            }
            errors.extend(
                self.0
                    .iter()
                    .filter(|f| new[**f] != old[**f])
                    .map(|f| FieldError::forbidden(*f, "field is immutable when `immutable` is set")),
            );
        }
        if self.is_secret() && new["type"] != old["type"] {
            errors.push(FieldError::invalid("type", new["type"].clone(), "field is immutable"));
        }
        errors
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn has_status(&self) -> bool {
        false
    }
}

/// `stringData` is a convenience of writing: it ends up in `data`.
fn fold_string_data(object: &mut Value) {
    use base64::Engine as _;
    if let Some(root) = object.as_object_mut()
        && let Some(Value::Object(plain)) = root.remove("stringData")
    {
        for (key, value) in plain {
            let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
            object["data"][key] = encoded.into();
        }
    }
}

/// Service accounts: DELETE answers the object.
struct ServiceAccounts;

impl Strategy for ServiceAccounts {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn has_status(&self) -> bool {
        false
    }
}

/// Nodes of hollow members: their status may be given on creation, as kubelets do.
struct Nodes;

impl Strategy for Nodes {
    fn validate(&self, _new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
        Vec::new()
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn keeps_status_on_create(&self) -> bool {
        true
    }
}

/// Rules of RBAC objects, which have generous names and a `roleRef` that stays.
pub(super) struct Rbac;

impl Strategy for Rbac {
    fn prepare_create(&self, object: &mut Value, _user: &crate::auth::UserInfo) {
        default_subjects(object);
    }

    fn prepare_update(&self, new: &mut Value, _old: &Value) {
        default_subjects(new);
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let changed = old.is_some_and(|old| old["roleRef"] != new["roleRef"]);
        let role = changed.then(|| FieldError::invalid("roleRef", new["roleRef"].clone(), "cannot change roleRef"));
        role.into_iter().collect()
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn has_status(&self) -> bool {
        false
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(metadata::path_segment)
    }
}

/// Groups of subjects and of the role, as Kubernetes fills them.
fn default_subjects(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        let missing = subject["apiGroup"].as_str().is_none_or(str::is_empty);
        if missing && matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            subject["apiGroup"] = GROUP.into();
        }
    }
    if let Some(role) = object.get_mut("roleRef").filter(|r| r["apiGroup"].as_str().is_none_or(str::is_empty)) {
        role["apiGroup"] = json!(GROUP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({"stringData": {"a": "hi"}, "data": {"b": "eA=="}});
        Immutable(&["data", "stringData"]).prepare_create(&mut secret, &Default::default());
        assert_eq!(secret, json!({"data": {"a": "aGk=", "b": "eA=="}}));
    }

    #[test]
    fn immutable_data_stays() {
        let rules = Immutable(&["data", "binaryData"]);
        let old = json!({"immutable": true, "data": {"a": "1"}});
        assert!(rules.validate(&old, Some(&old)).is_empty());
        assert_eq!(rules.validate(&json!({"immutable": true, "data": {"a": "2"}}), Some(&old))[0].field, "data");
        assert_eq!(rules.validate(&json!({"data": {"../x": "1"}}), None)[0].field, "data[../x]");
    }
}
