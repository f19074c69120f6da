//! A member's lane: carries out what was decided for one member, with its own concurrency, and never
//! makes another member wait.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use daemon::trace::{TARGET, field, follows};
use futures::FutureExt;
use http::{Method, StatusCode};
use kube::api::DynamicObject;
use machinery::discovery;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::Instrument;

use super::{
    apply::Known,
    foreign,
    limiter::{Came, Like, Limiter, Report},
    request::{Call, JSON, MERGE, Pages, Reply, query_value},
    trouble::Trouble,
};
use crate::{
    kinds::{NAMESPACE, ObjectKey},
    propagation::{
        intake::{Intake, Mailbox},
        observed::Seen,
    },
};
use federation_api::keys;

/// Requests of one job the limiter hears of.
const REPORTS: usize = 16;
/// Pods, or sets of pods, of one workload a page.
const SURVEY_PAGE: usize = 500;
/// Longest wait for one answer of a member.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Why a namespace is left alone for now.
const UNSEEN: &str = "whether others use the namespace cannot be seen";

/// One stretch of time in which a member can be reached.
#[derive(Clone)]
pub(crate) struct Session {
    /// Grows with each session; what belongs to an older one is void.
    pub(crate) epoch: u64,
    pub(crate) client: kube::Client,
}

/// Something to do in a member.
pub(crate) struct Job {
    pub(crate) key: Arc<ObjectKey>,
    pub(crate) epoch: u64,
    /// uid of the federated object; given back with the outcome.
    pub(crate) uid: Arc<str>,
    /// resourceVersion of the federated object, as long as there is one.
    pub(crate) version: Option<Arc<str>>,
    /// Digest of what is applied; given back with the outcome.
    pub(crate) digest: String,
    pub(crate) work: Work,
}

impl Job {
    /// What is done for it in a member, for who follows the object: a part of the trace of the write that led to it.
    fn span(&self, cluster: &str) -> tracing::Span {
        let (kind, namespace, name, uid) = (self.key.kind().kind, &self.key.namespace, &self.key.name, &self.uid);
        let what = match self.work {
            Work::Apply { .. } => "apply",
            Work::Delete => "delete",
            Work::LetGo { .. } => "let go",
            Work::Survey { .. } => "survey",
        };
        let span =
            tracing::info_span!(target: TARGET, "member", what, cluster, kind, namespace, name, %uid, outcome = tracing::field::Empty);
        if let Some(version) = &self.version {
            follows(&span, uid, version);
        }
        span
    }
}

