//! Namespaces: there from the start, guarded, and emptied when they go.

use std::time::Duration;

use federation_apiserver::Profile;
use serde_json::{Value, json};

use crate::subject::{Subject, in_memory, subjects};

async fn gone(s: &Subject, path: &str) -> bool {
    for _ in 0..200 {
        if s.send("GET", path, &[], "").await.code == 404 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn the_first_namespaces_are_there_and_stay() {
    for s in subjects().await {
        for name in ["default", "kube-system", "kube-public"] {
            let path = format!("/api/v1/namespaces/{name}");
            let found = s.expect(200, "GET", &path, Value::Null).await;
            assert_eq!((found["status"]["phase"].as_str(), &found["spec"]["finalizers"]), (Some("Active"), &json!(["kubernetes"])));
            assert_eq!(found["metadata"]["labels"]["kubernetes.io/metadata.name"], name);
            s.expect(403, "DELETE", &path, Value::Null).await;
        }
        let missing = s.expect(404, "POST", "/api/v1/namespaces/mordor/configmaps", json!({"metadata": {"name": "a"}})).await;
        assert_eq!(missing["message"], "namespaces \"mordor\" not found");
    }
}

#[tokio::test]
async fn a_deleted_namespace_is_emptied_first() {
    let s = in_memory(Profile::Member).await;
    let name = s.namespace().await;
    let path = format!("/api/v1/namespaces/{name}");
    let maps = format!("{path}/configmaps");
    s.expect(201, "POST", &maps, json!({"metadata": {"name": "quick"}})).await;
    s.expect(201, "POST", &maps, json!({"metadata": {"name": "slow", "finalizers": ["example.com/wait"]}})).await;
    let dying = s.expect(200, "DELETE", &path, Value::Null).await;
    assert_eq!(dying["status"]["phase"], "Terminating");
    let refused = s.expect(403, "POST", &maps, json!({"metadata": {"name": "late"}})).await;
    assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating");
    assert!(gone(&s, &format!("{maps}/quick")).await);
    let held = loop {
        let namespace = s.expect(200, "GET", &path, Value::Null).await;
        let conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if let Some(held) = conditions.iter().find(|c| c["type"] == "NamespaceFinalizersRemaining") {
            break held.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&held["status"], &held["reason"]), (&json!("True"), &json!("SomeFinalizersRemain")));
    assert_eq!(held["message"], "finalizers that are waited for: example.com/wait (of 1)");
    s.expect(200, "PATCH", &format!("{maps}/slow"), json!({"metadata": {"finalizers": null}})).await;
    assert!(gone(&s, &path).await);
}

#[tokio::test]
async fn finalizers_of_others_keep_a_namespace() {
    let s = in_memory(Profile::Federation).await;
    let finalizer = "federation.kubernetes.io/delete-from-underlying-clusters";
    s.expect(201, "POST", "/api/v1/namespaces", json!({"metadata": {"name": "shire", "finalizers": [finalizer, "orphan"]}})).await;
    let path = "/api/v1/namespaces/shire";
    let map = format!("{path}/configmaps/a");
    s.expect(201, "POST", &format!("{path}/configmaps"), json!({"metadata": {"name": "a", "finalizers": [finalizer, "orphan"]}})).await;
    // Nothing said: the copies stay, so the contents keep their orphan finalizer as they go.
    s.expect(200, "DELETE", path, Value::Null).await;
    let content = loop {
        let content = s.expect(200, "GET", &map, Value::Null).await;
        if content["metadata"]["deletionTimestamp"].is_string() {
            break content;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(content["metadata"]["finalizers"], json!([finalizer, "orphan"]));
    s.expect(200, "PATCH", &map, json!({"metadata": {"finalizers": null}})).await;
    for _ in 0..200 {
        let namespace = s.expect(200, "GET", path, Value::Null).await;
        if namespace["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    s.expect(200, "PATCH", path, json!({"metadata": {"finalizers": null}})).await;
    assert!(gone(&s, path).await);
}

#[tokio::test]
async fn finalize_takes_finalizers_off() {
    let s = in_memory(Profile::Member).await;
    let name = s.namespace().await;
    let path = format!("/api/v1/namespaces/{name}");
    s.expect(201, "POST", &format!("{path}/configmaps"), json!({"metadata": {"name": "stuck", "finalizers": ["example.com/wait"]}})).await;
    let mut dying = s.expect(200, "DELETE", &path, Value::Null).await;
    dying["spec"]["finalizers"] = json!([]);
    // Its conditions may have changed since.
    dying["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    s.expect(200, "PUT", &format!("{path}/finalize"), dying).await;
    assert!(gone(&s, &path).await);
}
