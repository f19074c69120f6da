//! Admission: what may be written where. NamespaceLifecycle, which Kubernetes has always on.

use machinery::status::ApiError;
use serde_json::json;

use crate::registry::resource::Resource;
use crate::registry::{Entry, Registry};
use crate::storage::StorageError;
use crate::storage::object::Object;
use crate::storage::store::ReadAt;

/// Namespaces that are there from the start and stay.
pub const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Nothing is created in a namespace that is missing or being deleted.
pub(crate) async fn create(registry: &Registry, resource: &Resource, namespace: &str) -> Result<(), ApiError> {
    // Reviews are asked about namespaces that need not exist.
    if !resource.namespaced || !resource.stored() {
        return Ok(());
    }
    // The newest state: a server that lags behind must not fill a namespace that another one has
    // marked and found empty. It costs one round trip, shared by all who ask at the same time.
    let known = registry.namespaces().store().get(None, namespace, ReadAt::Latest).await?;
    match known {
        None => Err(ApiError::not_found("", "namespaces", namespace)),
        Some(found) if found.head.deleting() => Err(terminating(resource, namespace)),
        Some(_) => Ok(()),
    }
}

fn terminating(resource: &Resource, namespace: &str) -> ApiError {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut e = ApiError::forbidden(&resource.group, &resource.plural, "", &why);
    let cause = format!("namespace {namespace} is being terminated");
    e.details["causes"] = json!([{"reason": "NamespaceTerminating", "message": cause, "field": "metadata.namespace"}]);
    e
}

/// A creation may be stored long after it was admitted, when its namespace is gone and nobody would ever remove it. So
/// it is looked at again: all caches are as of the same revision, and when the new object is among them, a namespace
/// that went before it is not. What came too late is taken back, and so is what nobody can look at: no creation is
/// answered as an error and left stored.
pub(crate) async fn created(registry: &Registry, entry: &Entry, stored: &Object) -> Result<(), ApiError> {
    let (resource, namespace) = (&entry.resource, stored.head.namespace());
    if !resource.namespaced {
        return Ok(());
    }
    let late = match registry.namespaces().store().get(None, namespace, ReadAt::NotOlderThan(stored.revision)).await {
        Ok(None) => ApiError::not_found("", "namespaces", namespace),
        Ok(Some(found)) if found.head.deleting() => terminating(resource, namespace),
        Ok(Some(_)) => return Ok(()),
        Err(e) => e.into(),
    };
    match entry.store().delete(Some(namespace), stored.head.name(), stored.revision).await {
        // Somebody else has it in hand: a deletion, or an update of one who saw it in time.
        Ok(_) | Err(StorageError::Conflict { .. }) => Err(late),
        Err(e) => Err(StorageError::Unanswered(format!("it was stored although {late}, and could not be taken back: {e}")).into()),
    }
}

/// The namespaces of the system stay.
pub(crate) fn delete(resource: &Resource, name: &str) -> Result<(), ApiError> {
    if resource.plural == "namespaces" && resource.group.is_empty() && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}
