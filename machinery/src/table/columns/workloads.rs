//! Columns of workloads: apps, batch, autoscaling and their member-side parts (pods, nodes).

use serde_json::Value;

use super::super::age::{between, human_duration, since};
use super::super::cell::{
    NONE, UNKNOWN, UNSET, condition, containers, count, first_and_more, int, joined, labels, list, plain, selector, text, text_or,
};
use super::{AGE, Column, Columns, NAME, column, number, pod, wide};

const TEMPLATE: &str = "/spec/template/spec";

const CONTAINERS: Column = wide("Containers", |o, _| containers(o, TEMPLATE, "/name").into());
const IMAGES: Column = wide("Images", |o, _| containers(o, TEMPLATE, "/image").into());
const SELECTOR: Column = wide("Selector", |o, _| selector(o, "/spec/selector").into());
const READY: Column = column("Ready", |o, _| {
    format!("{}/{}", int(o, "/status/readyReplicas"), o.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)).into()
});

pub(super) fn columns(group: &str, kind: &str) -> Option<Columns> {
    Some(match (group, kind) {
        ("apps", "Deployment") => vec![
            NAME,
            READY,
            column("Up-to-date", |o, _| int(o, "/status/updatedReplicas").into()),
            column("Available", |o, _| int(o, "/status/availableReplicas").into()),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        ("apps", "ReplicaSet") | ("", "ReplicationController") => vec![
            NAME,
            number("Desired", |o, _| o.pointer("/spec/replicas").cloned().unwrap_or_else(|| 1.into())),
            number("Current", |o, _| int(o, "/status/replicas").into()),
            number("Ready", |o, _| int(o, "/status/readyReplicas").into()),
            AGE,
            CONTAINERS,
            IMAGES,
            if kind == "ReplicaSet" { SELECTOR } else { wide("Selector", |o, _| labels(o, "/spec/selector").into()) },
        ],
        ("apps", "DaemonSet") => vec![
            NAME,
            number("Desired", |o, _| int(o, "/status/desiredNumberScheduled").into()),
            number("Current", |o, _| int(o, "/status/currentNumberScheduled").into()),
            number("Ready", |o, _| int(o, "/status/numberReady").into()),
            number("Up-to-date", |o, _| int(o, "/status/updatedNumberScheduled").into()),
            number("Available", |o, _| int(o, "/status/numberAvailable").into()),
            column("Node Selector", |o, _| labels(o, "/spec/template/spec/nodeSelector").into()),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        ("apps", "StatefulSet") => vec![NAME, READY, AGE, CONTAINERS, IMAGES],
        ("batch", "Job") => vec![
            NAME,
            column("Status", |o, _| job_status(o).into()),
            column("Completions", |o, _| completions(o).into()),
            column("Duration", |o, now| job_duration(o, now).into()),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        ("batch", "CronJob") => cron_job(),
        ("autoscaling", "HorizontalPodAutoscaler") => vec![
            NAME,
            column("Reference", |o, _| format!("{}/{}", text(o, "/spec/scaleTargetRef/kind"), text(o, "/spec/scaleTargetRef/name")).into()),
            column("Targets", |o, _| targets(o).into()),
            column("MinPods", |o, _| o.pointer("/spec/minReplicas").map_or_else(|| UNSET.into(), plain).into()),
            column("MaxPods", |o, _| int(o, "/spec/maxReplicas").into()),
            column("Replicas", |o, _| int(o, "/status/currentReplicas").into()),
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

fn job_duration(o: &Value, now: i64) -> String {
    let (start, end) = (o.pointer("/status/startTime"), o.pointer("/status/completionTime"));
    match (start, between(start, end)) {
        (None, _) => String::new(),
        (_, Some(seconds)) => human_duration(seconds),
        (start, None) => since(start, now),
    }
}

fn cron_job() -> Columns {
    const POD: &str = "/spec/jobTemplate/spec/template/spec";
    vec![
        NAME,
        column("Schedule", |o, _| text(o, "/spec/schedule").into()),
        column("Timezone", |o, _| text_or(o, "/spec/timeZone", NONE).into()),
        Column {
            kind: "boolean",
            ..column("Suspend", |o, _| match o.pointer("/spec/suspend") {
                Some(Value::Bool(true)) => "True".into(),
                Some(Value::Bool(false)) => "False".into(),
                _ => UNSET.into(),
            })
        },
        number("Active", |o, _| count(o, "/status/active").into()),
        column("Last Schedule", |o, now| match o.pointer("/status/lastScheduleTime") {
            Some(t) => since(Some(t), now).into(),
            None => NONE.into(),
        }),
        AGE,
        wide("Containers", |o, _| containers(o, POD, "/name").into()),
        wide("Images", |o, _| containers(o, POD, "/image").into()),
        wide("Selector", |o, _| selector(o, "/spec/jobTemplate/spec/selector").into()),
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
        column("Status", |o, _| {
            let ready = match condition(o, "Ready") {
                Some("True") => "Ready",
                Some(_) => "NotReady",
                None => "Unknown",
            };
            let cordoned = o.pointer("/spec/unschedulable") == Some(&true.into());
            if cordoned { format!("{ready},SchedulingDisabled").into() } else { ready.into() }
        }),
        column("Roles", |o, _| roles(o).into()),
        AGE,
        column("Version", |o, _| text(o, "/status/nodeInfo/kubeletVersion").into()),
        wide("Internal-IP", |o, _| super::core::address(o, "InternalIP").into()),
        wide("External-IP", |o, _| super::core::address(o, "ExternalIP").into()),
        wide("OS-Image", |o, _| text_or(o, "/status/nodeInfo/osImage", UNKNOWN).into()),
        wide("Kernel-Version", |o, _| {
            let (kernel, arch) = (text_or(o, "/status/nodeInfo/kernelVersion", UNKNOWN), text(o, "/status/nodeInfo/architecture"));
            if arch.is_empty() { kernel.into() } else { format!("{kernel} ({arch})").into() }
        }),
        wide("Container-Runtime", |o, _| text_or(o, "/status/nodeInfo/containerRuntimeVersion", UNKNOWN).into()),
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