/// What to do.
pub(crate) enum Work {
    /// Make the object be as `body` says.
    Apply {
        body: Bytes,
        known: Known,
        /// Take over what is there.
        adopt: bool,
    },
    /// Delete the object if it is ours.
    Delete,
    /// Take our marks off the object if it is ours; with the reason.
    LetGo { reason: &'static str },
    /// Look at the pods of a workload.
    Survey {
        selector: String,
        replicas: i64,
        /// uid of the workload in the member: pods of others may match its selector.
        workload: String,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Applied {
        seen: Box<Seen>,
        created: bool,
    },
    /// An object that is not ours has the name.
    Conflict,
    /// Deletion was accepted; the watch will show when it is done.
    Deleting,
    /// Nothing of ours is there.
    Gone,
    /// A namespace that is in use by others was left to them; with the reason.
    Kept(String),
    /// Pods were looked at.
    Surveyed(Survey),
    /// Pods could not be looked at.
    Unsurveyed(String),
    Failed {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// What came of it, in a word.
    fn word(&self) -> &'static str {
        match self {
            Self::Applied { created: true, .. } => "created",
            Self::Applied { .. } => "applied",
            Self::Conflict => "conflict",
            Self::Deleting => "deleting",
            Self::Gone => "gone",
            Self::Kept(_) => "kept",
            Self::Surveyed(_) => "surveyed",
            Self::Unsurveyed(_) | Self::Failed { .. } => "failed",
        }
    }
}

/// Pods of a workload, by v1's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Survey {
    /// Running pods that have a `Ready` condition.
    pub(crate) running: i64,
    /// Replicas the cluster can hold, when some cannot be scheduled.
    pub(crate) capacity: Option<i64>,
}

/// What a lane needs to know.
pub(crate) struct Lane {
    pub(crate) cluster: String,
    pub(crate) federation: Arc<str>,
    pub(crate) session: watch::Receiver<Option<Session>>,
    pub(crate) jobs: mpsc::UnboundedReceiver<Job>,
    pub(crate) mailbox: Mailbox,
}

impl Lane {
    /// Runs until the sender of jobs is gone.
    pub(crate) async fn run(mut self) {
        let mut limiter = Limiter::default();
        // A job of a session that is still on its way here.
        let mut early: Option<Job> = None;
        let current = self.session.clone();
        let mut running: JoinSet<(Job, Outcome, Duration, Vec<Report>)> = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(done) = running.join_next(), if !running.is_empty() => {
                    let Ok((job, outcome, took, reports)) = done else { continue };
                    reports.into_iter().for_each(|report| limiter.take(report));
                    metrics::histogram!("federation_member_request_seconds", "cluster" => self.cluster.clone()).record(took.as_secs_f64());
                    metrics::gauge!("federation_member_concurrency_limit", "cluster" => self.cluster.clone()).set(limiter.limit() as f64);
                    self.mailbox.send(Intake::Outcome { cluster: self.cluster.clone(), epoch: job.epoch, key: job.key, uid: job.uid, digest: job.digest, outcome });
                }
                changed = self.session.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Whoever lost the session forgot what was under way in it. What was learnt was of another stretch.
                    running.abort_all();
                    limiter = Limiter::default();
                }
                job = next(&mut early, &mut self.jobs, &current), if running.len() < limiter.limit() => {
                    let Some(job) = job else { return };
                    let session = current.borrow().clone();
                    let session = match session {
                        Some(session) if session.epoch == job.epoch => session,
                        Some(session) if session.epoch > job.epoch => continue,
                        // The brain heard of the session before the lane did; dropped, the job would never be answered.
                        _ => {
                            early = Some(job);
                            continue;
                        }
                    };
                    let federation = self.federation.clone();
                    let span = job.span(&self.cluster);
                    let work = async move {
                        let start = Instant::now();
                        let mut exchange = Exchange { client: session.client, federation, reports: Vec::new() };
                        // A panic must not leave the object busy for ever.
                        let outcome = AssertUnwindSafe(exchange.carry_out(&job)).catch_unwind().await.unwrap_or_else(|_| panicked(&job));
                        tracing::Span::current().record(field::OUTCOME, outcome.word());
                        (job, outcome, start.elapsed(), exchange.reports)
                    };
                    running.spawn(work.instrument(span));
                }
            }
        }
    }
}

/// The next job. One that came early waits until its session, or a later one, is here; the others wait behind it.
async fn next(early: &mut Option<Job>, jobs: &mut mpsc::UnboundedReceiver<Job>, session: &watch::Receiver<Option<Session>>) -> Option<Job> {
    if let Some(epoch) = early.as_ref().map(|job| job.epoch) {
        if session.borrow().as_ref().is_none_or(|s| s.epoch < epoch) {
            // `run` looks again when the session changes.
            std::future::pending::<()>().await;
        }
        return early.take();
    }
    jobs.recv().await
}

/// What a job comes to whose code is wrong; the panic itself is told where it happened.
fn panicked(job: &Job) -> Outcome {
    let (kind, name) = (job.key.kind().kind, job.key.full_name());
    tracing::error!(kind, name, "a job panicked; it is tried again");
    let reason = "an error inside the controller; its log says more".to_owned();
    match job.work {
        Work::Survey { .. } => Outcome::Unsurveyed(reason),
        Work::Apply { .. } | Work::Delete | Work::LetGo { .. } => Outcome::Failed { reason, retry_after: None },
    }
}

/// One job's talk with the member.
pub(super) struct Exchange {
    pub(super) client: kube::Client,
    pub(super) federation: Arc<str>,
    /// Its requests, for the limiter: the first few of a job that asks for many pages.
    pub(super) reports: Vec<Report>,
}

