//! Lists, pages, selectors and the forms of answers.

use serde_json::{Value, json};

use crate::subject::{Subject, subjects};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

async fn five(s: &Subject) -> String {
    let path = format!("/api/v1/namespaces/{}/secrets", s.namespace().await);
    for i in 0..5 {
        let kind = if i % 2 == 0 { "example.com/even" } else { "Opaque" };
        s.expect(201, "POST", &path, json!({"metadata": {"name": format!("s{i}"), "labels": {"i": i.to_string()}}, "type": kind})).await;
    }
    path
}

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn selectors_select() {
    for s in subjects().await {
        let path = five(&s).await;
        let list = s.expect(200, "GET", &path, Value::Null).await;
        assert_eq!((list["kind"].as_str(), names(&list).len()), (Some("SecretList"), 5));
        for (query, want) in [
            ("labelSelector=i%20in%20(1,2)", vec!["s1", "s2"]),
            ("labelSelector=i!%3D1,i", vec!["s0", "s2", "s3", "s4"]),
            ("fieldSelector=type%3Dexample.com/even", vec!["s0", "s2", "s4"]),
            ("fieldSelector=metadata.name%3Ds3", vec!["s3"]),
            ("labelSelector=nothing", vec![]),
        ] {
            assert_eq!(names(&s.expect(200, "GET", &format!("{path}?{query}"), Value::Null).await), want, "{query}");
        }
        s.expect(400, "GET", &format!("{path}?fieldSelector=data.x%3Dy"), Value::Null).await;
        s.expect(400, "GET", &format!("{path}?labelSelector=%3D%3D"), Value::Null).await;
    }
}

#[tokio::test]
async fn pages_show_one_moment() {
    for s in subjects().await {
        let path = five(&s).await;
        let first = s.expect(200, "GET", &format!("{path}?limit=2"), Value::Null).await;
        assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["s0".into(), "s1".into()], &json!(3)));
        s.expect(200, "DELETE", &format!("{path}/s4"), Value::Null).await;
        let mut all = names(&first);
        let mut token = first["metadata"]["continue"].as_str().unwrap().to_owned();
        loop {
            let page = s.expect(200, "GET", &format!("{path}?limit=2&continue={token}"), Value::Null).await;
            assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
            all.extend(names(&page));
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => token = next.to_owned(),
                _ => break,
            }
        }
        assert_eq!(all, ["s0", "s1", "s2", "s3", "s4"]);
        let version = first["metadata"]["resourceVersion"].as_str().unwrap();
        let exact = s.expect(200, "GET", &format!("{path}?resourceVersion={version}&resourceVersionMatch=Exact"), Value::Null).await;
        assert_eq!(names(&exact).len(), 5);
        s.expect(422, "GET", &format!("{path}?resourceVersionMatch=Exact"), Value::Null).await;
        s.expect(400, "GET", &format!("{path}?continue=garbage"), Value::Null).await;
    }
}

#[tokio::test]
async fn tables_and_metadata_come_when_asked_for() {
    for s in subjects().await {
        let path = five(&s).await;
        let table = s.send("GET", &path, &[("accept", TABLE)], "").await.json();
        assert_eq!((table["kind"].as_str(), table["rows"].as_array().unwrap().len()), (Some("Table"), 5));
        assert_eq!(table["columnDefinitions"][0]["name"], "Name");
        assert_eq!(table["rows"][0]["cells"][0], "s0");
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        let list = s.send("GET", &path, &[("accept", PARTIAL)], "").await.json();
        assert_eq!((list["kind"].as_str(), &list["items"][0]["type"]), (Some("PartialObjectMetadataList"), &Value::Null));
        let one = s.send("GET", &format!("{path}/s0"), &[("accept", TABLE)], "").await.json();
        assert_eq!(one["rows"].as_array().unwrap().len(), 1);
    }
}
