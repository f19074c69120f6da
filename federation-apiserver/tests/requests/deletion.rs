//! DELETE: preconditions, finalizers, propagation, collections.

use federation_apiserver::Profile;
use serde_json::{Value, json};

use crate::subject::{in_memory, subjects};

#[tokio::test]
async fn preconditions_and_finalizers_hold() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        let one = format!("{path}/a");
        let made = s.expect(201, "POST", &path, json!({"metadata": {"name": "a", "finalizers": ["example.com/wait"]}})).await;
        let wrong = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
        assert_eq!(s.expect(409, "DELETE", &one, wrong).await["reason"], "Conflict");
        s.expect(409, "DELETE", &one, json!({"preconditions": {"resourceVersion": "1"}})).await;
        let right = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": made["metadata"]["uid"]}});
        let pending = s.expect(200, "DELETE", &one, right).await;
        assert!(pending["metadata"]["deletionTimestamp"].is_string());
        assert_eq!(pending["metadata"]["deletionGracePeriodSeconds"], 0);
        let more = s.expect(422, "PATCH", &one, json!({"metadata": {"finalizers": ["example.com/wait", "example.com/b"]}})).await;
        assert_eq!(more["reason"], "Invalid");
        s.expect(200, "PATCH", &one, json!({"metadata": {"finalizers": null}})).await;
        s.expect(404, "GET", &one, Value::Null).await;
    }
}

#[tokio::test]
async fn a_collection_goes_by_selector() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "red")] {
            s.expect(201, "POST", &path, json!({"metadata": {"name": name, "labels": {"colour": colour}}})).await;
        }
        s.expect(200, "DELETE", &format!("{path}?labelSelector=colour%3Dred"), Value::Null).await;
        let left = s.expect(200, "GET", &format!("{path}?labelSelector=colour"), Value::Null).await;
        let names: Vec<&str> = left["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["b"]);
    }
}

/// v1's rule: only asking for it deletes the copies in members.
#[tokio::test]
async fn the_orphan_finalizer_stays_unless_dependents_are_to_go() {
    let s = in_memory(Profile::Federation).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = |name: &str| json!({"metadata": {"name": name, "finalizers": ["orphan", "federation.kubernetes.io/delete-from-underlying-clusters"]}});
    for (name, options, left) in [
        ("plain", json!({}), 2),
        ("orphan", json!({"propagationPolicy": "Orphan"}), 2),
        ("background", json!({"propagationPolicy": "Background"}), 1),
        ("foreground", json!({"propagationPolicy": "Foreground"}), 1),
    ] {
        s.expect(201, "POST", path, body(name)).await;
        let pending = s.expect(200, "DELETE", &format!("{path}/{name}"), options).await;
        assert_eq!(pending["metadata"]["finalizers"].as_array().unwrap().len(), left, "{name}");
    }
    s.expect(201, "POST", path, body("old")).await;
    let pending = s.expect(202, "DELETE", &format!("{path}/old"), json!({"orphanDependents": false})).await;
    assert_eq!(pending["metadata"]["finalizers"].as_array().unwrap().len(), 1);
}
