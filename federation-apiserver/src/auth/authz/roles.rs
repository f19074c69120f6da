//! The roles and bindings every federation starts with: Kubernetes' own, as far as they concern
//! kinds the federation serves, and the controller manager's.

use federation_api::keys::CONTROLLER_MANAGER_USER;
use serde_json::{Value, json};

use super::object::GROUP as RBAC;
use super::rule::Rule;
use crate::auth::{AUTHENTICATED, MASTERS, UNAUTHENTICATED};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const CORE: &str = "";
const APPS: &str = "apps";
const BATCH: &str = "batch";
const AUTOSCALING: &str = "autoscaling";
const NETWORKING: &str = "networking.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const EVENTS: &str = "events.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const HEALTH: &[&str] = &["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*"];
const API: &[&str] = &["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"];
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// Name of the controller manager's role and binding.
pub const CONTROLLER_MANAGER_ROLE: &str = "system:federation-controller-manager";

/// All bootstrap ClusterRoles, as objects.
pub fn cluster_roles() -> Vec<Value> {
    let plain = [
        ("cluster-admin", vec![Rule::all_resources(), Rule::all_urls()]),
        ("system:basic-user", basic_user()),
        ("system:discovery", vec![Rule::urls(API, &["get"]), Rule::urls(&["/healthz", "/livez", "/readyz"], &["get"])]),
        ("system:public-info-viewer", vec![Rule::urls(PUBLIC, &["get"])]),
        ("system:monitoring", vec![Rule::urls(HEALTH, &["get"]), Rule::urls(&["/metrics"], &["get"])]),
        ("system:auth-delegator", auth_delegator()),
        (CONTROLLER_MANAGER_ROLE, controller_manager()),
    ];
    let parts = [("admin", admin()), ("edit", edit()), ("view", view())];
    let mut out: Vec<Value> = plain.iter().map(|(name, rules)| object("ClusterRole", name, json!({"rules": rules}))).collect();
    for (name, rules) in &parts {
        let mut part = object("ClusterRole", &format!("system:aggregate-to-{name}"), json!({"rules": rules}));
        label(&mut part, name);
        out.push(part);
        let selector = json!({"matchLabels": {aggregate_label(name): "true"}});
        out.push(object("ClusterRole", name, json!({"aggregationRule": {"clusterRoleSelectors": [selector]}, "rules": []})));
    }
    // Each of the three holds the next smaller one.
    for (whole, within) in [("edit", "admin"), ("view", "edit")] {
        if let Some(role) = out.iter_mut().find(|r| r["metadata"]["name"] == whole) {
            label(role, within);
        }
    }
    out
}

/// All bootstrap ClusterRoleBindings, as objects.
pub fn cluster_role_bindings() -> Vec<Value> {
    let group = |name: &str| json!({"apiGroup": RBAC, "kind": "Group", "name": name});
    let user = |name: &str| json!({"apiGroup": RBAC, "kind": "User", "name": name});
    let bindings = [
        ("cluster-admin", vec![group(MASTERS)]),
        ("system:basic-user", vec![group(AUTHENTICATED)]),
        ("system:discovery", vec![group(AUTHENTICATED)]),
        ("system:public-info-viewer", vec![group(AUTHENTICATED), group(UNAUTHENTICATED)]),
        ("system:monitoring", vec![group("system:monitoring")]),
        (CONTROLLER_MANAGER_ROLE, vec![user(CONTROLLER_MANAGER_USER)]),
    ];
    let role = |name: &str| json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": name});
    bindings.iter().map(|(n, s)| object("ClusterRoleBinding", n, json!({"roleRef": role(n), "subjects": s}))).collect()
}

fn object(kind: &str, name: &str, rest: Value) -> Value {
    let mut out = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "annotations": {super::bootstrap::AUTO_UPDATE: "true"},
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        },
    });
    if let (Some(out), Value::Object(rest)) = (out.as_object_mut(), rest) {
        out.extend(rest);
    }
    out
}

fn aggregate_label(role: &str) -> String {
    format!("{RBAC}/aggregate-to-{role}")
}

fn label(role: &mut Value, within: &str) {
    role["metadata"]["labels"][aggregate_label(within)] = "true".into();
}

