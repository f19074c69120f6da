//! Lists, pages, selectors and the forms of answers.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::subject::{Answer, Subject, subjects};

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

/// The answer to a list as it came, and unpacked.
async fn packed(s: &Subject, path: &str, accept: &str, encoding: &str) -> (Answer, Vec<u8>) {
    let answer = s.send("GET", path, &[("accept", accept), ("accept-encoding", encoding)], "").await;
    let mut plain = Vec::new();
    match answer.headers.get("content-encoding") {
        Some(coding) => {
            assert_eq!((coding.as_bytes(), answer.headers["vary"].as_bytes()), (&b"gzip"[..], &b"Accept-Encoding"[..]));
            flate2::read::GzDecoder::new(&answer.bytes[..]).read_to_end(&mut plain).unwrap();
        }
        None => plain.extend_from_slice(&answer.bytes),
    }
    (answer, plain)
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        for i in 0..3 {
            let text = format!("{i}").repeat(60_000);
            s.expect(201, "POST", &path, json!({"metadata": {"name": format!("large{i}")}, "data": {"text": text}})).await;
        }
        for form in ["application/json", TABLE] {
            let path = format!("{path}?includeObject=Object&fieldSelector=metadata.name!=kube-root-ca.crt");
            let (plain, wanted) = packed(&s, &path, form, "identity").await;
            assert!(plain.headers.get("content-encoding").is_none() && plain.bytes.len() > 128 * 1024);
            for _ in 0..2 {
                let (answer, got) = packed(&s, &path, form, "gzip").await;
                assert!(answer.bytes.len() < 20_000, "{}", answer.bytes.len());
                let items = |bytes: &[u8]| {
                    let list = serde_json::from_slice::<Value>(bytes).unwrap();
                    (list["items"].clone(), list["rows"].as_array().map(Vec::len))
                };
                assert_eq!(items(&got), items(&wanted));
            }
        }
        // What changed is not answered from what was compressed before.
        s.expect(200, "PATCH", &format!("{path}/large1"), json!({"data": {"text": "2".repeat(70_000)}})).await;
        let (_, got) = packed(&s, &path, "application/json", "gzip").await;
        assert!(String::from_utf8(got).unwrap().contains(&"2".repeat(70_000)));
        let (small, _) = packed(&s, &format!("{path}/large1"), "application/json", "gzip").await;
        assert!(small.headers.get("content-encoding").is_none(), "an object below the threshold");
    }
}
