//! The roles and bindings every federation starts with: Kubernetes' own, as far as they concern
//! kinds the federation serves, and the controller manager's.

use federation_api::keys::CONTROLLER_MANAGER_USER;
use federation_api::kinds::{self, Access, Kind};
use serde_json::{Value, json};

use super::object::{AUTO_UPDATE, GROUP as RBAC};
use super::rule::Rule;
use crate::auth::{AUTHENTICATED, MASTERS, UNAUTHENTICATED};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const FINALIZE: &[&str] = &["get", "list", "patch", "update", "watch"];
const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const CORE: &str = "";
const DISCOVERY: &str = "discovery.k8s.io";
const EVENTS: &str = "events.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const HEALTH: &[&str] = &["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*"];
const API: &[&str] = &["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"];
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// Where the keys that verify tokens of service accounts are told.
const ISSUER: &[&str] = &["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"];
/// Role of who may read them, and its binding.
const ISSUER_DISCOVERY: &str = "system:service-account-issuer-discovery";

/// Role of who issues and revokes credentials of others, whom he may act as (`impersonate`) by other roles.
const CREDENTIAL_ISSUER: &str = "system:federation-credential-issuer";

/// Signers of Kubernetes, below `kubernetes.io/`, that a role to approve is there for.
const SIGNERS: [&str; 4] = ["kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown"];

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
        (ISSUER_DISCOVERY, vec![Rule::urls(ISSUER, &["get"])]),
        ("system:node-bootstrapper", vec![Rule::on(&[CERTIFICATES], &["certificatesigningrequests"], &["create", "get", "list", "watch"])]),
        ("system:certificates.k8s.io:certificatesigningrequests:nodeclient", approved("nodeclient")),
        ("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", approved("selfnodeclient")),
        (CREDENTIAL_ISSUER, credential_issuer()),
        (CONTROLLER_MANAGER_ROLE, controller_manager()),
    ];
    let approvers = SIGNERS.map(|signer| (format!("system:certificates.k8s.io:{signer}-approver"), vec![approves(signer)]));
    let parts = [("admin", admin()), ("edit", edit()), ("view", view())];
    let mut out: Vec<Value> = plain.iter().map(|(name, rules)| object("ClusterRole", name, json!({"rules": rules}))).collect();
    out.extend(approvers.iter().map(|(name, rules)| object("ClusterRole", name, json!({"rules": rules}))));
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
        (ISSUER_DISCOVERY, vec![group("system:serviceaccounts")]),
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
            "annotations": {AUTO_UPDATE: "true"},
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

/// Approving requests for one of Kubernetes' signers; the right to write approvals comes from elsewhere.
fn approves(signer: &str) -> Rule {
    let names = vec![format!("kubernetes.io/{signer}")];
    Rule { resource_names: names, ..Rule::on(&[CERTIFICATES], &["signers"], &["approve"]) }
}

/// Having one's own requests for kubelets' certificates approved by themselves.
fn approved(part: &str) -> Vec<Rule> {
    vec![Rule::on(&[CERTIFICATES], &[&format!("certificatesigningrequests/{part}")], &["create"])]
}

