//! Watches.

use federation_apiserver::Profile;
use serde_json::{Value, json};

use crate::subject::{Subject, in_memory, subjects};

/// A revision that no store gets to.
const FAR: u64 = u64::MAX / 4;

/// The events of a watch that ends after a second.
async fn events(s: &Subject, path: &str) -> Vec<Value> {
    let answer = s.send("GET", &format!("{path}&timeoutSeconds=1"), &[], "").await;
    assert_eq!(answer.code, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    answer.bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

fn short(events: &[Value]) -> Vec<String> {
    let name = |e: &Value| e["object"]["metadata"]["name"].as_str().unwrap_or("-").to_owned();
    events.iter().map(|e| format!("{} {}", e["type"].as_str().unwrap(), name(e))).collect()
}

#[tokio::test]
async fn a_watch_tells_what_happened_since_its_revision() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        let from = s.expect(200, "GET", &path, Value::Null).await["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        s.expect(201, "POST", &path, json!({"metadata": {"name": "a", "labels": {"on": "yes"}}})).await;
        s.expect(200, "PATCH", &format!("{path}/a"), json!({"data": {"x": "1"}})).await;
        s.expect(200, "PATCH", &format!("{path}/a"), json!({"metadata": {"labels": null}})).await;
        s.expect(200, "DELETE", &format!("{path}/a"), Value::Null).await;
        let only = "fieldSelector=metadata.name%3Da";
        let seen = events(&s, &format!("{path}?watch=true&{only}&resourceVersion={from}")).await;
        assert_eq!(short(&seen), ["ADDED a", "MODIFIED a", "MODIFIED a", "DELETED a"]);
        let versions: Vec<u64> =
            seen.iter().map(|e| e["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()).collect();
        assert!(versions.is_sorted(), "{versions:?}");
        // To a selector, an object that no longer matches is gone.
        let seen = events(&s, &format!("{path}?watch=1&labelSelector=on%3Dyes&resourceVersion={from}")).await;
        assert_eq!(short(&seen), ["ADDED a", "MODIFIED a", "DELETED a"]);
        let legacy = path.replace("/api/v1/", "/api/v1/watch/");
        let seen = events(&s, &format!("{legacy}/a?resourceVersion={from}")).await;
        assert_eq!(seen.len(), 4);
    }
}

#[tokio::test]
async fn a_watch_can_begin_with_a_list() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/secrets", s.namespace().await);
        s.expect(201, "POST", &path, json!({"metadata": {"name": "a"}})).await;
        assert_eq!(short(&events(&s, &format!("{path}?watch=true")).await), ["ADDED a"]);
        let streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        let seen = events(&s, &format!("{path}?watch=true&{streaming}")).await;
        assert_eq!(short(&seen), ["ADDED a", "BOOKMARK -"]);
        assert_eq!(seen[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
        s.expect(422, "GET", &format!("{path}?watch=true&sendInitialEvents=true"), Value::Null).await;
    }
}

#[tokio::test]
async fn a_watched_table_names_its_columns_once() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/secrets", s.namespace().await);
        for name in ["a", "b"] {
            s.expect(201, "POST", &path, json!({"metadata": {"name": name}})).await;
        }
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
        let answer = s.send("GET", &format!("{path}?watch=true&timeoutSeconds=1"), &accept, "").await;
        let lines: Vec<Value> =
            answer.bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
        assert_eq!(lines[0]["object"]["columnDefinitions"][0]["name"], "Name");
        assert!(lines[1]["object"]["columnDefinitions"].as_array().is_none_or(Vec::is_empty));
        assert_eq!(lines[1]["object"]["rows"][0]["cells"][0], "b");
    }
}

/// As of a client that goes on where it was when an older backup took the store's place.
#[tokio::test]
async fn issue7_w4_a_list_from_a_revision_that_is_not_there_is_asked_to_try_again() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/secrets", s.namespace().await);
        let streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        let seen = events(&s, &format!("{path}?watch=true&{streaming}&resourceVersion={FAR}")).await;
        let status = &seen[0]["object"];
        assert_eq!((&seen[0]["type"], &status["code"], &status["reason"]), (&json!("ERROR"), &json!(504), &json!("Timeout")));
        assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    }
}

/// Of ours only: kube-apiserver keeps such a watch open in silence.
#[tokio::test]
async fn issue7_w4_a_watch_from_a_revision_that_is_not_there_is_told_to_list_again() {
    let s = in_memory(Profile::Member).await;
    let path = format!("/api/v1/namespaces/{}/secrets", s.namespace().await);
    let seen = events(&s, &format!("{path}?watch=true&resourceVersion={FAR}")).await;
    assert_eq!(short(&seen), ["ERROR -"], "it ends there");
    let status = &seen[0]["object"];
    assert_eq!((&status["kind"], &status["code"], &status["reason"]), (&json!("Status"), &json!(410), &json!("Expired")));
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("Too large resource version: {FAR}, current: ")), "{message}");
}
