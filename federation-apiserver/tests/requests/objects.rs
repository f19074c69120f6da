//! Create, update and field validation.

use federation_apiserver::Profile;
use serde_json::{Value, json};

use crate::subject::{in_memory, subjects};

#[tokio::test]
async fn a_configmap_lives() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        let made = s.expect(201, "POST", &path, json!({"metadata": {"name": "a"}, "data": {"x": "1"}})).await;
        assert_eq!((made["kind"].as_str(), made["apiVersion"].as_str()), (Some("ConfigMap"), Some("v1")));
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            assert!(!made["metadata"][field].is_null(), "{field}");
        }
        let again = s.expect(409, "POST", &path, json!({"metadata": {"name": "a"}})).await;
        assert_eq!((again["reason"].as_str(), again["message"].as_str()), (Some("AlreadyExists"), Some("configmaps \"a\" already exists")));
        let one = format!("{path}/a");
        assert_eq!(s.expect(200, "GET", &one, Value::Null).await["data"]["x"], "1");
        // An update that changes nothing writes nothing.
        let same = s.expect(200, "PUT", &one, made.clone()).await;
        assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        let mut changed = made.clone();
        changed["data"]["x"] = "2".into();
        let second = s.expect(200, "PUT", &one, changed.clone()).await;
        assert_ne!(second["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        let stale = s.expect(409, "PUT", &one, changed).await;
        assert_eq!(stale["reason"], "Conflict");
        // Without a resourceVersion the last one wins.
        let third = s.expect(200, "PUT", &one, json!({"metadata": {"name": "a"}, "data": {"x": "3"}})).await;
        assert_eq!(third["metadata"]["uid"], made["metadata"]["uid"]);
        let gone = s.expect(200, "DELETE", &one, Value::Null).await;
        assert_eq!((gone["status"].as_str(), gone["details"]["kind"].as_str()), (Some("Success"), Some("configmaps")));
        assert_eq!(s.expect(404, "GET", &one, Value::Null).await["reason"], "NotFound");
        s.expect(404, "PUT", &one, json!({"metadata": {"name": "a"}})).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_the_request_is_refused() {
    for s in subjects().await {
        let namespace = s.namespace().await;
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        s.expect(400, "POST", &path, json!({"metadata": {"name": "a", "namespace": "default"}})).await;
        s.expect(400, "POST", &path, json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}})).await;
        s.expect(400, "POST", &path, json!({"metadata": {"name": "a"}, "data": "text"})).await;
        let unnamed = s.expect(422, "POST", &path, json!({"metadata": {}})).await;
        assert_eq!(unnamed["details"]["causes"][0]["field"], "metadata.name");
        let bad = s.expect(422, "POST", &path, json!({"metadata": {"name": "A_b"}})).await;
        assert_eq!((bad["reason"].as_str(), bad["details"]["causes"][0]["reason"].as_str()), (Some("Invalid"), Some("FieldValueInvalid")));
        let made = s.expect(201, "POST", &path, json!({"metadata": {"name": "a"}})).await;
        let one = format!("{path}/a");
        s.expect(400, "PUT", &one, json!({"metadata": {"name": "b"}})).await;
        s.expect(409, "PUT", &one, json!({"metadata": {"name": "a", "uid": "other"}})).await;
        assert!(made["metadata"]["uid"].is_string());
        s.expect(404, "GET", "/api/v1/nonesuch", Value::Null).await;
        s.expect(404, "GET", "/apis/none.such/v1/things", Value::Null).await;
        s.expect(405, "POST", &one, json!({})).await;
        let answer = s.send("POST", &path, &[("content-type", "text/plain")], "x").await;
        assert_eq!(answer.code, 415);
        let answer = s.send("GET", &one, &[("accept", "text/html")], "").await;
        assert_eq!(answer.code, 406);
        let answer = s.send("POST", &path, &[("content-type", "application/json")], vec![b' '; 4 << 20]).await;
        assert_eq!(answer.code, 413);
    }
}

