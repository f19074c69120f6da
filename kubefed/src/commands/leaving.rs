//! What `unjoin` and `deinit` share: telling ours from others', and removing a namespace only when nothing else is in it.

use federation_api::keys;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Resource, ResourceExt};

use crate::connection::Connection;
use crate::error::{Failure, chain};

/// Whether kubefed made an object for this federation and, where one is named, for this cluster.
pub(super) fn is_of(object: &DynamicObject, federation: &str, cluster: Option<&str>) -> bool {
    let annotation = |key: &str| object.annotations().get(key).map(String::as_str);
    annotation(keys::FEDERATION_NAME) == Some(federation) && cluster.is_none_or(|c| annotation(keys::CLUSTER_NAME) == Some(c))
}

/// Tells the token of an account from credentials in the host: a host may be its own member.
pub(super) fn is_account_token(secret: &DynamicObject) -> bool {
    secret.annotations().contains_key("kubernetes.io/service-account.name")
}

/// What is in a namespace besides what Kubernetes itself puts there and what is going anyway.
///
/// # Errors
/// When some kind could not be listed, so that nobody can say.
pub(super) async fn contents(connection: &Connection, namespace: &str) -> Result<Vec<String>, Failure> {
    let client = connection.client.clone();
    // kube's discovery skips nothing by itself; a broken aggregated API makes it fail, and then nothing is removed.
    let discovery =
        Discovery::new(client).exclude(&["metrics.k8s.io"]).run().await.map_err(|e| connection.failed("listing API resources", &e))?;
    let resources: Vec<ApiResource> = discovery
        .groups()
        .flat_map(|group| group.recommended_resources())
        .filter(|(resource, caps)| caps.scope == Scope::Namespaced && caps.supports_operation(verbs::LIST) && !is_derived(resource))
        .map(|(resource, _)| resource)
        .collect();
    let lists = join_all(resources.iter().map(async |resource| {
        let list = connection.api(resource, Some(namespace)).list_metadata(&ListParams::default()).await;
        list.map(|l| (resource, l.items)).map_err(|e| connection.failed(&format!("listing {}", resource.plural), &e))
    }))
    .await;
    let mut found = Vec::new();
    for list in lists {
        let (resource, items) = list?;
        found.extend(items.iter().filter(|o| !is_automatic(resource, o)).map(|o| format!("{}/{}", resource.plural, o.name_any())));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Kinds that say something about other objects.
fn is_derived(resource: &ApiResource) -> bool {
    matches!(resource.plural.as_str(), "events" | "endpoints" | "endpointslices" | "podmetrics" | "bindings")
}

/// Objects every namespace has, objects that belong to another one, and objects that are going.
fn is_automatic<K>(resource: &ApiResource, object: &PartialObjectMeta<K>) -> bool {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    object.metadata.deletion_timestamp.is_some()
        || object.metadata.owner_references.as_ref().is_some_and(|o| !o.is_empty())
        || (resource.plural == "configmaps" && name == "kube-root-ca.crt")
        || (resource.plural == "serviceaccounts" && name == "default")
}

/// Removes a namespace if kubefed made it and nothing is left in it. Says why not, where it stays although ours.
///
/// # Errors
/// Anything the server says while reading or deleting the namespace itself.
pub(super) async fn remove_namespace(
    connection: &Connection,
    namespace: &str,
    federation: &str,
    cluster: Option<&str>,
) -> Result<Option<String>, Failure> {
    let resource = ApiResource::erase::<Namespace>(&());
    let Some(object) = connection.get(&resource, None, namespace).await? else { return Ok(None) };
    let made_for_member = object.meta().annotations.iter().flatten().any(|(k, _)| k == keys::CLUSTER_NAME);
    // A namespace made by init is not unjoin's to remove, and the other way round.
    if !is_of(&object, federation, cluster) || made_for_member != cluster.is_some() {
        return Ok(None);
    }
    match contents(connection, namespace).await {
        Ok(rest) if rest.is_empty() => {
            connection.delete(&resource, &object).await?;
            Ok(None)
        }
        Ok(rest) => Ok(Some(format!("namespace {namespace} stays, it holds {}", shorten(&rest)))),
        Err(e) => Ok(Some(format!("namespace {namespace} stays, what is in it could not be listed: {}", chain(&e)))),
    }
}

/// The first few of a list.
pub(super) fn shorten(list: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = list.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if list.len() > SHOWN { format!("{shown} and {} more", list.len() - SHOWN) } else { shown }
}