fn basic_user() -> Vec<Rule> {
    vec![
        Rule::on(&[AUTHORIZATION], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
        Rule::on(&[AUTHENTICATION], &["selfsubjectreviews"], &["create"]),
    ]
}

/// Having certificates signed and taking credentials back.
fn credential_issuer() -> Vec<Rule> {
    vec![
        Rule::on(&[CERTIFICATES], &["certificatesigningrequests"], &["create", "delete", "get", "list", "watch"]),
        Rule::on(&[CERTIFICATES], &["certificatesigningrequests/approval"], &["patch", "update"]),
        approves("kube-apiserver-client"),
        Rule::on(&["federation"], &["credentials"], &["create", "get", "list", "watch"]),
        Rule::on(&["federation"], &["credentials/status"], &["patch", "update"]),
    ]
}

fn auth_delegator() -> Vec<Rule> {
    vec![Rule::on(&[AUTHENTICATION], &["tokenreviews"], &["create"]), Rule::on(&[AUTHORIZATION], &["subjectaccessreviews"], &["create"])]
}

/// Reading what holds no secrets in a namespace.
fn view() -> Vec<Rule> {
    let mut rules = federated(READ, |kind| match kind.served.access {
        Access::Read | Access::Write => [Some(Part::Itself), scale(kind), status(kind)].into(),
        Access::Secret | Access::Grant => vec![],
    });
    rules.extend([
        Rule::on(&[CORE], &["endpoints"], READ),
        Rule::on(&[CORE, EVENTS], &["events"], READ),
        Rule::on(&[DISCOVERY], &["endpointslices"], READ),
    ]);
    rules
}

/// Writing workloads in a namespace, and reading what would let one escalate.
fn edit() -> Vec<Rule> {
    let mut rules = federated(READ, |kind| if kind.served.access == Access::Secret { vec![Some(Part::Itself)] } else { vec![] });
    rules.extend(federated(WRITE, |kind| match kind.served.access {
        Access::Write | Access::Secret => vec![Some(Part::Itself), scale(kind)],
        Access::Read | Access::Grant => vec![],
    }));
    rules.extend([
        Rule::on(&[CORE], &["serviceaccounts"], &["impersonate"]),
        Rule::on(&[CORE], &["serviceaccounts/token"], &["create"]),
        Rule::on(&[CORE, EVENTS], &["events"], WRITE),
        Rule::on(&[COORDINATION], &["leases"], ALL),
    ]);
    rules
}

/// Granting within a namespace.
fn admin() -> Vec<Rule> {
    let mut rules = federated(ALL, |kind| if kind.served.access == Access::Grant { vec![Some(Part::Itself)] } else { vec![] });
    rules.push(Rule::on(&[AUTHORIZATION], &["localsubjectaccessreviews"], &["create"]));
    rules
}

/// What the controller manager needs at the federation API, and nothing besides: it reads and
/// finalizes federated objects and writes status, its own kinds, events and its lease.
fn controller_manager() -> Vec<Rule> {
    let grants = |kind: &Kind| kind.served.access == Access::Grant;
    let mut rules = federated(ALL, |kind| if grants(kind) { vec![] } else { vec![Some(Part::Itself)] });
    // It finalizes what grants rights, and makes none.
    rules.extend(federated(FINALIZE, |kind| if grants(kind) { vec![Some(Part::Itself)] } else { vec![] }));
    rules.extend(federated(&["get", "patch", "update"], |kind| vec![status(kind)]));
    rules.extend([
        Rule::on(&["federation"], &["clusters", "clusters/status", "propagationrecords"], ALL),
        Rule::on(&[CORE], &["endpoints"], ALL),
        Rule::on(&[CORE], &["namespaces/finalize"], &["update"]),
        Rule::on(&[DISCOVERY], &["endpointslices"], ALL),
        Rule::on(&[CORE, EVENTS], &["events"], ALL),
        Rule::on(&[COORDINATION], &["leases"], ALL),
        Rule::urls(API, &["get"]),
        Rule::urls(HEALTH, &["get"]),
    ]);
    rules
}

/// What rules may speak of.
#[derive(Clone, Copy)]
enum Part {
    Itself,
    Scale,
    Status,
}

fn scale(kind: &Kind) -> Option<Part> {
    kind.served.scale.then_some(Part::Scale)
}

fn status(kind: &Kind) -> Option<Part> {
    kind.served.status.then_some(Part::Status)
}

/// Rules about the kinds that the federation spreads: the same verbs on some parts of each, one rule a group.
fn federated(verbs: &[&str], parts: impl Fn(&Kind) -> Vec<Option<Part>>) -> Vec<Rule> {
    let of_group = |group: &&str| {
        let named = |kind: &'static Kind| {
            parts(kind).into_iter().flatten().map(|part| match part {
                Part::Itself => kind.resource.to_owned(),
                Part::Scale => format!("{}/scale", kind.resource),
                Part::Status => format!("{}/status", kind.resource),
            })
        };
        let resources: Vec<String> = kinds::of_group(group).flat_map(named).collect();
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        (!resources.is_empty()).then(|| Rule::on(&[group], &resources, verbs))
    };
    kinds::groups().iter().filter_map(of_group).collect()
}
