//! Admission: what may be written where. NamespaceLifecycle, which Kubernetes has always on.

use machinery::status::ApiError;
use serde_json::json;

use crate::registry::resource::Resource;
use crate::server::Inner;
use crate::storage::store::ReadAt;

/// Namespaces that are there from the start and stay.
pub const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Nothing is created in a namespace that is missing or being deleted.
pub(crate) async fn create(server: &Inner, resource: &Resource, namespace: &str) -> Result<(), ApiError> {
    // Reviews are asked about namespaces that need not exist.
    if !resource.namespaced || !resource.stored() {
        return Ok(());
    }
    // The newest state: a server that lags behind must not fill a namespace that another one has
    // marked and found empty. It costs one round trip, shared by all who ask at the same time.
    let known = server.registry.namespaces().store().get(None, namespace, ReadAt::Latest).await?;
    match known {
        None => Err(ApiError::not_found("", "namespaces", namespace)),
        Some(found) if found.head.deleting() => {
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let mut e = ApiError::forbidden(resource.group, resource.plural, "", &why);
            let cause = format!("namespace {namespace} is being terminated");
            e.details["causes"] = json!([{"reason": "NamespaceTerminating", "message": cause, "field": "metadata.namespace"}]);
            Err(e)
        }
        Some(_) => Ok(()),
    }
}

/// The namespaces of the system stay.
pub(crate) fn delete(resource: &Resource, name: &str) -> Result<(), ApiError> {
    if resource.plural == "namespaces" && resource.group.is_empty() && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}
