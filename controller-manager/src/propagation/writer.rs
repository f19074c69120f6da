//! Writes to federated objects: finalizers and status.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use http::{Method, StatusCode};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    entry::Key,
    intake::{Intake, Mailbox, Write, WriteError},
    record::Record,
    records::Records,
};
use crate::compact::Uid;
use crate::request::{Call, CallError, JSON, MERGE, Reply};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Writes under way at a time.
const CONCURRENCY: usize = 64;

/// The object as it is after a write, or nothing when it is gone; or why not.
type Written = Result<Option<Box<DynamicObject>>, WriteError>;

/// Carries out writes; answers go to the mailbox.
#[derive(Clone)]
pub(crate) struct Writer {
    client: kube::Client,
    records: Records,
    mailbox: Mailbox,
    permits: Arc<Semaphore>,
    /// Ends what is under way: whoever lost the lease writes nothing more.
    over: CancellationToken,
}

impl Writer {
    pub(crate) fn new(client: kube::Client, records: Records, mailbox: Mailbox, over: CancellationToken) -> Self {
        Self { client, records, mailbox, permits: Arc::new(Semaphore::new(CONCURRENCY)), over }
    }

    fn spawn<F>(&self, key: Key, uid: &Uid, what: Write, work: F)
    where
        F: Future<Output = Written> + Send + 'static,
    {
        let (mailbox, permits, uid) = (self.mailbox.clone(), self.permits.clone(), uid.clone());
        let over = self.over.clone();
        // Nobody owns it: it answers whatever happens, a panic is caught, and losing the lead ends it.
        tokio::spawn(over.run_until_cancelled_owned(async move {
            let _permit = permits.acquire().await;
            let result = caught(work).await;
            mailbox.send(Intake::Written { key, uid, what, result });
        }));
    }

    /// Replaces the finalizers of the object as it was seen. `tombstone` is stored before, so that what is
    /// still to be deleted in members that are away is never forgotten.
    pub(crate) fn finalizers(&self, key: &Key, object: &DynamicObject, finalizers: &[String], tombstone: Option<Record>) {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let patch = json!({"metadata": {"uid": uid, "resourceVersion": object.metadata.resource_version, "finalizers": finalizers}});
        let (client, records, path, uid) = (self.client.clone(), self.records.clone(), key.path(), Uid::from(uid));
        self.spawn(key.clone(), &uid.clone(), Write::Finalizers, async move {
            if let Some(record) = tombstone {
                records.store(&uid, &record).await.map_err(|error| WriteError {
                    reason: error.to_string(),
                    stale: false,
                    retry_after: None,
                })?;
            }
            patch_object(&client, &path, &patch).await
        });
    }

    /// Deletes the object as it was seen, and its copies with it.
    pub(crate) fn delete(&self, key: &Key, object: &DynamicObject) {
        let metadata = &object.metadata;
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        });
        let (client, path) = (self.client.clone(), key.path());
        self.spawn(key.clone(), &Uid::from(metadata.uid.as_deref().unwrap_or_default()), Write::Deletion, async move {
            let call = Call { method: Method::DELETE, path: &path, content_type: JSON, body: options.to_string().into() };
            let reply = call.send(&client, TIMEOUT).await.map_err(|e| unanswered(&e))?;
            // The watch tells what became of it.
            if reply.status.is_success() || reply.is_not_found() { Ok(None) } else { Err(refused(&reply)) }
        });
    }

    /// Sets an annotation of a Cluster. Nobody waits for it: the next one says more.
    pub(crate) fn annotate_cluster(&self, cluster: &str, uid: &str, annotation: &str, value: &str) {
        let patch = json!({"metadata": {"uid": uid, "annotations": {annotation: value}}});
        let (client, path) = (self.client.clone(), format!("/apis/federation/v1beta1/clusters/{cluster}"));
        let (over, cluster) = (self.over.clone(), cluster.to_owned());
        // Nobody owns it, as with the others: it tells of a failure itself.
        tokio::spawn(over.run_until_cancelled_owned(async move {
            if let Err(error) = caught(patch_object(&client, &path, &patch)).await {
                tracing::warn!(cluster, error = error.reason, "what the brake let through could not be noted on the Cluster");
            }
        }));
    }

    /// Merges `status` into the object's status.
    pub(crate) fn status(&self, key: &Key, object: &DynamicObject, status: &Value) {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let patch = json!({"metadata": {"uid": uid}, "status": status});
        let (client, path) = (self.client.clone(), format!("{}/status", key.path()));
        self.spawn(key.clone(), &Uid::from(uid), Write::Status, async move { patch_object(&client, &path, &patch).await });
    }
}

/// A panic is a write that failed: the object must not wait for its answer for ever.
async fn caught(work: impl Future<Output = Written>) -> Written {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a write to the federation panicked; it is tried again");
        Err(WriteError { reason: "an error inside the controller; its log says more".into(), stale: false, retry_after: None })
    })
}

fn unanswered(error: &CallError) -> WriteError {
    WriteError { reason: error.to_string(), stale: false, retry_after: None }
}

fn refused(reply: &Reply) -> WriteError {
    WriteError { reason: reply.message(), stale: reply.status == StatusCode::CONFLICT, retry_after: reply.retry_after }
}

fn object(reply: &Reply) -> Written {
    let parsed: DynamicObject = serde_json::from_slice(&reply.body).map_err(|e| WriteError {
        reason: format!("the federation's answer cannot be read: {e}"),
        stale: false,
        retry_after: None,
    })?;
    Ok(Some(Box::new(parsed)))
}

async fn patch_object(client: &kube::Client, path: &str, patch: &Value) -> Written {
    let call = Call { method: Method::PATCH, path, content_type: MERGE, body: patch.to_string().into() };
    let reply = call.send(client, TIMEOUT).await.map_err(|e| unanswered(&e))?;
    match reply.status {
        StatusCode::OK | StatusCode::CREATED => object(&reply),
        _ if reply.is_not_found() => Ok(None),
        _ => Err(refused(&reply)),
    }
}
