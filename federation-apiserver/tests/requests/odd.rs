//! Requests that nobody means, and what they are answered: code, reason and fields are kube-apiserver's.

use std::fmt::Write;

use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};

use crate::subject::subjects;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

#[tokio::test]
async fn issue8_odd_requests_are_answered_as_by_kube_apiserver() {
    for s in subjects().await {
        let namespace = s.namespace().await;
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        let scalers = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers");
        let one = format!("{maps}/a");
        s.expect(201, "POST", &maps, json!({"metadata": {"name": "a"}})).await;
        let map = |metadata: Value| json!({"metadata": metadata}).to_string();
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let scaler = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 0, "scaleTargetRef": target}}).to_string();
        let review = json!({"metadata": {"name": "x"}}).to_string();
        let both = map(json!({"name": "both", "finalizers": ["orphan", "foregroundDeletion"]}));
        let cases = [
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"replace","path":"/metadata/namespace","value":"other"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"remove","path":"/metadata/namespace"}]"#.to_owned()),
            ("PATCH", one.clone(), MERGE_PATCH, r#"{"metadata":{"namespace":"other"}}"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"remove","path":"/metadata/name"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"remove","path":""}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"replace","path":"","value":{}}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"replace","path":"","value":null}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"add","path":"","value":[]}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"fly","path":"/a"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, "null".to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, "{}".to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, "[null]".to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"add"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":3,"path":"/a"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"add","path":"/data"}]"#.to_owned()),
            (
                "PATCH",
                one.clone(),
                JSON_PATCH,
                r#"[{"op":"add","path":"/data","value":{}},{"op":"replace","path":"/data/new","value":"x"}]"#.to_owned(),
            ),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"replace","path":"/metadata/labels/new","value":"x"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"test","path":"/data/none","value":null}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"test","path":"/metadata/labels/none","value":null}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"copy","from":"/data/none","path":"/data/other"}]"#.to_owned()),
            ("PATCH", one.clone(), JSON_PATCH, r#"[{"op":"move","from":"/data/none","path":"/data/other"}]"#.to_owned()),
            (
                "PATCH",
                one.clone(),
                JSON_PATCH,
                r#"[{"op":"add","path":"/metadata/finalizers","value":["a/b"]},{"op":"remove","path":"/metadata/finalizers/-1"}]"#
                    .to_owned(),
            ),
            (
                "PATCH",
                one.clone(),
                JSON_PATCH,
                r#"[{"op":"add","path":"/metadata/finalizers","value":["a/b"]},{"op":"remove","path":"/metadata/finalizers/-2"}]"#
                    .to_owned(),
            ),
            ("PATCH", maps.clone(), MERGE_PATCH, "{}".to_owned()),
            ("PUT", maps.clone(), JSON, map(json!({"name": "a"}))),
            ("POST", one.clone(), JSON, map(json!({"name": "a"}))),
            ("POST", format!("{maps}?dryRun=Maybe"), JSON, map(json!({"name": "b"}))),
            ("PUT", format!("{one}?dryRun=Maybe"), JSON, map(json!({"name": "a"}))),
            ("PATCH", format!("{one}?dryRun=Maybe"), MERGE_PATCH, "{}".to_owned()),
            ("DELETE", format!("{one}?dryRun=Maybe"), JSON, String::new()),
            ("DELETE", format!("{maps}?dryRun=Maybe"), JSON, String::new()),
            ("POST", format!("{maps}?fieldValidation=Perhaps"), JSON, map(json!({"name": "b"}))),
            ("POST", maps.clone(), JSON, map(json!({"name": "negative", "generation": -1}))),
            ("PUT", one.clone(), JSON, map(json!({"name": "a", "generation": -1}))),
            ("POST", maps.clone(), JSON, both),
            ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews".to_owned(), JSON, review.clone()),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(), JSON, review),
            ("POST", maps.clone(), JSON, "null".to_owned()),
            ("PUT", one.clone(), JSON, "null".to_owned()),
            ("PATCH", one.clone(), MERGE_PATCH, "null".to_owned()),
            ("POST", maps.clone(), JSON, "[]".to_owned()),
            ("POST", maps.clone(), JSON, String::new()),
            ("POST", maps.clone(), "application/yaml", String::new()),
            ("POST", scalers.clone(), JSON, scaler),
        ];
        let mut told = String::new();
        for (method, path, kind, body) in cases {
            let answer = s.send(method, &path, &[("content-type", kind)], body.clone()).await;
            let said = answer.json();
            let fields: Vec<&Value> = said["details"]["causes"].as_array().into_iter().flatten().map(|c| &c["field"]).collect();
            let path = path.replace(&namespace, "demo");
            writeln!(told, "{method} {path} {body}\n    {} {} {fields:?}", answer.code, said["reason"]).unwrap();
        }
        allow_duplicates! { assert_snapshot!(told) };
    }
}
