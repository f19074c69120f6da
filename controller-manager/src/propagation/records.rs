//! Propagation records in the federation: read once at the start, then written in batches.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::{
    backoff::Backoff,
    supervise::Done,
    trace::{TARGET, field, follows},
};
use federation_api::{keys, record::PropagationRecordSpec};
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{
    compact::{Uid, Version},
    intake::{Intake, Mailbox},
};
use crate::backoff::WRITE;
use crate::members::request::{Call, JSON};

/// URL path of all records.
pub(super) const PATH: &str = "/apis/federation/v1beta1/propagationrecords";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Records written at a time.
const CONCURRENCY: usize = 16;
/// Records per page when all are read.
const PAGE: usize = 1000;

/// A batch: what to store by uid.
pub(crate) type Batch = HashMap<String, Entry>;

/// What to store of one object.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Nothing means delete.
    pub(crate) spec: Option<PropagationRecordSpec>,
    /// resourceVersion of the federated object as acted upon, where it is known: with the uid it names the trace.
    pub(crate) version: Option<Version>,
}

impl Entry {
    /// The write as traces show it.
    fn span(&self, uid: &str) -> tracing::Span {
        let version = self.version.as_ref().map(ToString::to_string);
        let what = if self.spec.is_some() { "store" } else { "delete" };
        let span = tracing::info_span!(target: TARGET, "record", what, uid, resource_version = version, outcome = tracing::field::Empty);
        if let Some(version) = version {
            follows(&span, uid, &version);
        }
        span
    }
}

/// The stored records.
#[derive(Clone)]
pub(crate) struct Records {
    client: kube::Client,
    /// resourceVersions by uid, so that a known record is replaced in one request.
    versions: Arc<Mutex<HashMap<Uid, Version>>>,
    /// Is told of what somebody else wrote.
    mailbox: Option<Mailbox>,
}

