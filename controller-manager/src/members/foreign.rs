//! What a namespace of a member holds that is not the federation's: as long as there is any of it, the
//! namespace is not ours to delete.

use serde_json::Value;

use super::request::query_value;
use crate::kinds::KINDS;
use federation_api::keys;

/// Objects per page.
const PAGE: usize = 250;

/// Kinds that carry what people would miss, beside the federated ones. `kubefed` gives the member's role the
/// right to list them.
const OTHERS: [(&str, &str); 6] = [
    ("/api/v1", "pods"),
    ("/api/v1", "persistentvolumeclaims"),
    ("/api/v1", "replicationcontrollers"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/batch/v1", "cronjobs"),
    ("/apis/networking.k8s.io/v1", "ingresses"),
];

/// Controllers whose own objects are looked at: what they made goes and stays with them.
const OWNERS: [&str; 7] = ["Deployment", "ReplicaSet", "DaemonSet", "Job", "StatefulSet", "CronJob", "ReplicationController"];

/// Collections of a namespace to look through, as resource and path; what carries this federation's label is left out.
pub(super) fn collections(namespace: &str, federation: &str) -> Vec<(&'static str, String)> {
    let query = format!("limit={PAGE}&labelSelector={}", query_value(&format!("{}!={federation}", keys::MANAGED_BY)));
    let federated = KINDS.iter().filter(|k| k.namespaced).map(|k| (k.resource, k.path(namespace, "")));
    let others = OTHERS.iter().map(|(group, resource)| (*resource, format!("{group}/namespaces/{namespace}/{resource}")));
    federated.chain(others).map(|(resource, path)| (resource, format!("{path}?{query}"))).collect()
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
    fn all_but_what_is_ours_is_listed() {
        let all = collections("demo", "fellowship");
        assert_eq!(all.len(), 13);
        assert_eq!(
            all[3],
            (
                "deployments",
                "/apis/apps/v1/namespaces/demo/deployments?limit=250&labelSelector=federation.kubernetes.io%2Fmanaged-by%21%3Dfellowship"
                    .to_owned()
            )
        );
    }
}
