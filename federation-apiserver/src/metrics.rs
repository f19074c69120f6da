//! `/metrics` in Prometheus' text format. Names and labels are kube-apiserver's where it has the
//! same thing, so that dashboards fit.
//!
//! Every label is written in the program, comes from a flag or names a resource that is served: what clients send can
//! never make a new time series.

use crate::names::Name;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// How often waiting samples of histograms are counted into their buckets; they are held one by one
/// until then.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(2);

/// Upper bounds in seconds: from a cache hit to the longest ordinary request.
const BUCKETS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

const REQUESTS: &str = "apiserver_request_total";
const DURATION: &str = "apiserver_request_duration_seconds";
const INFLIGHT: &str = "apiserver_current_inflight_requests";
const WATCHERS: &str = "apiserver_registered_watchers";
const WATCH_EVENTS: &str = "apiserver_watch_events_total";
const STORAGE: &str = "apiserver_storage_request_duration_seconds";
const STORAGE_ERRORS: &str = "apiserver_storage_request_errors_total";
const DAMAGED: &str = "apiserver_storage_damaged_objects";
const ETCD_ENDPOINT: &str = "apiserver_storage_endpoint_up";
const AUDIT: &str = "apiserver_audit_event_total";
const AUDIT_ERRORS: &str = "apiserver_audit_error_total";
const REFUSED: &str = "apiserver_connections_refused_total";
const AUTHENTICATION: &str = "authentication_attempts";
const MEMORY: &str = "process_resident_memory_bytes";
const STARTED: &str = "process_start_time_seconds";

/// What a request is counted under.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct RequestLabels {
    /// RBAC verb in capitals as kube-apiserver counts it: `GET`, `LIST`, `WATCH`, `APPLY` ...
    pub verb: &'static str,
    /// API group.
    pub group: Name,
    /// API version.
    pub version: Name,
    /// Plural resource; empty for other paths.
    pub resource: Name,
    /// Subresource.
    pub subresource: &'static str,
    /// `resource`, `namespace`, `cluster` or empty.
    pub scope: &'static str,
}

/// The recorder of the process.
#[derive(Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Counts one thing that is going on; it ends when this is dropped.
#[derive(Debug)]
pub struct Ongoing(Gauge);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn ongoing(gauge: Gauge) -> Ongoing {
    gauge.increment(1.0);
    Ongoing(gauge)
}

impl Metrics {
    /// The recorder; made and installed the first time. Where the process has another recorder
    /// already, that one gets the figures and `/metrics` here stays empty.
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Metrics> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(BUCKETS).expect("the list of buckets is not empty");
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed, /metrics stays empty");
            }
            describe();
            gauge!(STARTED).set(jiff::Timestamp::now().as_second() as f64);
            Self { handle }
        })
    }

    /// The answer to `GET /metrics`.
    pub fn respond(&self) -> Response<Bytes> {
        if let Some(bytes) = resident_bytes() {
            gauge!(MEMORY).set(bytes);
        }
        let mut response = Response::new(Bytes::from(self.handle.render()));
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }

    /// Keeps the memory of histograms small, for ever; to be spawned once.
    pub async fn upkeep(&'static self) {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            self.handle.run_upkeep();
        }
    }
}

fn describe() {
    describe_counter!(REQUESTS, "Requests by verb, resource and HTTP code.");
    describe_histogram!(DURATION, Unit::Seconds, "Time from the first byte of a request to its answer, without watches.");
    describe_gauge!(INFLIGHT, "Requests being answered, without watches.");
    describe_gauge!(WATCHERS, "Open watches by resource.");
    describe_counter!(WATCH_EVENTS, "Events written to watchers.");
    describe_histogram!(STORAGE, Unit::Seconds, "Time the storage backend took.");
    describe_counter!(STORAGE_ERRORS, "Storage requests that failed, without conflicts.");
    describe_gauge!(DAMAGED, "Stored objects that cannot be read back.");
    describe_gauge!(ETCD_ENDPOINT, "1 when the endpoint of etcd answers.");
    describe_counter!(AUDIT, "Events written to the audit log.");
    describe_counter!(AUDIT_ERRORS, "Events that could not be written to the audit log and are lost.");
    describe_counter!(REFUSED, "Connections closed because there were too many.");
    describe_counter!(AUTHENTICATION, "Authenticated requests by result.");
    describe_gauge!(MEMORY, Unit::Bytes, "Resident memory of the process.");
    describe_gauge!(STARTED, Unit::Seconds, "Start of the process since the epoch.");
}

/// Counts an answered request.
pub fn request(labels: RequestLabels, code: u16, took: Duration) {
    type Handles = HashMap<(RequestLabels, u16), (Counter, Histogram)>;
    thread_local!(static HANDLES: RefCell<Handles> = RefCell::default());
    let verb = labels.verb;
    // Looking a series up by its labels costs more than a GET from the cache.
    HANDLES.with_borrow_mut(|handles| {
        let (count, duration) = handles.entry((labels, code)).or_insert_with_key(|(labels, code)| series(labels, *code));
        count.increment(1);
        if verb != "WATCH" {
            duration.record(took.as_secs_f64());
        }
    });
}