#[tokio::test]
async fn unknown_fields_are_dropped_reported_or_refused() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        let body = |name: &str| json!({"metadata": {"name": name}, "colour": "blue"}).to_string();
        let json_type = [("content-type", "application/json")];
        let warned = s.send("POST", &path, &json_type, body("a")).await;
        assert_eq!(warned.code, 201);
        assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"colour\\\"\"");
        assert!(warned.json().get("colour").is_none());
        let ignored = s.send("POST", &format!("{path}?fieldValidation=Ignore"), &json_type, body("b")).await;
        assert_eq!((ignored.code, ignored.headers.get("warning")), (201, None));
        let refused = s.send("POST", &format!("{path}?fieldValidation=Strict"), &json_type, body("c")).await;
        assert_eq!(refused.code, 400);
        assert!(refused.json()["message"].as_str().unwrap().contains("unknown field \"colour\""));
    }
}

#[tokio::test]
async fn names_can_be_generated_and_dry_runs_store_nothing() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        let made = s.expect(201, "POST", &path, json!({"metadata": {"generateName": "web-"}})).await;
        let name = made["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        s.expect(201, "POST", &format!("{path}?dryRun=All"), json!({"metadata": {"name": "dry"}})).await;
        s.expect(404, "GET", &format!("{path}/dry"), Value::Null).await;
        s.expect(422, "POST", &format!("{path}?dryRun=Some"), json!({"metadata": {"name": "dry"}})).await;
        s.expect(200, "DELETE", &format!("{path}/{name}?dryRun=All"), Value::Null).await;
        s.expect(200, "GET", &format!("{path}/{name}"), Value::Null).await;
    }
}

#[tokio::test]
async fn generations_count_changes_of_the_spec_and_status_has_its_own_door() {
    for s in subjects().await {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", s.namespace().await);
        let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}});
        let body = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod}, "status": {"replicas": 9}});
        let made = s.expect(201, "POST", &path, body).await;
        assert_eq!(
            (&made["metadata"]["generation"], &made["spec"]["replicas"], &made["status"]["replicas"]),
            (&json!(1), &json!(1), &Value::Null)
        );
        let one = format!("{path}/web");
        let labelled = s.expect(200, "PATCH", &one, json!({"metadata": {"labels": {"a": "b"}}})).await;
        assert_eq!(labelled["metadata"]["generation"], 1);
        let scaled = s.expect(200, "PATCH", &one, json!({"spec": {"replicas": 3}, "status": {"replicas": 9}})).await;
        assert_eq!((&scaled["metadata"]["generation"], &scaled["status"]["replicas"]), (&json!(2), &Value::Null));
        let status = s.expect(200, "PATCH", &format!("{one}/status"), json!({"spec": {"replicas": 7}, "status": {"replicas": 2}})).await;
        assert_eq!(
            (&status["spec"]["replicas"], &status["status"]["replicas"], &status["metadata"]["generation"]),
            (&json!(3), &json!(2), &json!(2))
        );
        let scale = s.expect(200, "GET", &format!("{one}/scale"), Value::Null).await;
        assert_eq!(
            (scale["kind"].as_str(), &scale["spec"]["replicas"], scale["status"]["selector"].as_str()),
            (Some("Scale"), &json!(3), Some("app=web"))
        );
        let mut wanted = scale;
        wanted["spec"]["replicas"] = 5.into();
        s.expect(200, "PUT", &format!("{one}/scale"), wanted.clone()).await;
        assert_eq!(s.expect(200, "GET", &one, Value::Null).await["spec"]["replicas"], 5);
        assert_eq!(s.expect(409, "PUT", &format!("{one}/scale"), wanted).await["reason"], "Conflict");
        let changed = s.expect(422, "PATCH", &one, json!({"spec": {"selector": {"matchLabels": {"app": "x"}}}})).await;
        assert_eq!(changed["reason"], "Invalid");
    }
}

/// kube-apiserver answers 500 here, which says that the server is broken; it is not.
#[tokio::test]
async fn a_new_object_has_no_resource_version() {
    let s = in_memory(Profile::Federation).await;
    let body = json!({"metadata": {"name": "a", "resourceVersion": "1"}});
    s.expect(400, "POST", "/api/v1/namespaces/default/configmaps", body).await;
}