fn basic_user() -> Vec<Rule> {
    vec![
        Rule::on(&[AUTHORIZATION], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
        Rule::on(&[AUTHENTICATION], &["selfsubjectreviews"], &["create"]),
    ]
}

fn auth_delegator() -> Vec<Rule> {
    vec![Rule::on(&[AUTHENTICATION], &["tokenreviews"], &["create"]), Rule::on(&[AUTHORIZATION], &["subjectaccessreviews"], &["create"])]
}

/// Reading what holds no secrets in a namespace.
fn view() -> Vec<Rule> {
    let core = ["configmaps", "endpoints", "namespaces", "namespaces/status", "serviceaccounts", "services", "services/status"];
    let apps = ["daemonsets", "daemonsets/status", "deployments", "deployments/scale", "deployments/status"];
    vec![
        Rule::on(&[CORE], &core, READ),
        Rule::on(&[CORE, EVENTS], &["events"], READ),
        Rule::on(&[APPS], &apps, READ),
        Rule::on(&[APPS], &["replicasets", "replicasets/scale", "replicasets/status"], READ),
        Rule::on(&[BATCH], &["jobs", "jobs/status"], READ),
        Rule::on(&[AUTOSCALING], &["horizontalpodautoscalers", "horizontalpodautoscalers/status"], READ),
        Rule::on(&[NETWORKING], &["ingresses", "ingresses/status"], READ),
        Rule::on(&[DISCOVERY], &["endpointslices"], READ),
    ]
}

/// Writing workloads in a namespace, and reading what would let one escalate.
fn edit() -> Vec<Rule> {
    vec![
        Rule::on(&[CORE], &["secrets"], READ),
        Rule::on(&[CORE], &["serviceaccounts"], &["impersonate"]),
        Rule::on(&[CORE], &["configmaps", "secrets", "serviceaccounts", "services"], WRITE),
        Rule::on(&[CORE, EVENTS], &["events"], WRITE),
        Rule::on(&[APPS], &["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale"], WRITE),
        Rule::on(&[BATCH], &["jobs"], WRITE),
        Rule::on(&[AUTOSCALING], &["horizontalpodautoscalers"], WRITE),
        Rule::on(&[NETWORKING], &["ingresses"], WRITE),
        Rule::on(&[COORDINATION], &["leases"], ALL),
    ]
}

/// Granting within a namespace.
fn admin() -> Vec<Rule> {
    vec![Rule::on(&[AUTHORIZATION], &["localsubjectaccessreviews"], &["create"]), Rule::on(&[RBAC], &["roles", "rolebindings"], ALL)]
}

/// What the controller manager needs at the federation API, and nothing besides: it reads and
/// finalizes federated objects and writes status, its own kinds, events and its lease.
fn controller_manager() -> Vec<Rule> {
    let apps = ["daemonsets", "deployments", "replicasets"];
    let apps_status = ["daemonsets/status", "deployments/status", "replicasets/status"];
    let core = ["configmaps", "endpoints", "namespaces", "secrets", "serviceaccounts", "services"];
    vec![
        Rule::on(&["federation"], &["clusters", "clusters/status", "propagationrecords"], ALL),
        Rule::on(&[CORE], &core, ALL),
        Rule::on(&[CORE], &["namespaces/finalize"], &["update"]),
        Rule::on(&[CORE], &["namespaces/status", "services/status"], &["get", "patch", "update"]),
        Rule::on(&[APPS], &apps, ALL),
        Rule::on(&[APPS], &apps_status, &["get", "patch", "update"]),
        Rule::on(&[BATCH], &["jobs"], ALL),
        Rule::on(&[BATCH], &["jobs/status"], &["get", "patch", "update"]),
        Rule::on(&[AUTOSCALING], &["horizontalpodautoscalers"], ALL),
        Rule::on(&[AUTOSCALING], &["horizontalpodautoscalers/status"], &["get", "patch", "update"]),
        Rule::on(&[NETWORKING], &["ingresses"], ALL),
        Rule::on(&[NETWORKING], &["ingresses/status"], &["get", "patch", "update"]),
        Rule::on(&[DISCOVERY], &["endpointslices"], ALL),
        Rule::on(&[CORE, EVENTS], &["events"], ALL),
        Rule::on(&[COORDINATION], &["leases"], ALL),
        Rule::urls(API, &["get"]),
        Rule::urls(HEALTH, &["get"]),
    ]
}
