//! The four kinds of patches.

use serde_json::{Value, json};

use federation_apiserver::{Config, Profile};

use crate::subject::{Subject, ready, subjects};

async fn apply(s: &Subject, path: &str, manager: &str, body: &Value, code: u16) -> Value {
    let query = format!("{path}?fieldManager={manager}");
    let answer = s.send("PATCH", &query, &[("content-type", "application/apply-patch+yaml")], body.to_string()).await;
    assert_eq!(answer.code, code, "{}", String::from_utf8_lossy(&answer.bytes));
    answer.json()
}

#[tokio::test]
async fn json_and_merge_patches_change_what_they_name() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        s.expect(201, "POST", &path, json!({"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}})).await;
        let one = format!("{path}/a");
        let merged = s.expect(200, "PATCH", &one, json!({"data": {"x": null, "z": "3"}})).await;
        assert_eq!(merged["data"], json!({"y": "2", "z": "3"}));
        let patched = s
            .expect(200, "PATCH", &one, json!([{"op": "test", "path": "/data/y", "value": "2"}, {"op": "remove", "path": "/data/y"}]))
            .await;
        assert_eq!(patched["data"], json!({"z": "3"}));
        s.expect(422, "PATCH", &one, json!([{"op": "test", "path": "/data/z", "value": "9"}])).await;
        s.expect(409, "PATCH", &one, json!({"metadata": {"resourceVersion": "1"}, "data": {"z": "4"}})).await;
        s.expect(400, "PATCH", &one, json!({"metadata": {"name": "b"}})).await;
        s.expect(404, "PATCH", &format!("{path}/none"), json!({"data": {}})).await;
        let answer = s.send("PATCH", &one, &[("content-type", "application/json")], "{}").await;
        assert_eq!(answer.code, 415);
    }
}

#[tokio::test]
async fn strategic_patches_merge_lists_by_key() {
    for s in subjects().await {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", s.namespace().await);
        let containers = json!([{"name": "a", "image": "one"}, {"name": "b", "image": "two"}]);
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}});
        let body = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}});
        s.expect(201, "POST", &path, body).await;
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "three"}]}}}}).to_string();
        let answer = s.send("PATCH", &format!("{path}/web"), &[("content-type", "application/strategic-merge-patch+json")], patch).await;
        let images: Vec<String> = answer.json()["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["image"].as_str().unwrap().into())
            .collect();
        assert_eq!(images, ["one", "three"]);
    }
}