fn series(l: &RequestLabels, code: u16) -> (Counter, Histogram) {
    let common = [
        ("verb", Name::Fixed(l.verb)),
        ("group", l.group.clone()),
        ("version", l.version.clone()),
        ("resource", l.resource.clone()),
        ("subresource", Name::Fixed(l.subresource)),
        ("scope", Name::Fixed(l.scope)),
    ];
    let mut counted: Vec<metrics::Label> = common.into_iter().map(|(k, v)| metrics::Label::new(k, v)).collect();
    let duration = histogram!(DURATION, counted.clone());
    counted.push(metrics::Label::new("code", code.to_string()));
    (counter!(REQUESTS, counted), duration)
}

/// A request is being answered, until the guard is dropped.
pub fn inflight(mutating: bool) -> Ongoing {
    ongoing(gauge!(INFLIGHT, "request_kind" => if mutating { "mutating" } else { "readOnly" }))
}

/// A watch is open, until the guard is dropped.
pub fn watcher(group: Name, version: Name, resource: Name) -> Ongoing {
    ongoing(gauge!(WATCHERS, "group" => group, "version" => version, "resource" => resource))
}

/// Counter of the events written to watchers of a resource; keep it for the life of a watch.
pub fn watch_events(group: Name, version: Name, resource: Name) -> Counter {
    counter!(WATCH_EVENTS, "group" => group, "version" => version, "resource" => resource)
}

/// The storage backend answered. `operation` is `get`, `list`, `put`, `delete`, `watch` or `compact`.
pub fn storage(backend: &'static str, operation: &'static str, took: Duration, failed: bool) {
    histogram!(STORAGE, "backend" => backend, "operation" => operation).record(took.as_secs_f64());
    if failed {
        counter!(STORAGE_ERRORS, "backend" => backend, "operation" => operation).increment(1);
    }
}

/// How many stored objects of a resource we serve cannot be read back. `resource` is `pods` or `group/plural`.
pub fn damaged_objects(resource: &str, count: usize) {
    gauge!(DAMAGED, "resource" => resource.to_owned()).set(count as f64);
}

/// Whether an endpoint of etcd answers; there are as many as `--etcd-servers` names.
pub fn etcd_endpoint(url: &str, up: bool) {
    gauge!(ETCD_ENDPOINT, "endpoint" => url.to_owned()).set(if up { 1.0 } else { 0.0 });
}

/// Events were written to the audit log.
pub fn audit_events(n: u64) {
    counter!(AUDIT).increment(n);
}

/// Events were lost on the way to the audit log.
pub fn audit_error(n: u64) {
    counter!(AUDIT_ERRORS, "plugin" => "log").increment(n);
}

/// A connection was closed because there were too many.
pub fn connection_refused() {
    counter!(REFUSED).increment(1);
}

/// Somebody proved an identity, or failed to.
pub fn authentication(success: bool) {
    counter!(AUTHENTICATION, "result" => if success { "success" } else { "failure" }).increment(1);
}

/// Linux tells it in pages; elsewhere nothing is told.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_out_as_prometheus_text() {
        let all = Metrics::global();
        let labels = RequestLabels {
            verb: "GET",
            version: Name::Fixed("v1"),
            resource: Name::Fixed("configmaps"),
            scope: "resource",
            ..RequestLabels::default()
        };
        request(labels.clone(), 200, Duration::from_millis(3));
        request(labels, 404, Duration::from_millis(3));
        storage("embedded", "put", Duration::from_micros(700), true);
        let open = watcher(Name::Fixed(""), Name::Fixed("v1"), Name::Fixed("secrets"));
        let during = String::from_utf8(all.respond().body().to_vec()).unwrap();
        drop(open);
        let after = String::from_utf8(all.respond().body().to_vec()).unwrap();
        let line = |text: &str, start: &str, end: &str| text.lines().any(|l| l.starts_with(start) && l.ends_with(end));
        assert!(line(&during, "apiserver_request_total{verb=\"GET\",", "code=\"404\"} 1"), "{during}");
        assert!(line(&during, "apiserver_request_duration_seconds_bucket{verb=\"GET\",", "le=\"0.005\"} 2"), "{during}");
        assert!(during.contains("# HELP apiserver_request_total Requests by verb"), "{during}");
        assert!(line(&during, "apiserver_storage_request_errors_total{backend=\"embedded\"", "} 1"), "{during}");
        assert!(line(&during, "apiserver_registered_watchers{", "resource=\"secrets\"} 1"), "{during}");
        assert!(line(&after, "apiserver_registered_watchers{", "resource=\"secrets\"} 0"), "{after}");
        assert!(line(&after, "process_resident_memory_bytes ", ""), "{after}");
    }
}