impl Records {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client, versions: Arc::default(), mailbox: None }
    }

    /// Tells what somebody else wrote into a record.
    pub(crate) fn telling(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = Some(mailbox);
        self
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<Uid, Version>> {
        // A panic elsewhere leaves at worst an old version here, which the next write finds out.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all records.
    pub(crate) async fn load(&self) -> Result<Vec<(String, PropagationRecordSpec)>, String> {
        let (mut records, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{PATH}?limit={PAGE}&continue={}", crate::members::request::query_value(&token));
            let reply = Call::get(&path).send(&self.client, TIMEOUT).await.map_err(|e| e.to_string())?;
            if reply.status != StatusCode::OK {
                return Err(reply.message());
            }
            let mut list: Value = serde_json::from_slice(&reply.body).map_err(|e| e.to_string())?;
            for item in list["items"].as_array_mut().into_iter().flatten() {
                let uid = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.remember(&uid, item);
                match serde_json::from_value(item["spec"].take()) {
                    Ok(spec) => records.push((uid, spec)),
                    Err(error) => tracing::warn!(record = uid, %error, "a propagation record cannot be read and is left alone"),
                }
            }
            token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(records);
            }
        }
    }

    /// Stores one record, new or known.
    pub(crate) async fn store(&self, uid: &str, spec: &PropagationRecordSpec) -> Result<(), String> {
        let path = format!("{PATH}/{uid}");
        let mut spec = Cow::Borrowed(spec);
        for _ in 0..5 {
            let version = self.versions().get(&Uid::from(uid)).map(ToString::to_string);
            let (method, target) = if version.is_some() { (Method::PUT, path.as_str()) } else { (Method::POST, PATH) };
            let metadata = json!({"name": uid, "resourceVersion": version});
            let record = json!({"apiVersion": keys::API_VERSION, "kind": "PropagationRecord", "metadata": metadata, "spec": &*spec});
            let call = Call { method, path: target, content_type: JSON, body: record.to_string().into() };
            let reply = call.send(&self.client, TIMEOUT).await.map_err(|e| e.to_string())?;
            match reply.status {
                StatusCode::OK | StatusCode::CREATED => {
                    self.remember(uid, &serde_json::from_slice(&reply.body).unwrap_or_default());
                    return Ok(());
                }
                // Not as we remember it: look, and try again.
                _ if reply.status == StatusCode::CONFLICT || reply.is_not_found() => {
                    let reply = Call::get(&path).send(&self.client, TIMEOUT).await.map_err(|e| e.to_string())?;
                    if reply.status == StatusCode::OK {
                        let stored: Value = serde_json::from_slice(&reply.body).map_err(|e| e.to_string())?;
                        self.remember(uid, &stored);
                        self.keep_tombstones(uid, &stored["spec"], &mut spec);
                    } else if reply.is_not_found() {
                        self.versions().remove(&Uid::from(uid));
                    } else {
                        return Err(reply.message());
                    }
                }
                _ => return Err(reply.message()),
            }
        }
        Err("the record changed at each try".into())
    }

    /// Somebody else wrote the record: whoever led before may have told of deletions that are not known here. They
    /// are neither overwritten nor left to be found at the next start.
    fn keep_tombstones(&self, uid: &str, stored: &Value, ours: &mut Cow<'_, PropagationRecordSpec>) {
        let Ok(stored) = PropagationRecordSpec::deserialize(stored) else { return };
        let missing: BTreeMap<_, _> =
            stored.clusters.into_iter().filter(|(name, record)| record.explicit && !ours.clusters.contains_key(name)).collect();
        if missing.is_empty() || stored.object != ours.object {
            return;
        }
        tracing::warn!(record = uid, clusters = ?missing.keys(), "a propagation record holds deletions of somebody else; they are kept");
        let ours = ours.to_mut();
        ours.deleted = None;
        ours.clusters.extend(missing.clone());
        if let Some(mailbox) = &self.mailbox {
            let found = PropagationRecordSpec { object: ours.object.clone(), clusters: missing, deleted: None };
            mailbox.send(Intake::Records(vec![(uid.to_owned(), found)]));
        }
    }

    fn remember(&self, uid: &str, record: &Value) {
        if let Some(version) = record["metadata"]["resourceVersion"].as_str() {
            self.versions().insert(uid.into(), version.into());
        }
    }

    async fn delete(&self, uid: &str) -> Result<(), String> {
        self.versions().remove(&Uid::from(uid));
        let path = format!("{PATH}/{uid}");
        let call = Call { method: Method::DELETE, path: &path, content_type: JSON, body: bytes::Bytes::new() };
        let reply = call.send(&self.client, TIMEOUT).await.map_err(|e| e.to_string())?;
        if reply.status.is_success() || reply.is_not_found() { Ok(()) } else { Err(reply.message()) }
    }

    /// Writes batches until the sender is gone, whose end is told where it belongs; a newer batch wins over what is still to be written.
    pub(crate) async fn run(self, mut batches: mpsc::UnboundedReceiver<Batch>) -> Done {
        let mut due = Batch::new();
        let mut retry = Backoff::new(WRITE);
        loop {
            if due.is_empty() {
                let Some(batch) = batches.recv().await else { return Done };
                due = batch;
            }
            while let Ok(batch) = batches.try_recv() {
                due.extend(batch);
            }
            let failed: Vec<_> = stream::iter(due.drain())
                .map(|(uid, entry)| {
                    let records = &self;
                    async move {
                        let span = entry.span(&uid);
                        let result = match &entry.spec {
                            Some(spec) => records.store(&uid, spec).instrument(span.clone()).await,
                            None => records.delete(&uid).instrument(span.clone()).await,
                        };
                        span.record(field::OUTCOME, result.as_ref().map_or_else(String::as_str, |()| "ok"));
                        result.err().map(|error| (uid, entry, error))
                    }
                })
                .buffer_unordered(CONCURRENCY)
                .filter_map(std::future::ready)
                .collect()
                .await;
            if let Some((uid, _, error)) = failed.first() {
                tracing::warn!(count = failed.len(), first = uid, %error, "propagation records could not be written and are tried again");
                if batches.is_closed() {
                    return Done;
                }
                retry.pause().await;
            } else {
                retry.succeeded();
            }
            due.extend(failed.into_iter().map(|(uid, entry, _)| (uid, entry)));
        }
    }
}

#[cfg(test)]
mod tests {
    use federation_api::record::{ClusterRecord, ObjectRef, State};

    use super::*;
    use crate::exported::{Exported, trace_of};

