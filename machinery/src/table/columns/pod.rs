//! Columns of pods. kubectl's "status" of a pod is worked out from its containers.

use serde_json::Value;

use super::super::cell::{NONE, condition, int, list, text, text_or};
use super::super::column::{Columns, since};
use super::common::{AGE, NAME, column, wide};

pub(super) fn columns() -> Columns {
    vec![
        NAME,
        column("Ready", |o| {
            let seen = Seen::of(o);
            format!("{}/{}", seen.ready, seen.total).into()
        }),
        column("Status", |o| Seen::of(o).reason.into()),
        column("Restarts", |o| {
            let seen = Seen::of(o);
            match &seen.last_restart {
                Some(at) if seen.restarts != 0 => since(Some(at)).within(&format!("{} (", seen.restarts), " ago)"),
                _ => seen.restarts.to_string().into(),
            }
        }),
        AGE,
        wide("IP", |o| text_or(o, "/status/podIPs/0/ip", text_or(o, "/status/podIP", NONE)).into()),
        wide("Node", |o| text_or(o, "/spec/nodeName", NONE).into()),
        wide("Nominated Node", |o| text_or(o, "/status/nominatedNodeName", NONE).into()),
        wide("Readiness Gates", |o| gates(o).into()),
    ]
}

fn gates(o: &Value) -> String {
    let all = list(o, "/spec/readinessGates");
    if all.is_empty() {
        return NONE.into();
    }
    let open = all.iter().filter(|g| condition(o, text(g, "/conditionType")) == Some("True")).count();
    format!("{open}/{}", all.len())
}

/// What the containers of a pod say together.
struct Seen {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Value>,
}

/// Whether an init container keeps running beside the others (a sidecar).
fn is_sidecar(o: &Value, name: &str) -> bool {
    list(o, "/spec/initContainers").iter().any(|c| text(c, "/name") == name && text(c, "/restartPolicy") == "Always")
}

/// Why a terminated container ended, when it says no reason: its signal or exit code.
fn ended(terminated: &Value) -> String {
    match (text(terminated, "/reason"), int(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn later(a: Option<Value>, status: &Value) -> Option<Value> {
    let b = status.pointer("/lastState/terminated/finishedAt").filter(|v| v.is_string());
    match (a, b) {
        (Some(a), Some(b)) if a.as_str() >= b.as_str() => Some(a),
        (a, None) => a,
        (_, Some(b)) => Some(b.clone()),
    }
}

impl Seen {
    fn of(o: &Value) -> Self {
        let inits = list(o, "/spec/initContainers");
        let sidecars = inits.iter().filter(|c| text(c, "/restartPolicy") == "Always").count();
        let mut seen = Self {
            ready: 0,
            total: list(o, "/spec/containers").len() + sidecars,
            reason: text_or(o, "/status/reason", text(o, "/status/phase")).to_owned(),
            restarts: 0,
            last_restart: None,
        };
        let gated = |c: &&Value| text(c, "/type") == "PodScheduled" && text(c, "/reason") == "SchedulingGated";
        if list(o, "/status/conditions").iter().any(|c| gated(&c)) {
            seen.reason = "SchedulingGated".into();
        }
        let initializing = seen.read_init_containers(o, inits.len());
        if !initializing || condition(o, "Initialized") == Some("True") {
            seen.read_containers(o);
        }
        if o.pointer("/metadata/deletionTimestamp").is_some() {
            if text(o, "/status/reason") == "NodeLost" {
                seen.reason = "Unknown".into();
            } else if !matches!(text(o, "/status/phase"), "Succeeded" | "Failed") {
                seen.reason = "Terminating".into();
            }
        }
        seen
    }

    /// Whether an init container is still at work or has failed.
    fn read_init_containers(&mut self, o: &Value, total: usize) -> bool {
        let (mut sidecar_restarts, mut sidecar_last) = (0, None);
        let mut stopped = None;
        for (i, status) in list(o, "/status/initContainerStatuses").iter().enumerate() {
            self.restarts += int(status, "/restartCount");
            self.last_restart = later(self.last_restart.take(), status);
            let sidecar = is_sidecar(o, text(status, "/name"));
            if sidecar {
                sidecar_restarts += int(status, "/restartCount");
                sidecar_last = later(sidecar_last, status);
            }
            let terminated = status.pointer("/state/terminated");
            if terminated.is_some_and(|t| int(t, "/exitCode") == 0) {
                continue;
            }
            if sidecar && status.get("started") == Some(&true.into()) {
                self.ready += usize::from(status.get("ready") == Some(&true.into()));
                continue;
            }
            let waiting = text(status, "/state/waiting/reason");
            stopped = Some(match terminated {
                Some(t) => format!("Init:{}", ended(t)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{i}/{total}"),
            });
            break;
        }
        let initializing = stopped.is_some();
        if let Some(reason) = stopped {
            self.reason = reason;
        }
        if !initializing || condition(o, "Initialized") == Some("True") {
            (self.restarts, self.last_restart) = (sidecar_restarts, sidecar_last);
        }
        initializing
    }

    fn read_containers(&mut self, o: &Value) {
        let (mut running, mut error) = (false, None);
        for status in list(o, "/status/containerStatuses").iter().rev() {
            self.restarts += int(status, "/restartCount");
            self.last_restart = later(self.last_restart.take(), status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                self.reason = waiting.into();
            } else if let Some(terminated) = status.pointer("/state/terminated") {
                self.reason = ended(terminated);
                if int(terminated, "/exitCode") != 0 {
                    error = Some(self.reason.clone());
                }
            } else if status.get("ready") == Some(&true.into()) && status.pointer("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            self.reason = match error {
                _ if running && condition(o, "Ready") == Some("True") => "Running".into(),
                Some(error) => error,
                None if running => "NotReady".into(),
                None => return,
            };
        }
    }
}
