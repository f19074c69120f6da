//! Columns of networking, rbac, coordination, extensions, and of the federation's own kinds.

use serde_json::Value;

use super::super::age::human_duration;
use super::super::cell::{NONE, UNKNOWN, condition, int, joined, labels, list, load_balancer, plain, text, text_or};
use super::super::column::{Column, Columns};
use super::common::{AGE, CREATED_AT, NAME, column, number, wide};

pub(super) fn columns(group: &str, kind: &str) -> Option<Columns> {
    Some(match (group, kind) {
        ("networking.k8s.io", "Ingress") => vec![
            NAME,
            column("Class", |o| text_or(o, "/spec/ingressClassName", NONE).into()),
            column("Hosts", |o| hosts(o).into()),
            column("Address", |o| load_balancer(o).join(",").into()),
            column("Ports", |o| if list(o, "/spec/tls").is_empty() { "80".into() } else { "80, 443".into() }),
            AGE,
        ],
        ("networking.k8s.io", "IngressClass") => vec![
            Column { cell: |o| class_name(o).into(), ..NAME },
            column("Controller", |o| text(o, "/spec/controller").into()),
            column("Parameters", |o| parameters(o).into()),
            AGE,
        ],
        ("networking.k8s.io", "NetworkPolicy") => {
            vec![NAME, column("Pod-Selector", |o| super::super::cell::selector(o, "/spec/podSelector").into()), AGE]
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => vec![
            NAME,
            AGE,
            column("SignerName", |o| text_or(o, "/spec/signerName", NONE).into()),
            column("Requestor", |o| text(o, "/spec/username").into()),
            column("RequestedDuration", |o| requested(o).into()),
            column("Condition", |o| decided(o).into()),
        ],
        ("policy", "PodDisruptionBudget") => vec![
            NAME,
            column("Min Available", |o| o.pointer("/spec/minAvailable").map_or_else(|| "N/A".into(), plain).into()),
            column("Max Unavailable", |o| o.pointer("/spec/maxUnavailable").map_or_else(|| "N/A".into(), plain).into()),
            number("Allowed Disruptions", |o| int(o, "/status/disruptionsAllowed").into()),
            AGE,
        ],
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => vec![NAME, CREATED_AT],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => vec![
            NAME,
            column("Role", |o| format!("{}/{}", text(o, "/roleRef/kind"), text(o, "/roleRef/name")).into()),
            AGE,
            wide("Users", |o| subjects(o, "User").into()),
            wide("Groups", |o| subjects(o, "Group").into()),
            wide("ServiceAccounts", |o| subjects(o, "ServiceAccount").into()),
        ],
        ("coordination.k8s.io", "Lease") => vec![NAME, column("Holder", |o| text(o, "/spec/holderIdentity").into()), AGE],
        ("apiextensions.k8s.io", "CustomResourceDefinition") => vec![NAME, CREATED_AT],
        ("federation", "Cluster") => vec![
            NAME,
            column("Ready", |o| ready(o).into()),
            column("Region", |o| text_or(o, "/status/region", NONE).into()),
            column("Zones", |o| joined(list(o, "/status/zones").iter().map(plain)).into()),
            AGE,
            wide("Server", |o| text_or(o, "/spec/serverAddressByClientCIDRs/0/serverAddress", NONE).into()),
            wide("Labels", |o| labels(o, "/metadata/labels").into()),
        ],
        ("federation", "Credential") => vec![
            NAME,
            column("Type", |o| text(o, "/spec/type").into()),
            column("User", |o| text_or(o, "/spec/user", NONE).into()),
            column("Expires", |o| text_or(o, "/spec/notAfter", NONE).into()),
            column("State", |o| if o.pointer("/status/revoked").is_some() { "Revoked" } else { "Issued" }.into()),
            AGE,
            wide("Groups", |o| joined(list(o, "/spec/groups").iter().map(plain)).into()),
            wide("Issued-By", |o| text_or(o, "/spec/issuedBy", NONE).into()),
            wide("Reason", |o| text_or(o, "/status/revoked/reason", NONE).into()),
            wide("Last-Used", |o| text_or(o, "/status/lastUsed/time", NONE).into()),
            wide("From", |o| text_or(o, "/status/lastUsed/address", NONE).into()),
        ],
        ("federation", "PropagationRecord") => records(),
        _ => return None,
    })
}

/// The life that a certificate is asked for.
fn requested(o: &Value) -> String {
    let seconds = o.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
    seconds.map_or_else(|| NONE.to_owned(), human_duration)
}

/// What became of a request for a certificate.
fn decided(o: &Value) -> String {
    let has = |kind: &str| list(o, "/status/conditions").iter().any(|c| c["type"] == kind);
    let first = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if text(o, "/status/certificate").is_empty() { "" } else { ",Issued" };
    format!("{first}{failed}{issued}")
}

fn ready(o: &Value) -> &str {
    match (condition(o, "Ready"), condition(o, "Offline")) {
        (Some("True"), _) => "True",
        (_, Some("True")) => "Offline",
        (Some(status), _) if !status.is_empty() => status,
        _ => "Unknown",
    }
}

fn hosts(o: &Value) -> String {
    let all: Vec<&str> = list(o, "/spec/rules").iter().map(|r| text(r, "/host")).filter(|h| !h.is_empty()).collect();
    match all.len() {
        0 => "*".into(),
        n if n > 3 => format!("{} + {} more...", all[..3].join(","), n - 3),
        _ => all.join(","),
    }
}

/// The default class says so behind its name.
fn class_name(o: &Value) -> String {
    let default = text(o, "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class") == "true";
    format!("{}{}", text(o, "/metadata/name"), if default { " (default)" } else { "" })
}

fn parameters(o: &Value) -> String {
    let kind = text(o, "/spec/parameters/kind");
    let group = text(o, "/spec/parameters/apiGroup");
    match (kind, group) {
        ("", _) => NONE.into(),
        (_, "") => format!("{kind}/{}", text(o, "/spec/parameters/name")),
        _ => format!("{kind}.{group}/{}", text(o, "/spec/parameters/name")),
    }
}

fn subjects(o: &Value, kind: &str) -> String {
    let one = |s: &Value| match text(s, "/namespace") {
        namespace if kind == "ServiceAccount" && !namespace.is_empty() => format!("{namespace}/{}", text(s, "/name")),
        _ => text(s, "/name").to_owned(),
    };
    list(o, "/subjects").iter().filter(|s| text(s, "/kind") == kind).map(one).collect::<Vec<_>>().join(", ")
}

/// What each propagation record is about and how its clusters stand.
fn records() -> Columns {
    vec![
        NAME,
        column("Object", |o| {
            let at = |field: &str| text(o, &format!("/spec/object/{field}"));
            let resource = if at("group").is_empty() { at("resource").to_owned() } else { format!("{}.{}", at("resource"), at("group")) };
            let namespace = if at("namespace").is_empty() { String::new() } else { format!("{}/", at("namespace")) };
            format!("{resource} {namespace}{}", at("name")).into()
        }),
        column("Applied", |o| {
            let all = clusters(o);
            format!("{}/{}", all.iter().filter(|(_, state)| *state == "Applied").count(), all.len()).into()
        }),
        column("Waiting", |o| {
            let waiting = clusters(o).into_iter().filter(|(_, state)| *state != "Applied");
            joined(waiting.map(|(name, state)| format!("{name}:{state}"))).into()
        }),
        AGE,
    ]
}

/// Clusters of a record with their states.
fn clusters(o: &Value) -> Vec<(&str, &str)> {
    let map = o.pointer("/spec/clusters").and_then(Value::as_object);
    map.into_iter().flatten().map(|(name, c)| (name.as_str(), text_or(c, "/state", UNKNOWN))).collect()
}
