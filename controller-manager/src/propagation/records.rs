//! Propagation records in the federation: read once at the start, then written in batches.

use std::{
    borrow::Cow,
    collections::HashMap,
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
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{
    copies::Placed,
    intake::{Intake, Mailbox},
    per_cluster::ClusterName,
    record::{Names, Record},
};
use crate::{
    backoff::WRITE,
    compact::{Uid, Version},
    follow::Head,
    request::{Call, JSON, RequestError},
};

/// URL path of all records.
pub(super) const PATH: &str = "/apis/federation/v1beta1/propagationrecords";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Records written at a time.
const CONCURRENCY: usize = 16;
/// Records per page when all are read.
const PAGE: usize = 1000;

/// A batch: what to store by uid.
pub(crate) type Batch = HashMap<Uid, Entry>;

/// What to store of one object.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Nothing means delete.
    pub(crate) record: Option<Record>,
    /// resourceVersion of the federated object as acted upon, where it is known: with the uid it names the trace.
    pub(crate) version: Option<Version>,
}

impl Entry {
    /// The write as traces show it.
    fn span(&self, uid: &Uid) -> tracing::Span {
        let uid = uid.to_string();
        let version = self.version.as_ref().map(ToString::to_string);
        let what = if self.record.is_some() { "store" } else { "delete" };
        let span = tracing::info_span!(target: TARGET, "record", what, uid, resource_version = version, outcome = tracing::field::Empty);
        if let Some(version) = version {
            follows(&span, &uid, &version);
        }
        span
    }
}

/// An answer with all records, or a page of them. They are read one by one: a tree of all would be as large as all that
/// is kept of all objects.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    token: String,
}

/// A record as the federation gives it.
#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    spec: PropagationRecordSpec,
}

/// Of a record, what can be read whatever its spec is.
#[derive(Deserialize)]
struct Headed {
    metadata: Head,
}

