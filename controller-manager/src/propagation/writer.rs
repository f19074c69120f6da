//! Writes to federated objects: finalizers, status, and emptying a namespace that is being deleted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use federation_api::record::PropagationRecordSpec;
use http::{Method, StatusCode};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    entry::Key,
    intake::{Intake, Mailbox, Write, WriteError},
    records::Records,
};
use crate::{
    kinds::KINDS,
    members::request::{Call, CallError, JSON, MERGE, Reply},
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Writes under way at a time.
const CONCURRENCY: usize = 64;
/// Pause between looks at a namespace that is being emptied.
const EMPTYING: Duration = Duration::from_millis(300);

/// Carries out writes; answers go to the mailbox.
#[derive(Clone)]
pub(crate) struct Writer {
    client: kube::Client,
    records: Records,
    mailbox: Mailbox,
    permits: Arc<Semaphore>,
}

/// Namespaced collections beside the federated kinds that a deleted namespace takes with it.
const OTHER_CONTENT: [(&str, &str); 9] = [
    ("/api/v1", "endpoints"),
    ("/api/v1", "serviceaccounts"),
    ("/api/v1", "events"),
    ("/apis/discovery.k8s.io/v1", "endpointslices"),
    ("/apis/networking.k8s.io/v1", "ingresses"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    ("/apis/coordination.k8s.io/v1", "leases"),
];

impl Writer {
    pub(crate) fn new(client: kube::Client, records: Records, mailbox: Mailbox) -> Self {
        Self { client, records, mailbox, permits: Arc::new(Semaphore::new(CONCURRENCY)) }
    }

    fn spawn<F>(&self, key: Key, uid: &str, what: Write, work: F)
    where
        F: Future<Output = Result<Option<Box<DynamicObject>>, WriteError>> + Send + 'static,
    {
        let (mailbox, permits, uid) = (self.mailbox.clone(), self.permits.clone(), uid.to_owned());
        tokio::spawn(async move {
            let _permit = permits.acquire().await;
            let result = work.await;
            mailbox.send(Intake::Written { key, uid, what, result });
        });
    }

    /// Replaces the finalizers of the object as it was seen. `tombstone` is stored before, so that what is
    /// still to be deleted in members that are away is never forgotten.
    pub(crate) fn finalizers(&self, key: &Key, object: &DynamicObject, finalizers: &[String], tombstone: Option<PropagationRecordSpec>) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let patch = json!({"metadata": {"uid": uid, "resourceVersion": object.metadata.resource_version, "finalizers": finalizers}});
        let (client, records, path, record_uid) = (self.client.clone(), self.records.clone(), key.path(), uid.clone());
        self.spawn(key.clone(), &uid, Write::Finalizers, async move {
            if let Some(spec) = tombstone {
                records.store(&record_uid, &spec).await.map_err(|reason| WriteError { reason, stale: false, retry_after: None })?;
            }
            patch_object(&client, &path, &patch).await
        });
    }

    /// Merges `status` into the object's status.
    pub(crate) fn status(&self, key: &Key, uid: &str, status: &Value) {
        let patch = json!({"metadata": {"uid": uid}, "status": status});
        let (client, path) = (self.client.clone(), format!("{}/status", key.path()));
        self.spawn(key.clone(), uid, Write::Status, async move { patch_object(&client, &path, &patch).await });
    }

    /// Deletes everything in a namespace that is being deleted, then takes its `spec` finalizers away.
    pub(crate) fn content(&self, key: &Key, object: &DynamicObject, orphan: bool) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let (client, key_, object) = (self.client.clone(), key.clone(), object.clone());
        self.spawn(key.clone(), &uid, Write::Content, async move {
            empty(&client, &key_.name, orphan).await?;
            finalize(&client, &key_, object).await
        });
    }
}

fn unanswered(error: &CallError) -> WriteError {
    WriteError { reason: error.to_string(), stale: false, retry_after: None }
}

fn refused(reply: &Reply) -> WriteError {
    WriteError { reason: reply.message(), stale: reply.status == StatusCode::CONFLICT, retry_after: reply.retry_after }
}

fn object(reply: &Reply) -> Result<Option<Box<DynamicObject>>, WriteError> {
    let parsed: DynamicObject = serde_json::from_slice(&reply.body).map_err(|e| WriteError {
        reason: format!("the federation's answer cannot be read: {e}"),
        stale: false,
        retry_after: None,
    })?;
    Ok(Some(Box::new(parsed)))
}

async fn patch_object(client: &kube::Client, path: &str, patch: &Value) -> Result<Option<Box<DynamicObject>>, WriteError> {
    let call = Call { method: Method::PATCH, path, content_type: MERGE, body: patch.to_string().into() };
    let reply = call.send(client, TIMEOUT).await.map_err(|e| unanswered(&e))?;
    match reply.status {
        StatusCode::OK | StatusCode::CREATED => object(&reply),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(refused(&reply)),
    }
}

async fn empty(client: &kube::Client, namespace: &str, orphan: bool) -> Result<(), WriteError> {
    let ours = KINDS.iter().filter(|k| k.namespaced).map(|k| k.path(namespace, ""));
    let others = OTHER_CONTENT.iter().map(|(base, resource)| format!("{base}/namespaces/{namespace}/{resource}"));
    let policy = if orphan { "Orphan" } else { "Background" };
    let options = Bytes::from(json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}).to_string());
    let mut left = Vec::new();
    for path in ours.chain(others) {
        let reply = Call::get(&format!("{path}?limit=1")).send(client, TIMEOUT).await.map_err(|e| unanswered(&e))?;
        match reply.status {
            StatusCode::OK => {}
            // The federation does not serve the kind.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => continue,
            _ => return Err(refused(&reply)),
        }
        let list: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if list["items"].as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let call = Call { method: Method::DELETE, path: &path, content_type: JSON, body: options.clone() };
        let reply = call.send(client, TIMEOUT).await.map_err(|e| unanswered(&e))?;
        if !reply.status.is_success() {
            return Err(refused(&reply));
        }
        left.push(path.rsplit('/').next().unwrap_or_default().to_owned());
    }
    if left.is_empty() {
        return Ok(());
    }
    // Looked at again: what was deleted just now may wait for finalizers of its own.
    let reason = format!("waiting for {} of the namespace to be deleted", left.join(", "));
    Err(WriteError { reason, stale: false, retry_after: Some(EMPTYING) })
}

async fn finalize(client: &kube::Client, key: &Key, mut namespace: DynamicObject) -> Result<Option<Box<DynamicObject>>, WriteError> {
    let finalizers = namespace.data.pointer_mut("/spec/finalizers");
    match finalizers {
        Some(Value::Array(list)) if !list.is_empty() => list.clear(),
        _ => return Ok(Some(Box::new(namespace))),
    }
    // The object may have changed meanwhile; the finalizers are all that is written.
    namespace.metadata.resource_version = None;
    namespace.metadata.managed_fields = None;
    let body = serde_json::to_vec(&namespace).map_err(|e| WriteError { reason: e.to_string(), stale: false, retry_after: None })?;
    let path = format!("{}/finalize", key.path());
    let call = Call { method: Method::PUT, path: &path, content_type: JSON, body: body.into() };
    let reply = call.send(client, TIMEOUT).await.map_err(|e| unanswered(&e))?;
    match reply.status {
        StatusCode::OK | StatusCode::CREATED => object(&reply),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(refused(&reply)),
    }
}