#[tokio::test]
async fn issue8_a_version_makes_of_an_apply_one_that_only_creates() {
    for s in subjects().await {
        let one = format!("/api/v1/namespaces/{}/configmaps/c", s.namespace().await);
        let never = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "resourceVersion": "9223372036854775807"}, "data": {"x": "1"}});
        let made = apply(&s, &one, "alice", &never, 201).await;
        let refused = apply(&s, &one, "alice", &never, 409).await;
        assert_eq!(refused["reason"], "Conflict");
        let kept = s.expect(200, "GET", &one, Value::Null).await;
        assert_eq!(kept["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    }
}

/// They are the federation's: who applies an object again without them, or replaces it with what was read, keeps them.
#[tokio::test]
async fn issue8_finalizers_of_the_federation_outlast_later_writes() {
    let server = ready(Config { finalizers: true, ..Config::in_memory(Profile::Federation) }).await;
    let s = Subject::Memory { service: server.admin_service(), _server: server };
    let finalizers = |object: &Value| {
        let mut names: Vec<String> = serde_json::from_value(object["metadata"]["finalizers"].clone()).unwrap_or_default();
        names.sort();
        names
    };
    let both = ["federation.kubernetes.io/delete-from-underlying-clusters", "orphan"];
    let maps = "/api/v1/namespaces/default/configmaps";
    let config = |x: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": x}});
    let one = format!("{maps}/a");
    let made = apply(&s, &one, "alice", &config("1"), 201).await;
    assert_eq!(finalizers(&made), both);
    let again = apply(&s, &one, "alice", &config("2"), 200).await;
    assert_eq!((finalizers(&again).as_slice(), &again["data"]["x"]), (both.map(str::to_owned).as_slice(), &json!("2")));
    let merged = s.expect(200, "PATCH", &one, json!({"data": {"x": "3"}})).await;
    assert_eq!(finalizers(&merged), both);
    let posted = s.expect(201, "POST", maps, json!({"metadata": {"name": "b"}})).await;
    assert_eq!(finalizers(&posted), both);
    // A deletion waits for whoever deletes the copies.
    let dying = s.expect(200, "DELETE", &format!("{maps}/b"), Value::Null).await;
    assert!(dying["metadata"]["deletionTimestamp"].is_string(), "{dying}");
}

#[tokio::test]
async fn apply_creates_merges_and_tells_conflicts() {
    for s in subjects().await {
        let namespace = s.namespace().await;
        let one = format!("/api/v1/namespaces/{namespace}/configmaps/a");
        let config = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let made = apply(&s, &one, "alice", &config(json!({"x": "1", "y": "1"})), 201).await;
        let managed = &made["metadata"]["managedFields"][0];
        assert_eq!((managed["manager"].as_str(), managed["operation"].as_str()), (Some("alice"), Some("Apply")));
        let same = apply(&s, &one, "alice", &config(json!({"x": "1", "y": "1"})), 200).await;
        assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        let conflict = apply(&s, &one, "bob", &config(json!({"x": "2"})), 409).await;
        assert_eq!(conflict["details"]["causes"][0]["reason"], "FieldManagerConflict");
        assert_eq!(conflict["details"]["causes"][0]["field"], ".data.x");
        // What alice no longer applies goes; what bob applies stays.
        apply(&s, &one, "bob", &config(json!({"z": "1"})), 200).await;
        let last = apply(&s, &one, "alice", &config(json!({"x": "1"})), 200).await;
        assert_eq!(last["data"], json!({"x": "1", "z": "1"}));
        let unnamed = s.send("PATCH", &one, &[("content-type", "application/apply-patch+yaml")], config(json!({})).to_string()).await;
        assert_eq!(unnamed.code, 422);
    }
}

#[tokio::test]
async fn a_patched_scale_is_a_scale() {
    for s in subjects().await {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", s.namespace().await);
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "one"}]}});
        let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template});
        s.expect(201, "POST", &path, json!({"metadata": {"name": "web"}, "spec": spec})).await;
        let scale = format!("{path}/web/scale");
        for wrong in [json!({"spec": {"replicas": "5"}}), json!({"spec": {"replicas": 5.5}}), json!({"spec": 7}), json!({"metadata": "x"})]
        {
            let answer = s.send("PATCH", &scale, &[("content-type", "application/merge-patch+json")], wrong.to_string()).await;
            assert!(matches!(answer.code, 400 | 422), "{wrong}: {}", answer.code);
        }
        for wrong in ["5", "null", "\"x\"", "[]"] {
            for kind in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
                let answer = s.send("PATCH", &scale, &[("content-type", kind)], wrong).await;
                let empty = wrong == "null" && kind.contains("strategic");
                assert_eq!(answer.code, if empty { 200 } else { 400 }, "{kind} {wrong}");
            }
        }
        for wrong in [json!([{"op": "replace", "path": "", "value": 5}]), json!([{"op": "replace", "path": "/metadata", "value": [1]}])] {
            let answer = s.send("PATCH", &scale, &[("content-type", "application/json-patch+json")], wrong.to_string()).await;
            assert!(matches!(answer.code, 400 | 422), "{wrong}: {}", answer.code);
        }
        assert_eq!(s.expect(200, "GET", &scale, Value::Null).await["spec"]["replicas"], 3);
        let scaled = s.expect(200, "PATCH", &scale, json!([{"op": "replace", "path": "/spec/replicas", "value": 4}])).await;
        assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(4)));
        assert_eq!(s.expect(200, "PATCH", &scale, json!({"spec": {"replicas": 5}})).await["spec"]["replicas"], 5);
    }
}
