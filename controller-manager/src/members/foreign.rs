//! What a namespace of a member holds that is not the federation's: as long as there is any of it, the
//! namespace is not ours to delete.

use serde_json::Value;

use crate::request::query_value;
use federation_api::{keys, kinds::KINDS};
use machinery::discovery::Collection;

/// Objects per page.
const PAGE: usize = 250;

/// Resources that only say something about other objects, each after its group.
const DERIVED: [(&str, &str); 5] = [
    ("", "events"),
    ("events.k8s.io", "events"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
    ("coordination.k8s.io", "leases"),
];

/// Controllers that are not federated and whose own objects are looked at as well: what they made goes and stays with them.
const OTHER_OWNERS: [&str; 1] = ["ReplicationController"];

/// Path to list a collection of a namespace by, unless it only says something about other objects; what carries this
/// federation's label is left out.
pub(super) fn path(collection: &Collection, namespace: &str, federation: &str) -> Option<String> {
    let Collection { version, resource, .. } = collection;
    let derived = DERIVED.contains(&(version.group.as_str(), resource.as_str()));
    let selector = query_value(&format!("{}!={federation}", keys::MANAGED_BY));
    (!derived).then(|| format!("{}/namespaces/{namespace}/{resource}?limit={PAGE}&labelSelector={selector}", version.path()))
}

/// Name of the first object of a list that neither Kubernetes nor a controller of another object made.
pub(super) fn first(resource: &str, list: &Value) -> Option<String> {
    let found = list["items"].as_array().into_iter().flatten().find(|item| !is_by_product(resource, item))?;
    Some(found["metadata"]["name"].as_str().unwrap_or_default().to_owned())
}

/// Whether an object is there only because the namespace, or another object, is.
fn is_by_product(resource: &str, item: &Value) -> bool {
    let metadata = &item["metadata"];
    let of_default_account = || metadata["annotations"]["kubernetes.io/service-account.name"] == "default";
    let owned = |o: &Value| o["controller"] == true && o["kind"].as_str().is_some_and(makes_others);
    let made_by_kubernetes = match resource {
        "configmaps" => metadata["name"] == "kube-root-ca.crt",
        "serviceaccounts" => metadata["name"] == "default",
        "secrets" => item["type"] == "kubernetes.io/service-account-token" && of_default_account(),
        _ => false,
    };
    made_by_kubernetes || metadata["ownerReferences"].as_array().into_iter().flatten().any(owned)
}

/// Whether a kind's controller makes other objects.
fn makes_others(kind: &str) -> bool {
    KINDS.iter().any(|k| k.owner && k.kind == kind) || OTHER_OWNERS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use machinery::discovery::GroupVersion;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_kubernetes_and_controllers_made_is_nobodys() {
        let first = |resource, item: Value| first(resource, &json!({"items": [item]}));
        let owned = |kind: &str, controller: bool| json!({"metadata": {"name": "x", "ownerReferences": [{"kind": kind, "controller": controller}]}});
        assert_eq!(first("configmaps", json!({"metadata": {"name": "kube-root-ca.crt"}})), None);
        let token = |account: &str| json!({"type": "kubernetes.io/service-account-token", "metadata": {"name": "x", "annotations": {"kubernetes.io/service-account.name": account}}});
        assert_eq!(first("secrets", token("default")), None);
        assert_eq!(first("pods", owned("ReplicaSet", true)), None);

        assert_eq!(first("secrets", json!({"metadata": {"name": "kube-root-ca.crt"}})).as_deref(), Some("kube-root-ca.crt"));
        assert_eq!(first("secrets", token("builder")).as_deref(), Some("x"));
        // Its owner is of a kind that is not looked at, or only an owner by name.
        assert_eq!(first("deployments", owned("Palantir", true)).as_deref(), Some("x"));
        assert_eq!(first("pods", owned("ReplicaSet", false)).as_deref(), Some("x"));
        assert_eq!(first("pods", json!({"metadata": {"name": "x"}})).as_deref(), Some("x"));
    }

    #[test]
    fn d25_every_kind_a_namespace_can_hold_is_looked_at() {
        let path = |group: &str, api_version: &str, resource: &str| {
            let version = GroupVersion { group: group.into(), api_version: api_version.into() };
            super::path(&Collection { version, resource: resource.into(), kind: "K".into() }, "demo", "fellowship")
        };
        let expected = "/api/v1/namespaces/demo/secrets?limit=250&labelSelector=federation.kubernetes.io%2Fmanaged-by%21%3Dfellowship";
        assert_eq!(path("", "v1", "secrets").as_deref(), Some(expected));
        assert_eq!((path("", "v1", "events"), path("events.k8s.io", "events.k8s.io/v1", "events")), (None, None));
        // Somebody's own kind of that name is none of Kubernetes' own.
        assert!(path("shire.example.com", "shire.example.com/v1", "events").is_some());

        let account = |name: &str| first("serviceaccounts", &json!({"items": [{"metadata": {"name": name}}]}));
        assert_eq!((account("default"), account("builder").as_deref()), (None, Some("builder")));
    }
}
