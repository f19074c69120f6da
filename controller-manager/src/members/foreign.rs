//! What a namespace of a member holds that is not the federation's: as long as there is any of it, the
//! namespace is not ours to delete.

use serde_json::Value;

use super::request::query_value;
use federation_api::keys;

/// Objects per page.
const PAGE: usize = 250;

/// API groups that compute what they list from other objects.
const COMPUTED: [&str; 3] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// Resources that only say something about other objects.
const DERIVED: [&str; 4] = ["events", "endpoints", "endpointslices", "leases"];

/// Controllers whose own objects are looked at: what they made goes and stays with them.
const OWNERS: [&str; 7] = ["Deployment", "ReplicaSet", "DaemonSet", "Job", "StatefulSet", "CronJob", "ReplicationController"];

/// Paths of the API versions to look through, out of the answer to `/apis`: the preferred version of each group.
pub(super) fn versions(groups: &Value) -> Vec<String> {
    let stored = groups["groups"].as_array().into_iter().flatten().filter(|g| !g["name"].as_str().is_some_and(|n| COMPUTED.contains(&n)));
    let preferred = stored.filter_map(|g| g["preferredVersion"]["groupVersion"].as_str().map(|version| format!("/apis/{version}")));
    std::iter::once("/api/v1".to_owned()).chain(preferred).collect()
}

/// Collections of a namespace to look through, as resource and path, out of what an API version says of itself; what
/// carries this federation's label is left out.
pub(super) fn collections(version: &str, resources: &Value, namespace: &str, federation: &str) -> Vec<(String, String)> {
    let query = format!("limit={PAGE}&labelSelector={}", query_value(&format!("{}!={federation}", keys::MANAGED_BY)));
    let listed = |r: &&Value| r["namespaced"] == true && r["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|v| v == "list"));
    let names = resources["resources"].as_array().into_iter().flatten().filter(listed).filter_map(|r| r["name"].as_str());
    let own = names.filter(|name| !name.contains('/') && !DERIVED.contains(name));
    own.map(|name| (name.to_owned(), format!("{version}/namespaces/{namespace}/{name}?{query}"))).collect()
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
    let owned = |o: &Value| o["controller"] == true && o["kind"].as_str().is_some_and(|kind| OWNERS.contains(&kind));
    let made_by_kubernetes = match resource {
        "configmaps" => metadata["name"] == "kube-root-ca.crt",
        "serviceaccounts" => metadata["name"] == "default",
        "secrets" => item["type"] == "kubernetes.io/service-account-token" && of_default_account(),
        _ => false,
    };
    made_by_kubernetes || metadata["ownerReferences"].as_array().into_iter().flatten().any(owned)
}

#[cfg(test)]
mod tests {
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
        let group = |name: &str| json!({"name": name, "preferredVersion": {"groupVersion": format!("{name}/v1")}});
        let groups = json!({"groups": [group("apps"), group("metrics.k8s.io"), group("palantir.example.com")]});
        assert_eq!(versions(&groups), ["/api/v1", "/apis/apps/v1", "/apis/palantir.example.com/v1"]);

        let resource = |name: &str, namespaced: bool, verb: &str| json!({"name": name, "namespaced": namespaced, "verbs": [verb]});
        let resources = json!({"resources": [
            resource("roles", true, "list"), resource("roles/status", true, "list"), resource("nodes", false, "list"),
            resource("bindings", true, "create"), resource("events", true, "list"),
        ]});
        let path = "/api/v1/namespaces/demo/roles?limit=250&labelSelector=federation.kubernetes.io%2Fmanaged-by%21%3Dfellowship";
        assert_eq!(collections("/api/v1", &resources, "demo", "fellowship"), [("roles".to_owned(), path.to_owned())]);

        let account = |name: &str| first("serviceaccounts", &json!({"items": [{"metadata": {"name": name}}]}));
        assert_eq!((account("default"), account("builder").as_deref()), (None, Some("builder")));
    }
}