    #[tokio::test]
    async fn d38_a_tombstone_of_somebody_else_is_not_overwritten() {
        let tombstone = ClusterRecord { explicit: true, state: State::Deleting, ..ClusterRecord::default() };
        let object = ObjectRef { version: "v1".into(), resource: "configmaps".into(), name: "ring".into(), ..ObjectRef::default() };
        let stored = PropagationRecordSpec { object: object.clone(), clusters: [("gondor".to_owned(), tombstone)].into(), deleted: None };
        let written = Arc::new(Mutex::new(Vec::<Value>::new()));
        let writes = written.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (writes, stored) = (writes.clone(), stored.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = http_body_util::BodyExt::collect(body).await.map_err(std::io::Error::other)?.to_bytes();
                let record = json!({"metadata": {"name": "u", "resourceVersion": "7"}, "spec": stored});
                let (status, answer) = match parts.method {
                    Method::GET => (200, record),
                    Method::POST => (409, Value::Null),
                    _ => {
                        writes.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                        (200, record)
                    }
                };
                http::Response::builder()
                    .status(status)
                    .body(kube::client::Body::from(answer.to_string().into_bytes()))
                    .map_err(std::io::Error::other)
            }
        });
        let (mailbox, mut inbox) = Mailbox::new();
        let records = Records::new(kube::Client::new(service, "default")).telling(mailbox);
        let ours = PropagationRecordSpec { object, clusters: [("rohan".to_owned(), ClusterRecord::default())].into(), deleted: None };
        records.store("u", &ours).await.unwrap();
        let written = written.lock().unwrap();
        assert_eq!(written[0]["metadata"]["resourceVersion"], "7");
        assert_eq!(written[0]["spec"]["clusters"].as_object().unwrap().len(), 2);
        assert!(matches!(inbox.try_recv(), Ok(Intake::Records(found)) if found[0].1.clusters["gondor"].explicit));
    }

    #[tokio::test]
    async fn issue7_a_records_write_is_in_the_trace_of_what_led_to_it() {
        let exported = Exported::here();
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| {
            let body = kube::client::Body::from(br#"{"metadata":{"resourceVersion":"7"}}"#.to_vec());
            std::future::ready(http::Response::builder().status(201).body(body).map_err(std::io::Error::other))
        });
        let object = ObjectRef { version: "v1".into(), resource: "configmaps".into(), name: "ring".into(), ..ObjectRef::default() };
        let spec = Some(PropagationRecordSpec { object, clusters: BTreeMap::new(), deleted: None });
        let (batches, due) = mpsc::unbounded_channel();
        batches.send([("7f9c".to_owned(), Entry { spec, version: Some("1842".into()) })].into()).unwrap();
        batches.send([("a1b2".to_owned(), Entry { spec: None, version: None })].into()).unwrap();
        drop(batches);
        Records::new(kube::Client::new(service, "default")).run(due).await;
        let mut seen = exported.named("record");
        seen.sort_by_key(|span| span.attributes.iter().find(|a| a.key.as_str() == field::UID).map(|a| a.value.to_string()));
        let outcomes: Vec<_> =
            seen.iter().map(|span| span.attributes.iter().any(|a| a.key.as_str() == field::OUTCOME && a.value.as_str() == "ok")).collect();
        assert_eq!(outcomes, [true, true]);
        assert_eq!(seen[0].span_context.trace_id(), trace_of("7f9c", "1842"));
        assert_eq!(seen[1].parent_span_id, opentelemetry::trace::SpanId::INVALID, "what is gone without a version is in no trace");
    }

    #[tokio::test]
    async fn issue7_a_record_that_a_proxy_does_not_find_is_not_made_anew() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let methods = asked.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            methods.lock().unwrap().push(request.method().clone());
            let body = kube::client::Body::from(b"404 page not found".to_vec());
            std::future::ready(http::Response::builder().status(404).body(body).map_err(std::io::Error::other))
        });
        let records = Records::new(kube::Client::new(service, "default"));
        records.remember("u", &json!({"metadata": {"resourceVersion": "7"}}));
        let object = ObjectRef { version: "v1".into(), resource: "configmaps".into(), name: "ring".into(), ..ObjectRef::default() };
        let ours = PropagationRecordSpec { object, clusters: BTreeMap::new(), deleted: None };
        for _ in 0..2 {
            assert!(records.store("u", &ours).await.is_err());
        }
        assert_eq!(*asked.lock().unwrap(), [Method::PUT, Method::PUT]);
    }
}