/// A record as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    api_version: &'static str,
    kind: &'static str,
    metadata: SentMeta,
    spec: PropagationRecordSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentMeta {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
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
    pub(crate) async fn load(&self) -> Result<Vec<(Uid, Record)>, RequestError> {
        let (mut records, mut token, mut names) = (Vec::new(), String::new(), Names::default());
        loop {
            let path = format!("{PATH}?limit={PAGE}&continue={}", crate::request::query_value(&token));
            let reply = Call::get(&path).send(&self.client, TIMEOUT).await?;
            if reply.status != StatusCode::OK {
                return Err(reply.into());
            }
            let page: Page<'_> = serde_json::from_slice(&reply.body)?;
            for item in page.items {
                let head = serde_json::from_str::<Headed>(item.get())?.metadata;
                let uid = Uid::from(&*head.name);
                self.remember(&uid, &head);
                match serde_json::from_str::<Stored>(item.get()) {
                    Ok(stored) => records.extend(Record::read(stored.spec, &mut names).map(|record| (uid, record))),
                    Err(error) => tracing::warn!(record = %uid, %error, "a propagation record cannot be read and is left alone"),
                }
            }
            token = page.metadata.token;
            if token.is_empty() {
                return Ok(records);
            }
        }
    }

    /// Stores one record, new or known.
    pub(crate) async fn store(&self, uid: &Uid, record: &Record) -> Result<(), RequestError> {
        let path = format!("{PATH}/{uid}");
        let mut record = Cow::Borrowed(record);
        for _ in 0..5 {
            let resource_version = self.versions().get(uid).map(ToString::to_string);
            let (method, target) = if resource_version.is_some() { (Method::PUT, path.as_str()) } else { (Method::POST, PATH) };
            let metadata = SentMeta { name: uid.to_string(), resource_version };
            let sent = Sent { api_version: keys::API_VERSION, kind: "PropagationRecord", metadata, spec: record.stored() };
            let body = serde_json::to_vec(&sent)?;
            let call = Call { method, path: target, content_type: JSON, body: body.into() };
            let reply = call.send(&self.client, TIMEOUT).await?;
            match reply.status {
                StatusCode::OK | StatusCode::CREATED => {
                    if let Ok(stored) = serde_json::from_slice::<Headed>(&reply.body) {
                        self.remember(uid, &stored.metadata);
                    }
                    return Ok(());
                }
                // Not as we remember it: look, and try again.
                _ if reply.status == StatusCode::CONFLICT || reply.is_not_found() => {
                    let reply = Call::get(&path).send(&self.client, TIMEOUT).await?;
                    if reply.status == StatusCode::OK {
                        let head = serde_json::from_slice::<Headed>(&reply.body)?.metadata;
                        self.remember(uid, &head);
                        if let Ok(stored) = serde_json::from_slice::<Stored>(&reply.body) {
                            self.keep_tombstones(uid, stored.spec, &mut record);
                        }
                    } else if reply.is_not_found() {
                        self.versions().remove(uid);
                    } else {
                        return Err(reply.into());
                    }
                }
                _ => return Err(reply.into()),
            }
        }
        Err(RequestError::Refused("the record changed at each try".into()))
    }

    /// Somebody else wrote the record: whoever led before may have told of deletions that are not known here. They
    /// are neither overwritten nor left to be found at the next start.
    fn keep_tombstones(&self, uid: &Uid, stored: PropagationRecordSpec, ours: &mut Cow<'_, Record>) {
        let Some(stored) = Record::read(stored, &mut Names::default()).filter(|stored| stored.key == ours.key) else { return };
        let known = |name: &ClusterName| ours.clusters.iter().any(|(ours, _)| ours == name);
        let missing: Box<[(ClusterName, Placed)]> =
            stored.clusters.into_iter().filter(|(name, placed)| placed.explicit && !known(name)).collect();
        if missing.is_empty() {
            return;
        }
        let names: Vec<&ClusterName> = missing.iter().map(|(name, _)| name).collect();
        tracing::warn!(record = %uid, clusters = ?names, "a propagation record holds deletions of somebody else; they are kept");
        let ours = ours.to_mut();
        ours.deleted = None;
        ours.clusters = ours.clusters.iter().chain(&missing).cloned().collect();
        if let Some(mailbox) = &self.mailbox {
            let found = Record { key: ours.key.clone(), clusters: missing, deleted: None };
            mailbox.send(Intake::Records(vec![(uid.clone(), found)]));
        }
    }

    fn remember(&self, uid: &Uid, head: &Head) {
        if !head.resource_version.is_empty() {
            self.versions().insert(uid.clone(), Version::from(&*head.resource_version));
        }
    }

    async fn delete(&self, uid: &Uid) -> Result<(), RequestError> {
        self.versions().remove(uid);
        let path = format!("{PATH}/{uid}");
        let call = Call { method: Method::DELETE, path: &path, content_type: JSON, body: bytes::Bytes::new() };
        let reply = call.send(&self.client, TIMEOUT).await?;
        if reply.status.is_success() || reply.is_not_found() { Ok(()) } else { Err(reply.into()) }
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
                        let result = match &entry.record {
                            Some(record) => records.store(&uid, record).instrument(span.clone()).await,
                            None => records.delete(&uid).instrument(span.clone()).await,
                        };
                        match &result {
                            Ok(()) => span.record(field::OUTCOME, "ok"),
                            Err(error) => span.record(field::OUTCOME, error.to_string()),
                        };
                        result.err().map(|error| (uid, entry, error))
                    }
                })
                .buffer_unordered(CONCURRENCY)
                .filter_map(std::future::ready)
                .collect()
                .await;
            if let Some((uid, _, error)) = failed.first() {
                tracing::warn!(count = failed.len(), first = %uid, %error, "propagation records could not be written and are tried again");
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
    use std::collections::BTreeMap;

    use federation_api::record::{ClusterRecord, ObjectRef, State};
    use serde_json::{Value, json};

    use super::*;
    use crate::exported::{Exported, trace_of};

    fn record(spec: PropagationRecordSpec) -> Record {
        Record::read(spec, &mut Names::default()).unwrap()
    }

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
        records.store(&"u".into(), &record(ours)).await.unwrap();
        let written = written.lock().unwrap();
        assert_eq!(written[0]["metadata"]["resourceVersion"], "7");
        assert_eq!(written[0]["spec"]["clusters"].as_object().unwrap().len(), 2);
        assert!(matches!(inbox.try_recv(), Ok(Intake::Records(found)) if &*found[0].1.clusters[0].0 == "gondor"));
    }

    #[tokio::test]
    async fn issue7_a_records_write_is_in_the_trace_of_what_led_to_it() {
        let exported = Exported::here();
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| {
            let body = kube::client::Body::from(br#"{"metadata":{"resourceVersion":"7"}}"#.to_vec());
            std::future::ready(http::Response::builder().status(201).body(body).map_err(std::io::Error::other))
        });
        let object = ObjectRef { version: "v1".into(), resource: "configmaps".into(), name: "ring".into(), ..ObjectRef::default() };
        let record = Some(record(PropagationRecordSpec { object, clusters: BTreeMap::new(), deleted: None }));
        let (batches, due) = mpsc::unbounded_channel();
        batches.send([("7f9c".into(), Entry { record, version: Some("1842".into()) })].into()).unwrap();
        batches.send([("a1b2".into(), Entry { record: None, version: None })].into()).unwrap();
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
        records.remember(&"u".into(), &Head { resource_version: "7".into(), ..Head::default() });
        let object = ObjectRef { version: "v1".into(), resource: "configmaps".into(), name: "ring".into(), ..ObjectRef::default() };
        let ours = record(PropagationRecordSpec { object, clusters: BTreeMap::new(), deleted: None });
        for _ in 0..2 {
            assert!(records.store(&"u".into(), &ours).await.is_err());
        }
        assert_eq!(*asked.lock().unwrap(), [Method::PUT, Method::PUT]);
    }
}
