//! The core group.

use std::time::Duration;

use machinery::schema::metadata::{self, NameRule};
use serde_json::{Value, json};

use super::resource::{Resource, Strategy, Subresource};
use super::workloads;
use crate::auth::UserInfo;
use crate::names::Names;

fn core(kind: &'static str, plural: &'static str, singular: &'static str) -> Resource {
    Resource::namespaced("", "v1", kind, plural, singular)
}

/// Resources of every profile besides the federated kinds.
pub(super) fn resources() -> Vec<Resource> {
    vec![
        Resource { short_names: Names::Fixed(&["ep"]), ..core("Endpoints", "endpoints", "endpoints") },
        Resource {
            short_names: Names::Fixed(&["ev"]),
            selectable: Names::Fixed(EVENT_FIELDS),
            ttl: Some(Duration::from_secs(3600)),
            ..core("Event", "events", "event")
        },
    ]
}

/// Resources of hollow members.
pub(super) fn member() -> Vec<Resource> {
    vec![
        Resource {
            short_names: Names::Fixed(&["no"]),
            namespaced: false,
            subresources: &[Subresource::Status],
            selectable: Names::Fixed(&["spec.unschedulable"]),
            strategy: &Nodes,
            ..core("Node", "nodes", "node")
        },
        Resource {
            short_names: Names::Fixed(&["po"]),
            categories: Names::Fixed(&["all"]),
            subresources: &[Subresource::Status],
            selectable: Names::Fixed(&[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "status.phase",
                "status.podIP",
            ]),
            strategy: &workloads::Pods,
            ..core("Pod", "pods", "pod")
        },
    ]
}

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

/// Service accounts: DELETE answers the object.
pub(super) struct ServiceAccounts;

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

/// Claims of storage: unbound at first; DELETE answers the object.
pub(super) struct Claims;

impl Strategy for Claims {
    fn prepare_create(&self, object: &mut Value, _user: &UserInfo) {
        object["status"] = json!({"phase": "Pending"});
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn counts_generations(&self) -> bool {
        false
    }
}

/// Nodes of hollow members: their status may be given on creation, as kubelets do.
struct Nodes;

impl Strategy for Nodes {
    fn counts_generations(&self) -> bool {
        false
    }

    fn keeps_status_on_create(&self) -> bool {
        true
    }
}

/// RBAC objects have generous names.
pub(super) struct Rbac;

impl Strategy for Rbac {
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
