//! Admission: what may be written where. NamespaceLifecycle and the checks of certificate requests, which
//! Kubernetes has always on; and FederationFinalizers.

pub(crate) mod certificates;
pub(crate) mod credentials;

use std::sync::Arc;

use federation_api::{keys, kinds::KINDS};
use machinery::status::ApiError;
use serde_json::{Value, json};

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

/// `FederationFinalizers`: a new object of a kind that has copies in members gets the finalizers that the controller
/// manager deletes the copies by, so that it need not write them before it makes the first copy. They belong to no
/// field manager, so whoever applies the object again does not take them away.
pub(crate) fn finalize(group: &str, plural: &str, object: &mut Value) {
    let Some(kind) = KINDS.iter().find(|kind| kind.group == group && kind.resource == plural) else { return };
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let told = metadata["annotations"][keys::PROPAGATE] == "true";
    if !kind.is_propagated(text("namespace"), text("name")) || (kind.opt_in && !told) {
        return;
    }
    let mut finalizers = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    let missing = keys::missing_finalizers(finalizers.iter().filter_map(Value::as_str));
    finalizers.extend(missing.into_iter().map(Value::from));
    object["metadata"]["finalizers"] = finalizers.into();
}

/// The namespaces of the system stay.
pub(crate) fn delete(resource: &Resource, name: &str) -> Result<(), ApiError> {
    if resource.plural == "namespaces" && resource.group.is_empty() && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue8_what_has_copies_gets_the_finalizers_they_are_deleted_by() {
        let finalizers = |resource: &str, metadata: Value| {
            let mut object = json!({ "metadata": metadata });
            let group = if resource == "roles" { "rbac.authorization.k8s.io" } else { "" };
            finalize(group, resource, &mut object);
            object["metadata"]["finalizers"].take()
        };
        let both = json!([keys::DELETE_FROM_CLUSTERS, keys::ORPHAN]);
        assert_eq!(finalizers("configmaps", json!({"name": "ring", "namespace": "demo"})), both);
        assert_eq!(finalizers("namespaces", json!({"name": "demo"})), both);
        let (own, theirs) = (keys::ORPHAN, "example.com/keep");
        let some = json!({"name": "ring", "namespace": "demo", "finalizers": [theirs, own]});
        assert_eq!(finalizers("configmaps", some), json!([theirs, own, keys::DELETE_FROM_CLUSTERS]));
        // Whose copies are to go with it has no finalizer that keeps them.
        let foreground = json!({"name": "ring", "namespace": "demo", "finalizers": [keys::FOREGROUND]});
        assert_eq!(finalizers("configmaps", foreground), json!([keys::FOREGROUND, keys::DELETE_FROM_CLUSTERS]));
        // Nothing of these is propagated.
        for (resource, metadata) in [
            ("events", json!({"name": "ring", "namespace": "demo"})),
            ("namespaces", json!({"name": "kube-system"})),
            ("namespaces", json!({"name": "default"})),
            ("configmaps", json!({"name": "ring", "namespace": "kube-public"})),
            ("roles", json!({"name": "reader", "namespace": "demo"})),
        ] {
            assert_eq!(finalizers(resource, metadata), Value::Null, "{resource}");
        }
        let told = json!({"name": "reader", "namespace": "demo", "annotations": {keys::PROPAGATE: "true"}});
        assert_eq!(finalizers("roles", told), both);
    }
}
