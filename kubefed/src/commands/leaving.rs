//! What `unjoin` and `deinit` share: telling ours from others', and removing a namespace only when nothing else is in it.

use std::collections::BTreeSet;

use federation_api::keys;
use futures::future::join_all;
use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Resource, ResourceExt};
use machinery::discovery::{self, Collection, Collections};
use serde_json::Value;

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
    // What cannot be asked may be what people would miss: a broken aggregated API makes it fail, and nothing is removed.
    let mut collections = Collections::default();
    let mut resources: Vec<ApiResource> = Vec::new();
    for version in discovery::versions(&read(connection, "/apis").await?).map_err(unseen)? {
        let served = read(connection, &version.path()).await?;
        resources.extend(collections.of(&version, &served).map_err(unseen)?.into_iter().filter(|c| !is_derived(c)).map(resource));
    }
    let lists = join_all(resources.iter().map(async |resource| {
        let list = connection.api(resource, Some(namespace)).list_metadata(&ListParams::default()).await;
        list.map(|l| (resource, l.items)).map_err(|e| connection.failed(&format!("listing {}", resource.plural), &e))
    }))
    .await;
    let lists = lists.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    Ok(of_others(&lists))
}

async fn read(connection: &Connection, path: &str) -> Result<Value, Failure> {
    let failed = |e| connection.failed(&format!("reading {path}"), &e);
    let request = Request::get(path).body(Vec::new()).map_err(|e| failed(kube::Error::HttpError(e)))?;
    connection.client.request(request).await.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unseen(error: discovery::Unreadable) -> Failure {
    Failure::new(error.to_string())
}

/// A collection as kube names it.
fn resource(collection: Collection) -> ApiResource {
    let Collection { version, resource, kind } = collection;
    let number = version.api_version.rsplit('/').next().unwrap_or_default().to_owned();
    ApiResource { group: version.group, version: number, api_version: version.api_version, kind, plural: resource }
}

/// Names of what does not go by itself with what goes: an object that has owners goes when all of them do or have gone.
/// An owner that was not looked for, such as a cluster-scoped one, may be alive: what it owns is somebody's.
fn of_others(lists: &[(&ApiResource, Vec<PartialObjectMeta<DynamicObject>>)]) -> Vec<String> {
    let listed: BTreeSet<(&str, &str)> = lists.iter().map(|(r, _)| (r.api_version.as_str(), r.kind.as_str())).collect();
    let mut left: Vec<_> = lists.iter().flat_map(|(resource, items)| items.iter().map(move |o| (*resource, o))).collect();
    left.retain(|(resource, object)| !is_automatic(resource, object));
    loop {
        let alive: BTreeSet<&str> = left.iter().filter_map(|(_, o)| o.metadata.uid.as_deref()).collect();
        let goes = |owner: &OwnerReference| {
            listed.contains(&(owner.api_version.as_str(), owner.kind.as_str())) && !alive.contains(owner.uid.as_str())
        };
        let before = left.len();
        left.retain(|(_, o)| !o.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty() && owners.iter().all(goes)));
        if left.len() == before {
            break;
        }
    }
    let mut names: Vec<String> = left.iter().map(|(resource, o)| format!("{}/{}", resource.plural, o.name_any())).collect();
    names.sort();
    names.dedup();
    names
}

/// Kinds that say something about other objects.
fn is_derived(collection: &Collection) -> bool {
    let named = (collection.version.group.as_str(), collection.resource.as_str());
    matches!(named, ("" | "events.k8s.io", "events") | ("", "endpoints") | ("discovery.k8s.io", "endpointslices"))
}

/// Objects every namespace has, and objects that are going.
fn is_automatic<K>(resource: &ApiResource, object: &PartialObjectMeta<K>) -> bool {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    object.metadata.deletion_timestamp.is_some()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
        ApiResource::from_gvk_with_plural(&kube::core::GroupVersionKind::gvk(group, "v1", kind), plural)
    }

    fn object(name: &str, owner: &Value) -> PartialObjectMeta<DynamicObject> {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "ownerReferences": owner}})).unwrap()
    }

    fn owned(api_version: &str, kind: &str, name: &str) -> Value {
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": format!("uid-{name}")}])
    }

    #[tokio::test]
    async fn d42_a_namespace_that_holds_only_another_version_of_a_group_is_in_use() {
        let connection = |answers: bool| {
            let service = tower::service_fn(move |request: Request<kube::client::Body>| {
                let listed = |name: &str| json!({"name": name, "kind": "K", "singularName": "", "namespaced": true, "verbs": ["list"]});
                let version = |v: &str| json!({"groupVersion": format!("istio.example.com/{v}"), "version": v});
                let list = |items: Value| json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
                let (status, body) = match request.uri().path() {
                    "/apis" => (
                        200,
                        json!({"groups": [{"name": "istio.example.com", "versions": [version("v1"), version("v1alpha3")], "preferredVersion": version("v1")}]}),
                    ),
                    "/api/v1" => (200, json!({"resources": []})),
                    "/apis/istio.example.com/v1" => (200, json!({"resources": [listed("gateways")]})),
                    "/apis/istio.example.com/v1alpha3" if answers => {
                        (200, json!({"resources": [listed("gateways"), listed("envoyfilters")]}))
                    }
                    "/apis/istio.example.com/v1alpha3/namespaces/demo/envoyfilters" => (
                        200,
                        list(json!([{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "precious"}}])),
                    ),
                    "/apis/istio.example.com/v1/namespaces/demo/gateways" => (200, list(json!([]))),
                    _ => (
                        503,
                        json!({"kind": "Status", "status": "Failure", "message": "no endpoints", "reason": "ServiceUnavailable", "code": 503}),
                    ),
                };
                let mut response = http::Response::new(kube::client::Body::from(body.to_string().into_bytes()));
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            Connection { context: "gondor".into(), server: "https://gondor".into(), client: kube::Client::new(service, "default") }
        };
        assert_eq!(contents(&connection(true), "demo").await.unwrap(), ["envoyfilters/precious"]);
        let unknown = contents(&connection(false), "demo").await.unwrap_err();
        assert_eq!(unknown.message, "reading /apis/istio.example.com/v1alpha3: Error from server (ServiceUnavailable): no endpoints");
    }

    #[test]
    fn d42_what_somebody_alive_owns_is_somebodys() {
        let (sets, pods, maps) =
            (resource("apps", "ReplicaSet", "replicasets"), resource("", "Pod", "pods"), resource("", "ConfigMap", "configmaps"));
        let of_set = |name: &str, set: &str| object(name, &owned("apps/v1", "ReplicaSet", set));
        let lists = vec![
            (&sets, vec![object("alive", &json!([]))]),
            (&pods, vec![of_set("of-alive", "alive"), of_set("of-gone", "gone")]),
            (
                &maps,
                vec![
                    object("of-a-pod-that-goes", &owned("v1", "Pod", "of-gone")),
                    object("of-a-node", &owned("v1", "Node", "n1")),
                    object("of-two", &json!([owned("v1", "Pod", "of-gone")[0], owned("apps/v1", "ReplicaSet", "alive")[0]])),
                    object("of-each-other", &owned("v1", "ConfigMap", "of-each-other")),
                    object("kube-root-ca.crt", &json!([])),
                ],
            ),
        ];
        let expected = ["configmaps/of-a-node", "configmaps/of-each-other", "configmaps/of-two", "pods/of-alive", "replicasets/alive"];
        assert_eq!(of_others(&lists), expected);
    }
}