impl Exchange {
    async fn carry_out(&mut self, job: &Job) -> Outcome {
        let result = match &job.work {
            Work::Apply { body, known, adopt } => self.apply(&job.key, body, &job.uid, known.clone(), *adopt).await,
            Work::Delete => self.delete(&job.key, &job.uid).await,
            Work::LetGo { reason } => self.hand_over(&job.key, &job.uid, reason).await,
            Work::Survey { selector, replicas, workload } => match self.survey(&job.key, selector, *replicas, workload).await {
                Err(Outcome::Failed { reason, .. }) => Ok(Outcome::Unsurveyed(reason)),
                other => other,
            },
        };
        result.unwrap_or_else(|outcome| outcome)
    }

    pub(super) async fn send(&mut self, call: Call<'_>) -> Result<Reply, Outcome> {
        let like = match call.method {
            Method::GET if call.path.contains('?') => Like::List,
            Method::GET => Like::Read,
            _ => Like::Write,
        };
        let started = Instant::now();
        let result = call.send(&self.client, TIMEOUT).await;
        let came = match &result {
            Ok(reply) if reply.is_overload() => Came::Overloaded,
            Ok(_) => Came::Answered,
            Err(error) if error.trouble() == Trouble::Timeout => Came::TimedOut,
            Err(_) => Came::Unreachable,
        };
        if self.reports.len() < REPORTS {
            self.reports.push(Report { like, came, started, took: started.elapsed() });
        }
        result.map_err(|error| Outcome::Failed { reason: error.to_string(), retry_after: None })
    }

    pub(super) fn seen(&self, key: &ObjectKey, object: &DynamicObject) -> Seen {
        Seen::from_object(key.kind(), object, &self.federation)
    }

