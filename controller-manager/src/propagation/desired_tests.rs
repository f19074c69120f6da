use serde_json::json;

use super::*;
use crate::kinds::KINDS;

fn desired(resource: &str, mut object: Value, split: Option<Split>) -> Value {
    let kind = KINDS.iter().position(|k| k.resource == resource).unwrap();
    object["apiVersion"] = KINDS[kind].api_version().into();
    object["kind"] = KINDS[kind].kind.into();
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let key = ObjectKey {
        kind,
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
    };
    member_object(&key, &object, "fellowship", split)
}

#[test]
fn metadata_is_ours_and_the_users() {
    let object = desired(
        "configmaps",
        json!({
            "metadata": {
                "name": "settings", "namespace": "demo", "uid": "u1", "resourceVersion": "7", "finalizers": ["orphan"],
                "labels": {"app": "web"},
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                    "federation.alpha.kubernetes.io/cluster-selector": "[]",
                    "note": "kept"
                },
                "managedFields": []
            },
            "data": {"a": "1"}, "binaryData": {"b": "AA=="}, "immutable": true
        }),
        None,
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "settings", "namespace": "demo",
                "labels": {"app": "web", "federation.kubernetes.io/managed-by": "fellowship"},
                "annotations": {"note": "kept", "federation.kubernetes.io/source-uid": "u1"}
            },
            "data": {"a": "1"}, "binaryData": {"b": "AA=="}, "immutable": true
        })
    );
}

#[test]
fn replicas_are_replaced_and_nulls_and_status_dropped() {
    let object = desired(
        "deployments",
        json!({
            "metadata": {"name": "web", "namespace": "demo", "annotations": {"federation.kubernetes.io/deployment-preferences": "{}"}},
            "spec": {"replicas": 9, "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "web"}}}},
            "status": {"replicas": 9}
        }),
        Some(Split { replicas: 3, ..Split::default() }),
    );
    assert_eq!(object["spec"], json!({"replicas": 3, "template": {"metadata": {"labels": {"app": "web"}}}}));
    assert_eq!(object.get("status"), None);
    assert_eq!(object["metadata"]["annotations"], json!({"federation.kubernetes.io/source-uid": ""}));
}

#[test]
fn a_service_loses_addresses_but_stays_headless() {
    let spec = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let object = desired("services", json!({"metadata": {"name": "web", "namespace": "demo"}, "spec": spec}), None);
    assert_eq!(object["spec"], json!({"type": "NodePort", "ports": [{"port": 80}]}));
    let headless = json!({"metadata": {"name": "db", "namespace": "demo"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
    assert_eq!(desired("services", headless, None)["spec"], json!({"clusterIP": "None"}));
}

#[test]
fn a_job_is_divided_and_its_generated_selector_and_its_time_left_out() {
    let spec = json!({
        "parallelism": 3, "completions": 5, "ttlSecondsAfterFinished": 60, "manualSelector": false, "selector": {"matchLabels": {"controller-uid": "x"}},
        "template": {"metadata": {"labels": {"controller-uid": "x", "job-name": "sum", "app": "sum"}}}
    });
    let split = Some(Split { replicas: 1, completions: Some(2), ..Split::default() });
    let object = desired("jobs", json!({"metadata": {"name": "sum", "namespace": "demo"}, "spec": spec}), split);
    assert_eq!(object["spec"], json!({"parallelism": 1, "completions": 2, "template": {"metadata": {"labels": {"app": "sum"}}}}));
}

#[test]
fn a_namespace_is_only_metadata() {
    let object = desired("namespaces", json!({"metadata": {"name": "demo"}, "spec": {"finalizers": ["kubernetes"]}}), None);
    assert_eq!(object.get("spec"), None);
}

#[test]
fn equal_objects_have_equal_digests() {
    let a: Value = serde_json::from_str(r#"{"b":1,"a":{"d":2,"c":3}}"#).unwrap();
    let b: Value = serde_json::from_str(r#"{"a":{"c":3,"d":2},"b":1}"#).unwrap();
    assert_eq!(Digest::of(a.to_string().as_bytes()), Digest::of(b.to_string().as_bytes()));
}

#[test]
fn a_stateful_set_has_its_share_and_what_is_not_divided_goes_whole() {
    let annotations = json!({"federation.kubernetes.io/stateful-set-preferences": "{}", "note": "kept"});
    let set = json!({
        "metadata": {"name": "db", "namespace": "demo", "uid": "u1", "annotations": annotations},
        "spec": {"replicas": 5, "serviceName": "db"},
        "status": {"replicas": 5},
    });
    let copy = desired("statefulsets", set, Some(Split { replicas: 2, ..Split::default() }));
    assert_eq!(copy["spec"], json!({"replicas": 2, "serviceName": "db"}));
    assert_eq!(copy["status"], Value::Null);
    assert_eq!(copy["metadata"]["annotations"], json!({"note": "kept", "federation.kubernetes.io/source-uid": "u1"}));

    for (resource, spec) in [("cronjobs", json!({"schedule": "0 4 * * *"})), ("networkpolicies", json!({"podSelector": {}}))] {
        let object = json!({"metadata": {"name": "a", "namespace": "demo", "uid": "u1"}, "spec": spec.clone(), "status": {}});
        let copy = desired(resource, object, None);
        assert_eq!((&copy["spec"], &copy["status"]), (&spec, &Value::Null));
    }
}
