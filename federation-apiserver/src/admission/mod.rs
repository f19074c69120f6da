//! Admission: what may be written where. NamespaceLifecycle, which Kubernetes has always on.

use std::sync::Arc;

use machinery::status::ApiError;
use serde_json::json;

use crate::registry::Registry;
use crate::registry::resource::Resource;
use crate::storage::object::Object;
use crate::storage::store::ReadAt;

/// Namespaces that are there from the start and stay.
pub const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// The namespace that something is to be created in; `None` for what is in none. Nothing is created in one that is
/// missing or being deleted. It may have changed since it was read here: who creates makes that a condition, so that a
/// namespace another server has marked and found empty is not filled.
pub(crate) async fn create(registry: &Registry, resource: &Resource, namespace: &str) -> Result<Option<Arc<Object>>, ApiError> {
    match known(registry, resource, namespace, ReadAt::Any).await {
        // What this server saw may be old news, and an error has to be true.
        Err(e) if matches!(e.code, 403 | 404) => known(registry, resource, namespace, ReadAt::Latest).await,
        known => known,
    }
}

/// [`create`] for who knows that what is known here is old.
pub(crate) async fn create_anew(registry: &Registry, resource: &Resource, namespace: &str) -> Result<Option<Arc<Object>>, ApiError> {
    known(registry, resource, namespace, ReadAt::Latest).await
}

async fn known(registry: &Registry, resource: &Resource, namespace: &str, at: ReadAt) -> Result<Option<Arc<Object>>, ApiError> {
    // Reviews are asked about namespaces that need not exist.
    if !resource.namespaced || !resource.stored() {
        return Ok(None);
    }
    match registry.namespaces().store().get(None, namespace, at).await? {
        None => Err(ApiError::not_found("", "namespaces", namespace)),
        Some(found) if found.head.deleting() => Err(terminating(resource, namespace)),
        found => Ok(found),
    }
}

fn terminating(resource: &Resource, namespace: &str) -> ApiError {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut e = ApiError::forbidden(&resource.group, &resource.plural, "", &why);
    let cause = format!("namespace {namespace} is being terminated");
    e.details["causes"] = json!([{"reason": "NamespaceTerminating", "message": cause, "field": "metadata.namespace"}]);
    e
}

/// The namespaces of the system stay.
pub(crate) fn delete(resource: &Resource, name: &str) -> Result<(), ApiError> {
    if resource.plural == "namespaces" && resource.group.is_empty() && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}
