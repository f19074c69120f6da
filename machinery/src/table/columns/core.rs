//! Columns of the core group, and of the kinds that stand beside it.

use serde_json::Value;

use super::super::cell::{NONE, UNKNOWN, UNSET, count, first_and_more, int, joined, labels, list, load_balancer, plain, text, text_or};
use super::super::column::{Cell, Column, Columns, since};
use super::common::{AGE, NAME, column, wide};

pub(super) fn columns(group: &str, kind: &str) -> Option<Columns> {
    let service = || {
        vec![
            NAME,
            column("Type", |o| text(o, "/spec/type").into()),
            column("Cluster-IP", |o| text_or(o, "/spec/clusterIPs/0", text_or(o, "/spec/clusterIP", NONE)).into()),
            column("External-IP", |o| external_ip(o).into()),
            column("Port(s)", |o| ports(o).into()),
            AGE,
            wide("Selector", |o| labels(o, "/spec/selector").into()),
        ]
    };
    Some(match (group, kind) {
        ("", "Namespace") => vec![NAME, column("Status", |o| text(o, "/status/phase").into()), AGE],
        ("", "ConfigMap") => vec![NAME, column("Data", |o| (count(o, "/data") + count(o, "/binaryData")).into()), AGE],
        ("", "Secret") => vec![NAME, column("Type", |o| text(o, "/type").into()), column("Data", |o| count(o, "/data").into()), AGE],
        ("", "ServiceAccount") => vec![NAME, AGE],
        ("", "Service") => service(),
        ("", "Endpoints") => vec![NAME, column("Endpoints", |o| endpoints(o).into()), AGE],
        ("" | "events.k8s.io", "Event") => events(),
        ("", "PersistentVolumeClaim") => claims(),
        ("discovery.k8s.io", "EndpointSlice") => vec![
            NAME,
            column("AddressType", |o| text(o, "/addressType").into()),
            column("Ports", |o| slice_ports(o).into()),
            column("Endpoints", |o| slice_endpoints(o).into()),
            AGE,
        ],
        _ => return None,
    })
}

fn external_ip(o: &Value) -> String {
    let fixed = list(o, "/spec/externalIPs").iter().map(plain);
    match text(o, "/spec/type") {
        "ClusterIP" | "NodePort" => joined(fixed),
        "LoadBalancer" => {
            let all: Vec<String> = load_balancer(o).into_iter().chain(fixed).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        "ExternalName" => text(o, "/spec/externalName").into(),
        _ => UNKNOWN.into(),
    }
}

fn ports(o: &Value) -> String {
    joined(list(o, "/spec/ports").iter().map(|p| {
        let (port, node_port, protocol) = (int(p, "/port"), int(p, "/nodePort"), text_or(p, "/protocol", "TCP"));
        if node_port > 0 { format!("{port}:{node_port}/{protocol}") } else { format!("{port}/{protocol}") }
    }))
}

fn endpoints(o: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(o, "/subsets") {
        let ips = || list(subset, "/addresses").iter().map(|a| text(a, "/ip"));
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let port = int(port, "/port");
            all.extend(ips().map(|ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }));
        }
    }
    first_and_more(&all, 3, ",")
}

fn slice_ports(o: &Value) -> String {
    let one = |p: &Value| match p.get("port").and_then(Value::as_i64) {
        Some(n) => n.to_string(),
        None => p.get("name").and_then(Value::as_str).unwrap_or("*").to_owned(),
    };
    let all: Vec<String> = list(o, "/ports").iter().map(one).collect();
    if all.is_empty() { UNSET.into() } else { first_and_more(&all, 3, ",") }
}

fn slice_endpoints(o: &Value) -> String {
    let all: Vec<String> = list(o, "/endpoints").iter().flat_map(|e| list(e, "/addresses")).map(plain).collect();
    if all.is_empty() { UNSET.into() } else { first_and_more(&all, 3, ",") }
}

fn claims() -> Columns {
    vec![
        NAME,
        column("Status", |o| {
            if o.pointer("/metadata/deletionTimestamp").is_some() { "Terminating".into() } else { text(o, "/status/phase").into() }
        }),
        column("Volume", |o| text(o, "/spec/volumeName").into()),
        column("Capacity", |o| if text(o, "/spec/volumeName").is_empty() { "".into() } else { text(o, "/status/capacity/storage").into() }),
        column("Access Modes", |o| if text(o, "/spec/volumeName").is_empty() { "".into() } else { access_modes(o).into() }),
        column("StorageClass", |o| text(o, "/spec/storageClassName").into()),
        column("VolumeAttributesClass", |o| text_or(o, "/spec/volumeAttributesClassName", UNSET).into()),
        AGE,
        wide("VolumeMode", |o| text_or(o, "/spec/volumeMode", UNSET).into()),
    ]
}

fn access_modes(o: &Value) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "?",
    };
    list(o, "/status/accessModes").iter().map(short).collect::<Vec<_>>().join(",")
}

/// Core events say `involvedObject`, `message`, `source`; those of `events.k8s.io` say `regarding`,
/// `note`, `deprecatedSource` and so on.
fn events() -> Columns {
    vec![
        column("Last Seen", last_seen),
        column("Type", |o| text(o, "/type").into()),
        column("Reason", |o| text(o, "/reason").into()),
        column("Object", |o| {
            let about = |field: &str| either(o, &format!("/involvedObject/{field}"), &format!("/regarding/{field}"));
            let kind = about("kind").to_lowercase();
            if about("name").is_empty() { kind.into() } else { format!("{kind}/{}", about("name")).into() }
        }),
        wide("Subobject", |o| either(o, "/involvedObject/fieldPath", "/regarding/fieldPath").into()),
        wide("Source", |o| {
            let component = either(o, "/source/component", "/deprecatedSource/component");
            let component = if component.is_empty() { either(o, "/reportingComponent", "/reportingController") } else { component };
            let host = either(o, "/source/host", "/deprecatedSource/host");
            let host = if host.is_empty() { text(o, "/reportingInstance") } else { host };
            if host.is_empty() { component.into() } else { format!("{component}, {host}").into() }
        }),
        column("Message", |o| either(o, "/message", "/note").trim().into()),
        wide("First Seen", first_seen),
        Column {
            priority: 1,
            ..column("Count", |o| match o.pointer("/series/count").and_then(Value::as_i64) {
                Some(n) => n.into(),
                None => int(o, "/count").max(int(o, "/deprecatedCount")).max(1).into(),
            })
        },
        Column { priority: 1, ..NAME },
    ]
}

fn either<'a>(o: &'a Value, core: &str, new: &str) -> &'a str {
    text_or(o, core, text(o, new))
}

fn timestamp<'a>(o: &'a Value, pointers: &[&str]) -> Option<&'a Value> {
    pointers.iter().filter_map(|p| o.pointer(p)).find(|v| v.is_string())
}

fn first_seen(o: &Value) -> Cell {
    since(timestamp(o, &["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]))
}

fn last_seen(o: &Value) -> Cell {
    match timestamp(o, &["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp"]) {
        Some(t) => since(Some(t)),
        None => first_seen(o),
    }
}

/// Used by the node columns as well.
pub(super) fn address(o: &Value, kind: &str) -> String {
    let found = list(o, "/status/addresses").iter().find(|a| text(a, "/type") == kind);
    found.map_or(NONE, |a| text(a, "/address")).to_owned()
}