    /// What is there now under the name, if anything.
    pub(super) async fn look(&mut self, key: &ObjectKey) -> Result<Option<Seen>, Outcome> {
        let reply = self.send(Call::get(&key.path())).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(self.seen(key, &parsed(&reply)?))),
            _ if reply.is_not_found() => Ok(None),
            // What an API server does not serve it calls a page that is not found, as anything on the way may do too.
            StatusCode::NOT_FOUND if self.is_unserved(&key.kind().api_version(), key.kind().resource).await? => Ok(None),
            _ => Err(failed(&reply)),
        }
    }

    /// Whether the member says that it does not serve a resource. That it cannot be asked is a failure.
    async fn is_unserved(&mut self, api_version: &str, resource: &str) -> Result<bool, Outcome> {
        let path = match api_version.split_once('/') {
            None => format!("/api/{api_version}"),
            Some(_) => {
                let versions = discovery::versions(&self.read("/apis").await?).map_err(unseen)?;
                // An API server has other groups than the core one.
                if versions.len() > 1 && !versions.iter().any(|v| v.api_version == api_version) {
                    return Ok(true);
                }
                format!("/apis/{api_version}")
            }
        };
        let served = self.read(&path).await?;
        let Some(resources) = served["resources"].as_array().filter(|r| !r.is_empty()) else { return Ok(false) };
        Ok(!resources.iter().any(|r| r["name"] == resource))
    }

    async fn delete(&mut self, key: &ObjectKey, source: &str) -> Result<Outcome, Outcome> {
        let Some(found) = self.look(key).await?.filter(|found| found.is_from(source)) else { return Ok(Outcome::Gone) };
        if key.kind == NAMESPACE
            && !found.deleting
            && let Some(reason) = self.in_use(&key.name).await?
        {
            return self.let_go(key, &found.uid, reason).await;
        }
        let options = serde_json::json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": found.uid},
        });
        let call = Call { method: Method::DELETE, path: &key.path(), content_type: JSON, body: options.to_string().into() };
        let reply = self.send(call).await?;
        match reply.status {
            StatusCode::OK | StatusCode::ACCEPTED => {
                // A Status answers what is gone, the object itself what waits for finalizers.
                let waits = serde_json::from_slice::<Value>(&reply.body)
                    .is_ok_and(|v| !v["metadata"]["deletionTimestamp"].is_null() && has_finalizers(&v));
                Ok(if waits { Outcome::Deleting } else { Outcome::Gone })
            }
            _ if reply.is_not_found() => Ok(Outcome::Gone),
            _ => Err(failed(&reply)),
        }
    }

    /// Why a namespace cannot be deleted: deleting it would destroy what the federation did not make, or might.
    async fn in_use(&mut self, namespace: &str) -> Result<Option<String>, Outcome> {
        let mut collections = discovery::Collections::default();
        for version in discovery::versions(&self.read("/apis").await?).map_err(unseen)? {
            let resources = self.read(&version.path()).await?;
            for collection in collections.of(&version, &resources).map_err(unseen)? {
                if let Some(path) = foreign::path(&collection, namespace, &self.federation)
                    && let Some(reason) = self.first_foreign(&collection, &path).await?
                {
                    return Ok(Some(reason));
                }
            }
        }
        Ok(None)
    }

    /// What a server says of itself. That a part of it cannot be asked is a failure: it may be what people would miss.
    async fn read(&mut self, path: &str) -> Result<Value, Outcome> {
        let reply = self.send(Call::get(path)).await?;
        if reply.status == StatusCode::OK {
            return parsed(&reply);
        }
        let reason = format!("{UNSEEN}, {path}: {}", reply.message());
        Err(Outcome::Failed { reason, retry_after: reply.retry_after })
    }

    async fn first_foreign(&mut self, collection: &discovery::Collection, path: &str) -> Result<Option<String>, Outcome> {
        let resource = &*collection.resource;
        let mut pages = Pages::of(path);
        while let Some(page) = pages.next() {
            let reply = self.send(Call::get(&page)).await?;
            match reply.status {
                StatusCode::OK => {}
                // It is gone since it was told of, or cannot be listed after all.
                _ if reply.is_not_found() || reply.is_not_allowed() => break,
                StatusCode::NOT_FOUND if self.is_unserved(&collection.version.api_version, resource).await? => break,
                StatusCode::FORBIDDEN => return Ok(Some(format!("it may hold {resource}, which the federation may not list there"))),
                _ => return Err(failed(&reply)),
            }
            let list: Value = parsed(&reply)?;
            if list.get("items").is_none() {
                return Err(Outcome::Failed { reason: format!("{UNSEEN}, {page}: the answer is no list"), retry_after: None });
            }
            if let Some(name) = foreign::first(resource, &list) {
                return Ok(Some(format!("it holds {resource} \"{name}\", which the federation did not make")));
            }
            pages.read(&list).map_err(endless)?;
        }
        Ok(None)
    }

    /// Takes our marks off what was made from `source`.
    async fn hand_over(&mut self, key: &ObjectKey, source: &str, reason: &str) -> Result<Outcome, Outcome> {
        match self.look(key).await?.filter(|found| found.is_from(source)) {
            Some(found) => self.let_go(key, &found.uid, reason.to_owned()).await,
            None => Ok(Outcome::Gone),
        }
    }

    /// Takes our marks off an object, so that it is the member's own from now on.
    async fn let_go(&mut self, key: &ObjectKey, uid: &str, reason: String) -> Result<Outcome, Outcome> {
        let patch = serde_json::json!({"metadata": {
            "uid": uid, "labels": {keys::MANAGED_BY: null}, "annotations": BTreeMap::from(keys::COPY_ANNOTATIONS.map(|key| (key, None::<&str>))),
        }});
        let call = Call { method: Method::PATCH, path: &key.path(), content_type: MERGE, body: patch.to_string().into() };
        let reply = self.send(call).await?;
        match reply.status {
            StatusCode::OK => Ok(Outcome::Kept(reason)),
            _ if reply.is_not_found() => Ok(Outcome::Gone),
            _ => Err(failed(&reply)),
        }
    }

    /// Counts the pods of a workload: those of its own, or of a ReplicaSet of its own.
    async fn survey(&mut self, key: &ObjectKey, selector: &str, replicas: i64, workload: &str) -> Result<Outcome, Outcome> {
        let selector: String = query_value(selector);
        let mut owners = vec![workload.to_owned()];
        if key.kind().kind == "Deployment" {
            let path = format!("/apis/apps/v1/namespaces/{}/replicasets?labelSelector={selector}", key.namespace);
            let own = |set: &Value| controller(set) == Some(workload);
            self.each(&path, |set| owners.extend(set["metadata"]["uid"].as_str().filter(|_| own(set)).map(str::to_owned))).await?;
        }
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", key.namespace);
        let (mut counted, now) = (Pods::default(), jiff::Timestamp::now());
        self.each(&path, |pod| {
            if controller(pod).is_some_and(|uid| owners.iter().any(|o| o == uid)) {
                counted.count(pod, now);
            }
        })
        .await?;
        Ok(Outcome::Surveyed(counted.survey(replicas)))
    }

    /// Looks at each object of a collection, page by page.
    async fn each(&mut self, path: &str, mut look: impl FnMut(&Value)) -> Result<(), Outcome> {
        let mut pages = Pages::of(&format!("{path}&limit={SURVEY_PAGE}"));
        while let Some(page) = pages.next() {
            let reply = self.send(Call::get(&page)).await?;
            if reply.status != StatusCode::OK {
                return Err(failed(&reply));
            }
            let list: Value = parsed(&reply)?;
            pages.read(&list).map_err(endless)?;
            list["items"].as_array().into_iter().flatten().for_each(&mut look);
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn endless(error: super::request::Endless) -> Outcome {
    Outcome::Failed { reason: error.to_string(), retry_after: None }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unseen(error: discovery::Unreadable) -> Outcome {
    Outcome::Failed { reason: format!("{UNSEEN}, {error}"), retry_after: None }
}

/// uid of the controller of an object.
fn controller(object: &Value) -> Option<&str> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|o| o["controller"] == true)?["uid"].as_str()
}

/// Namespaces have their finalizers in `spec`.
fn has_finalizers(object: &Value) -> bool {
    let some = |v: &Value| v.as_array().is_some_and(|a| !a.is_empty());
    some(&object["metadata"]["finalizers"]) || some(&object["spec"]["finalizers"])
}

pub(super) fn failed(reply: &Reply) -> Outcome {
    Outcome::Failed { reason: reply.message(), retry_after: reply.retry_after }
}

pub(super) fn parsed<T: DeserializeOwned>(reply: &Reply) -> Result<T, Outcome> {
    serde_json::from_slice(&reply.body)
        .map_err(|e| Outcome::Failed { reason: format!("the member's answer cannot be read: {e}"), retry_after: None })
}

/// Pods that cannot be scheduled for longer than this show that the cluster is full.
const UNSCHEDULABLE_SECONDS: i64 = 60;

/// Pods counted by v1's rules.
#[derive(Default)]
struct Pods {
    running: i64,
    unschedulable: i64,
}

impl Pods {
    fn count(&mut self, pod: &Value, now: jiff::Timestamp) {
        let conditions: BTreeMap<&str, &Value> =
            pod["status"]["conditions"].as_array().into_iter().flatten().filter_map(|c| Some((c["type"].as_str()?, c))).collect();
        if pod["status"]["phase"] == "Running" {
            self.running += i64::from(conditions.contains_key("Ready"));
            return;
        }
        let Some(scheduled) = conditions.get("PodScheduled") else { return };
        let since = scheduled["lastTransitionTime"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let long = since.is_some_and(|t| now.as_second() - t.as_second() > UNSCHEDULABLE_SECONDS);
        self.unschedulable += i64::from(scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable" && long);
    }

    fn survey(&self, replicas: i64) -> Survey {
        Survey { running: self.running, capacity: (self.unschedulable > 0).then(|| replicas.saturating_sub(self.unschedulable).max(0)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_counted_by_v1s_rules() {
        let now: jiff::Timestamp = "2026-01-01T00:02:00Z".parse().unwrap();
        let pending = |since: &str, reason: &str| {
            json!({"status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": reason, "lastTransitionTime": since}]}})
        };
        let pods = json!([
            {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}},
            {"status": {"phase": "Running"}},
            pending("2026-01-01T00:00:30Z", "Unschedulable"),
            pending("2026-01-01T00:01:30Z", "Unschedulable"),
            pending("2026-01-01T00:00:30Z", "SchedulingGated"),
        ]);
        let mut counted = Pods::default();
        pods.as_array().unwrap().iter().for_each(|pod| counted.count(pod, now));
        assert_eq!(counted.survey(5), Survey { running: 1, capacity: Some(4) });
        assert_eq!(counted.survey(i64::MIN).capacity, Some(0));
        assert_eq!(Pods::default().survey(5), Survey { running: 0, capacity: None });
    }

    /// An exchange with a member that answers as `answer` says, from how often it was asked.
    fn exchange(answer: fn(usize, &str) -> std::io::Result<(u16, Value)>) -> Exchange {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        exchange_with(move |uri| answer(asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst), uri.query().unwrap_or_default()))
    }

    /// An exchange with a member that answers as `answer` says.
    fn exchange_with(answer: impl Fn(&http::Uri) -> std::io::Result<(u16, Value)> + Send + 'static) -> Exchange {
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            std::future::ready(answer(request.uri()).map(|(status, body)| {
                let mut response = http::Response::new(kube::client::Body::from(body.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                response
            }))
        });
        Exchange { client: kube::Client::new(service, "default"), federation: "fellowship".into(), reports: Vec::new() }
    }

    #[tokio::test]
    async fn d25_a_namespace_that_holds_only_another_version_of_a_group_is_in_use() {
        let answer = |held: &'static str, broken: &'static str| {
            move |uri: &http::Uri| {
                let resource = |name: &str| json!({"name": name, "kind": "K", "namespaced": true, "verbs": ["list"]});
                let version = |v: &str| json!({"groupVersion": format!("istio.example.com/{v}"), "version": v});
                let body = match uri.path() {
                    path if path == broken => return Ok((503, json!({"message": "no endpoints"}))),
                    "/apis" => {
                        json!({"groups": [{"name": "istio.example.com", "versions": [version("v1"), version("v1alpha3")], "preferredVersion": version("v1")}]})
                    }
                    "/api/v1" => json!({"resources": []}),
                    "/apis/istio.example.com/v1" => json!({"resources": [resource("gateways")]}),
                    "/apis/istio.example.com/v1alpha3" => json!({"resources": [resource("gateways"), resource("envoyfilters")]}),
                    path if path == held => json!({"items": [{"metadata": {"name": "precious"}}]}),
                    path if path.contains("/namespaces/demo/") => json!({"items": []}),
                    path => panic!("asked for {path}"),
                };
                Ok((200, body))
            }
        };
        let older = "/apis/istio.example.com/v1alpha3/namespaces/demo/envoyfilters";
        let reason = exchange_with(answer(older, "")).in_use("demo").await.unwrap().unwrap();
        assert_eq!(reason, "it holds envoyfilters \"precious\", which the federation did not make");
        assert_eq!(exchange_with(answer("", "")).in_use("demo").await.unwrap(), None);

        let Err(Outcome::Failed { reason, .. }) = exchange_with(answer("", "/apis/istio.example.com/v1alpha3")).in_use("demo").await else {
            panic!("nobody knows what it holds")
        };
        assert_eq!(reason, "whether others use the namespace cannot be seen, /apis/istio.example.com/v1alpha3: no endpoints");
    }

    fn not_found() -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
    }

    #[tokio::test]
    async fn issue7_what_a_proxy_cannot_find_is_not_gone() {
        // What the object's path, the groups and the resources of the group are answered with.
        let talk = |object: (u16, Value), groups: (u16, Value), resources: (u16, Value)| {
            exchange_with(move |uri| {
                Ok(match uri.path() {
                    "/apis" => groups.clone(),
                    "/apis/apps/v1" => resources.clone(),
                    _ => object.clone(),
                })
            })
        };
        let group = |name: &str| {
            let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
            json!({"name": name, "versions": [version], "preferredVersion": version})
        };
        let groups = |list: &[&str]| (200, json!({"groups": list.iter().map(|name| group(name)).collect::<Vec<_>>()}));
        let resources = |name: &str| (200, json!({"resources": [{"name": name, "kind": "K", "namespaced": true, "verbs": ["list"]}]}));
        let (plain, key) = ((404, json!("404 page not found")), ObjectKey { kind: 4, namespace: "demo".into(), name: "web".into() });
        let apps = groups(&["apps", "batch"]);

        for (mut talk, gone) in [
            (talk((404, not_found()), plain.clone(), plain.clone()), true),
            (talk(plain.clone(), plain.clone(), plain.clone()), false),
            (talk(plain.clone(), apps.clone(), plain.clone()), false),
            (talk(plain.clone(), apps.clone(), resources("deployments")), false),
            (talk(plain.clone(), apps.clone(), (200, json!({"resources": []}))), false),
            (talk(plain.clone(), groups(&[]), plain.clone()), false),
            // The kind is not served there.
            (talk(plain.clone(), groups(&["batch"]), plain.clone()), true),
            (talk(plain, apps, resources("daemonsets")), true),
        ] {
            let outcome = talk.delete(&key, "u").await.unwrap_or_else(|outcome| outcome);
            assert_eq!(matches!(outcome, Outcome::Gone), gone, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn issue7_limiter_what_comes_of_a_request_is_told_apart() {
        let mut talk = exchange(|count, _| match count {
            0 => Ok((200, json!({}))),
            1 => Ok((429, json!({}))),
            2 => Ok((503, json!({}))),
            _ => Err(std::io::ErrorKind::ConnectionRefused.into()),
        });
        for path in ["/api/v1/pods?limit=1", "/api/v1/nodes/a", "/api/v1/nodes/a", "/api/v1/nodes/a"] {
            let _ = talk.send(Call::get(path)).await;
        }
        let _ = talk.send(Call { method: Method::PATCH, path: "/x", content_type: MERGE, body: Bytes::new() }).await;
        let told: Vec<_> = talk.reports.iter().map(|r| (r.like, r.came)).collect();
        let refused = Came::Unreachable;
        assert_eq!(
            told,
            [
                (Like::List, Came::Answered),
                (Like::Read, Came::Overloaded),
                (Like::Read, Came::Overloaded),
                (Like::Read, refused),
                (Like::Write, refused)
            ]
        );
    }

    #[tokio::test]
    async fn d20_pods_are_counted_page_by_page() {
        let mut talk = exchange(|count, query| {
            let owners = json!([{"controller": true, "uid": "w"}]);
            let pod = json!({"metadata": {"ownerReferences": owners}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}});
            let token = if count < 2 { "more" } else { "" };
            assert_eq!(query.ends_with("&continue=more"), count > 0, "{query}");
            Ok((200, json!({"metadata": {"continue": token}, "items": [pod]})))
        });
        let key = ObjectKey { kind: crate::kinds::id("ReplicaSet"), namespace: "demo".into(), name: "web".into() };
        let outcome = talk.survey(&key, "app=web", 5, "w").await.unwrap();
        assert!(matches!(outcome, Outcome::Surveyed(Survey { running: 3, capacity: None })), "{outcome:?}");
    }

    #[tokio::test]
    async fn issue7_case_30_pods_are_counted_by_owner() {
        let mut talk = exchange(|count, _| {
            let of = |uid: &str| json!([{"controller": true, "uid": uid}]);
            let items = if count == 0 {
                json!([{"metadata": {"uid": "mine", "ownerReferences": of("w")}}, {"metadata": {"uid": "theirs", "ownerReferences": of("x")}}])
            } else {
                let old = "2026-01-01T00:00:00Z";
                let stuck = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": old}]);
                json!([
                    {"metadata": {"ownerReferences": of("mine")}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}},
                    {"metadata": {"ownerReferences": of("theirs")}, "status": {"phase": "Pending", "conditions": stuck}},
                    {"metadata": {}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}},
                ])
            };
            Ok((200, json!({"metadata": {}, "items": items})))
        });
        let key = ObjectKey { kind: crate::kinds::id("Deployment"), namespace: "demo".into(), name: "web".into() };
        let outcome = talk.survey(&key, "app=web", 5, "w").await.unwrap();
        assert!(matches!(outcome, Outcome::Surveyed(Survey { running: 1, capacity: None })), "{outcome:?}");
    }

    #[tokio::test]
    async fn d24_a_job_that_comes_before_its_session_waits_for_it() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let body = kube::client::Body::from(not_found().to_string().into_bytes());
            http::Response::builder().status(404).body(body).map_err(std::io::Error::other)
        });
        let client = kube::Client::new(service, "default");
        let (session, receiver) = watch::channel(None);
        let (jobs, queue) = mpsc::unbounded_channel();
        let (mailbox, mut inbox) = Mailbox::new();
        let lane = Lane { cluster: "gondor".into(), federation: "fellowship".into(), session: receiver, jobs: queue, mailbox };
        let running = tokio::spawn(lane.run());
        let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
        let job = |epoch| Job { key: key.clone(), epoch, uid: "u".into(), version: None, digest: String::new(), work: Work::Delete };
        // One of a session that never was, one of the session before, and one of the session to come.
        for epoch in [1, 2] {
            jobs.send(job(epoch)).unwrap_or_else(|_| panic!("the lane ended"));
        }
        tokio::task::yield_now().await;
        session.send_replace(Some(Session { epoch: 2, client }));
        let answer = tokio::time::timeout(Duration::from_secs(5), inbox.recv()).await.unwrap();
        assert!(matches!(answer, Some(Intake::Outcome { epoch: 2, outcome: Outcome::Gone, .. })));
        running.abort();
    }

    #[test]
    fn issue7_a_job_in_a_member_is_a_span_with_the_objects_uid() {
        #[derive(Clone, Default)]
        struct Page(Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Page {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let page = Page::default();
        let writer = page.clone();
        let told = tracing_subscriber::fmt()
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(told, || {
            let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
            let job = Job { key, epoch: 1, uid: "7f9c".into(), version: None, digest: String::new(), work: Work::Delete };
            job.span("gondor").record(field::OUTCOME, Outcome::Gone.word());
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        for part in ["what=\"delete\"", "cluster=\"gondor\"", "kind=\"ConfigMap\"", "name=\"ring\"", "uid=7f9c", "outcome=\"gone\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_job_in_a_member_is_in_the_trace_of_the_write_that_led_to_it() {
        use opentelemetry::trace::{TraceContextExt, TracerProvider};
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        use tracing_subscriber::layer::SubscriberExt;
        let tracer = opentelemetry_sdk::trace::SdkTracerProvider::builder().build().tracer("test");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let trace = |span: &tracing::Span| span.context().span().span_context().trace_id();
            let written = tracing::info_span!(target: TARGET, "stored");
            follows(&written, "7f9c", "1842");
            let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
            let job = |version: &str| {
                let version = Some(version.into());
                Job { key: key.clone(), epoch: 1, uid: "7f9c".into(), version, digest: String::new(), work: Work::Delete }
            };
            assert_eq!(trace(&job("1842").span("gondor")), trace(&written));
            assert_ne!(trace(&job("1843").span("gondor")), trace(&written));
        });
    }

    #[tokio::test]
    async fn a_job_that_panics_is_answered() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            None::<http::Response<kube::client::Body>>.map(Ok::<_, std::io::Error>).expect("a bug")
        });
        let session = Session { epoch: 1, client: kube::Client::new(service, "default") };
        let (_session, receiver) = watch::channel(Some(session));
        let (jobs, queue) = mpsc::unbounded_channel();
        let (mailbox, mut inbox) = Mailbox::new();
        let lane = Lane { cluster: "gondor".into(), federation: "fellowship".into(), session: receiver, jobs: queue, mailbox };
        let running = tokio::spawn(lane.run());
        let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
        jobs.send(Job { key, epoch: 1, uid: "u".into(), version: None, digest: String::new(), work: Work::Delete })
            .unwrap_or_else(|_| panic!("the lane ended"));
        let answer = tokio::time::timeout(Duration::from_secs(60), inbox.recv()).await.unwrap();
        assert!(matches!(answer, Some(Intake::Outcome { outcome: Outcome::Failed { .. }, .. })));
        running.abort();
    }
}
