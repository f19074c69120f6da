//! Columns of workloads: apps, batch, autoscaling and their member-side parts (pods, nodes).

use serde_json::Value;

use super::super::age::{between, human_duration};
use super::super::cell::{
    NONE, UNKNOWN, UNSET, condition, containers, count, first_and_more, int, joined, labels, list, plain, selector, text, text_or,
};
use super::super::column::{Cell, Column, Columns, since};
use super::common::{AGE, NAME, column, number, wide};
use super::pod;

const TEMPLATE: &str = "/spec/template/spec";

const CONTAINERS: Column = wide("Containers", |o| containers(o, TEMPLATE, "/name").into());
const IMAGES: Column = wide("Images", |o| containers(o, TEMPLATE, "/image").into());
const SELECTOR: Column = wide("Selector", |o| selector(o, "/spec/selector").into());
const READY: Column = column("Ready", |o| {
    format!("{}/{}", int(o, "/status/readyReplicas"), o.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)).into()
});

pub(super) fn columns(group: &str, kind: &str) -> Option<Columns> {
    Some(match (group, kind) {
        ("apps", "Deployment") => vec![
            NAME,
            READY,
            column("Up-to-date", |o| int(o, "/status/updatedReplicas").into()),
            column("Available", |o| int(o, "/status/availableReplicas").into()),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        ("apps", "ReplicaSet") | ("", "ReplicationController") => vec![
            NAME,
            number("Desired", |o| o.pointer("/spec/replicas").cloned().unwrap_or_else(|| 1.into()).into()),
            number("Current", |o| int(o, "/status/replicas").into()),
            number("Ready", |o| int(o, "/status/readyReplicas").into()),
            AGE,
            CONTAINERS,
            IMAGES,
            if kind == "ReplicaSet" { SELECTOR } else { wide("Selector", |o| labels(o, "/spec/selector").into()) },
        ],
        ("apps", "DaemonSet") => vec![
            NAME,
            number("Desired", |o| int(o, "/status/desiredNumberScheduled").into()),
            number("Current", |o| int(o, "/status/currentNumberScheduled").into()),
            number("Ready", |o| int(o, "/status/numberReady").into()),
            number("Up-to-date", |o| int(o, "/status/updatedNumberScheduled").into()),
            number("Available", |o| int(o, "/status/numberAvailable").into()),
            column("Node Selector", |o| labels(o, "/spec/template/spec/nodeSelector").into()),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        ("apps", "StatefulSet") => vec![NAME, READY, AGE, CONTAINERS, IMAGES],
        ("batch", "Job") => vec![
            NAME,
            column("Status", |o| job_status(o).into()),
            column("Completions", |o| completions(o).into()),
            column("Duration", job_duration),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        ("batch", "CronJob") => cron_job(),
        ("autoscaling", "HorizontalPodAutoscaler") => vec![
            NAME,
            column("Reference", |o| format!("{}/{}", text(o, "/spec/scaleTargetRef/kind"), text(o, "/spec/scaleTargetRef/name")).into()),
            column("Targets", |o| targets(o).into()),
            column("MinPods", |o| o.pointer("/spec/minReplicas").map_or_else(|| UNSET.into(), plain).into()),
            column("MaxPods", |o| int(o, "/spec/maxReplicas").into()),
            column("Replicas", |o| int(o, "/status/currentReplicas").into()),
            AGE,
        ],
        ("", "Pod") => pod::columns(),
        ("", "Node") => nodes(),
        _ => return None,
    })
}

fn job_status(o: &Value) -> &'static str {
    let has = |kind: &str| condition(o, kind) == Some("True");
    let deleted = o.pointer("/metadata/deletionTimestamp").is_some();
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if deleted => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(o: &Value) -> String {
    let done = int(o, "/status/succeeded");
    match (o.pointer("/spec/completions").and_then(Value::as_i64), int(o, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{done}/1 of {parallelism}"),
        (None, _) => format!("{done}/1"),
    }
}

fn job_duration(o: &Value) -> Cell {
    let (start, end) = (o.pointer("/status/startTime"), o.pointer("/status/completionTime"));
    match (start, between(start, end)) {
        (None, _) => "".into(),
        (_, Some(seconds)) => human_duration(seconds).into(),
        (start, None) => since(start),
    }
}

fn cron_job() -> Columns {
    const POD: &str = "/spec/jobTemplate/spec/template/spec";
    vec![
        NAME,
        column("Schedule", |o| text(o, "/spec/schedule").into()),
        column("Timezone", |o| text_or(o, "/spec/timeZone", NONE).into()),
        Column {
            kind: "boolean",
            ..column("Suspend", |o| match o.pointer("/spec/suspend") {
                Some(Value::Bool(true)) => "True".into(),
                Some(Value::Bool(false)) => "False".into(),
                _ => UNSET.into(),
            })
        },
        number("Active", |o| count(o, "/status/active").into()),
        column("Last Schedule", |o| match o.pointer("/status/lastScheduleTime") {
            Some(t) => since(Some(t)),
            None => NONE.into(),
        }),
        AGE,
        wide("Containers", |o| containers(o, POD, "/name").into()),
        wide("Images", |o| containers(o, POD, "/image").into()),
        wide("Selector", |o| selector(o, "/spec/jobTemplate/spec/selector").into()),
    ]
}

/// The metrics of an autoscaler as `what: current/target`.
fn targets(o: &Value) -> String {
    let statuses = list(o, "/status/currentMetrics");
    let one = |(i, spec): (usize, &Value)| {
        let kind = text(spec, "/type");
        let mut field = kind.to_owned();
        if let Some(first) = field.get_mut(0..1) {
            first.make_ascii_lowercase();
        }
        let target = |what: &str| spec.pointer(&format!("/{field}/target/{what}")).map(plain);
        let current = |what: &str| {
            let found = statuses.get(i).and_then(|s| s.pointer(&format!("/{field}/current/{what}")));
            found.map_or_else(|| UNKNOWN.to_owned(), plain)
        };
        let resource = matches!(kind, "Resource" | "ContainerResource");
        let head = if resource { format!("{}: ", text(spec, &format!("/{field}/name"))) } else { String::new() };
        let average = if matches!(kind, "Object" | "External") { " (avg)" } else { "" };
        match (target("averageValue"), target("averageUtilization")) {
            (Some(want), _) => format!("{head}{}/{want}{average}", current("averageValue")),
            (None, want) if resource => {
                let have = current("averageUtilization");
                let have = if have == UNKNOWN { have } else { format!("{have}%") };
                format!("{head}{have}/{}", want.map_or_else(|| "<auto>".into(), |w| format!("{w}%")))
            }
            (None, _) => format!("{}/{}", current("value"), target("value").unwrap_or_else(|| UNKNOWN.into())),
        }
    };
    let all: Vec<String> = list(o, "/spec/metrics").iter().enumerate().map(one).collect();
    first_and_more(&all, 2, ", ")
}

fn nodes() -> Columns {
    vec![
        NAME,
        column("Status", |o| {
            let ready = match condition(o, "Ready") {
                Some("True") => "Ready",
                Some(_) => "NotReady",
                None => "Unknown",
            };
            let cordoned = o.pointer("/spec/unschedulable") == Some(&true.into());
            if cordoned { format!("{ready},SchedulingDisabled").into() } else { ready.into() }
        }),
        column("Roles", |o| roles(o).into()),
        AGE,
        column("Version", |o| text(o, "/status/nodeInfo/kubeletVersion").into()),
        wide("Internal-IP", |o| super::core::address(o, "InternalIP").into()),
        wide("External-IP", |o| super::core::address(o, "ExternalIP").into()),
        wide("OS-Image", |o| text_or(o, "/status/nodeInfo/osImage", UNKNOWN).into()),
        wide("Kernel-Version", |o| {
            let (kernel, arch) = (text_or(o, "/status/nodeInfo/kernelVersion", UNKNOWN), text(o, "/status/nodeInfo/architecture"));
            if arch.is_empty() { kernel.into() } else { format!("{kernel} ({arch})").into() }
        }),
        wide("Container-Runtime", |o| text_or(o, "/status/nodeInfo/containerRuntimeVersion", UNKNOWN).into()),
    ]
}

fn roles(o: &Value) -> String {
    let labels = o.pointer("/metadata/labels").and_then(Value::as_object);
    let mut out: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| match k.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None if k == "kubernetes.io/role" => v.as_str().map(str::to_owned),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    out.sort_unstable();
    out.dedup();
    joined(out)
}
