//! Requests made to exhaust the server, to store what nobody can read, or to get more than the caller may.

use std::time::{Duration, Instant};

use federation_apiserver::auth::UserInfo;
use federation_apiserver::config::StorageConfig;
use federation_apiserver::storage::embedded::Embedded;
use federation_apiserver::storage::{Backend, Expect};
use federation_apiserver::{Config, Profile};
use serde_json::{Value, json};

use crate::subject::{Answer, Subject, in_memory, ready, subjects};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const APPLY: (&str, &str) = ("content-type", "application/apply-patch+yaml");
const TABLE: (&str, &str) = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
const METADATA: (&str, &str) = ("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");

/// `fieldsV1` of so many levels.
fn fields(levels: usize) -> String {
    format!("{}{{}}{}", "{\"f:a\":".repeat(levels - 1), "}".repeat(levels - 1))
}

/// An object of so many levels: those of `fields` begin at the fifth.
fn deep(kind: &str, name: &str, levels: usize) -> String {
    let version = if kind == "Role" { "rbac.authorization.k8s.io/v1" } else { "v1" };
    let entry = format!(
        r#"{{"manager":"x","operation":"Update","apiVersion":"{version}","fieldsType":"FieldsV1","fieldsV1":{}}}"#,
        fields(levels - 4)
    );
    format!(r#"{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"name":"{name}","managedFields":[{entry}]}}}}"#)
}

fn refused(answer: &Answer, codes: &[u16]) {
    assert!(codes.contains(&answer.code), "{}: {}", answer.code, String::from_utf8_lossy(&answer.bytes));
    assert_eq!(answer.json()["kind"], "Status");
}

/// What roles say is in force a moment after they are stored.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never comes to be: {what}");
}

/// A user who has these rules in a namespace of his own, and nothing else.
async fn user_with(s: &Subject, rules: Value) -> (String, String) {
    let namespace = s.namespace().await;
    let user = format!("user-of-{namespace}");
    let bound = json!({"metadata": {"name": "his"}, "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "his", "apiGroup": "rbac.authorization.k8s.io"}});
    s.expect(201, "POST", &format!("{RBAC}/namespaces/{namespace}/roles"), json!({"metadata": {"name": "his"}, "rules": rules})).await;
    s.expect(201, "POST", &format!("{RBAC}/namespaces/{namespace}/rolebindings"), bound).await;
    (namespace, user)
}

#[tokio::test]
async fn d1_an_object_too_deep_to_read_back_is_refused() {
    for profile in [Profile::Member, Profile::Federation] {
        let s = in_memory(profile).await;
        let roles = format!("{RBAC}/namespaces/default/roles");
        s.expect(201, "POST", &roles, json!({"metadata": {"name": "r"}})).await;
        let patch = format!(r#"[{{"op":"replace","path":"/metadata/managedFields/0/fieldsV1","value":{}}}]"#, fields(97));
        refused(&s.send("PATCH", &format!("{roles}/r"), &[JSON_PATCH], patch).await, &[422]);
        let patch = format!(r#"[{{"op":"replace","path":"/metadata/managedFields/0/fieldsV1","value":{}}}]"#, fields(124));
        refused(&s.send("PATCH", &format!("{roles}/r"), &[JSON_PATCH], patch).await, &[400]);
        for kind in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
            for levels in [101, 120, 126] {
                refused(&s.send("PATCH", &format!("{roles}/r"), &[("content-type", kind)], deep("Role", "r", levels)).await, &[400, 422]);
            }
        }
        let configmaps = "/api/v1/namespaces/default/configmaps";
        for levels in [101, 122, 126, 128] {
            refused(&s.send("POST", configmaps, &[("content-type", "application/json")], deep("ConfigMap", "quiet", levels)).await, &[400]);
        }
        let taken = s.send("POST", configmaps, &[("content-type", "application/json")], deep("ConfigMap", "quiet", 100)).await;
        assert_eq!(taken.code, 201, "{}", String::from_utf8_lossy(&taken.bytes));
        // Whatever is stored is read by every client, in a list and as a table with the whole object in each row.
        for path in [format!("{configmaps}?includeObject=Object"), roles.clone()] {
            for form in [("accept", "application/json"), TABLE, METADATA] {
                let answer = s.send("GET", &path, &[form], "").await;
                assert_eq!(answer.code, 200);
                serde_json::from_slice::<Value>(&answer.bytes).unwrap();
            }
        }
        s.expect(200, "DELETE", &format!("{configmaps}/quiet"), Value::Null).await;
        s.expect(200, "DELETE", &format!("{roles}/r"), Value::Null).await;
    }
}

#[tokio::test]
async fn d1_bodies_deeper_than_any_server_reads_are_refused() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        s.expect(201, "POST", &path, json!({"metadata": {"name": "c"}})).await;
        refused(&s.send("POST", &path, &[("content-type", "application/json")], deep("ConfigMap", "deep", 20_000)).await, &[400]);
        let one = format!("{path}/c");
        refused(&s.send("PATCH", &one, &[("content-type", "application/merge-patch+json")], deep("ConfigMap", "c", 20_000)).await, &[400]);
        let patch = format!(r#"[{{"op":"add","path":"/metadata/labels","value":{}}}]"#, fields(20_000));
        refused(&s.send("PATCH", &one, &[JSON_PATCH], patch).await, &[400, 422]);
        s.expect(200, "GET", &one, Value::Null).await;
    }
}

#[tokio::test]
async fn d1_what_cannot_be_decoded_hides_and_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let stored = Embedded::open(dir.path()).unwrap();
        let put =
            async |key: &str, value: String| stored.put(&format!("/registry/{key}"), value.into(), Expect::Absent, None).await.unwrap();
        for namespace in ["shire", "rohan"] {
            put(&format!("namespaces/{namespace}"), json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "uid": namespace}, "spec": {"finalizers": ["kubernetes"]}}).to_string()).await;
        }
        put("rbac.authorization.k8s.io/roles/shire/deep", deep("Role", "deep", 140)).await;
        put("configmaps/shire/deep", deep("ConfigMap", "deep", 140)).await;
        put("configmaps/rohan/deep", deep("ConfigMap", "deep", 140)).await;
        let held = deep("ConfigMap", "held", 140).replace(r#""name":"held","#, r#""name":"held","finalizers":["example.com/wait"],"#);
        put("configmaps/shire/held", held).await;
    }
    let storage = StorageConfig::Embedded { dir: dir.path().to_owned() };
    let server = ready(Config { storage, ..Config::in_memory(Profile::Federation) }).await;
    let user = server.service(UserInfo { name: "frodo".into(), uid: String::new(), groups: vec!["system:authenticated".into()] });
    let s = Subject::Memory { service: server.admin_service(), _server: server };
    let configmaps = "/api/v1/namespaces/shire/configmaps";
    s.expect(201, "POST", configmaps, json!({"metadata": {"name": "plain"}})).await;
    for (form, rows) in [(TABLE, "rows"), (METADATA, "items"), (("accept", "application/json"), "items")] {
        let answer = s.send("GET", configmaps, &[form], "").await;
        assert_eq!((answer.code, answer.json()[rows].as_array().map(Vec::len)), (200, Some(1)), "{rows}");
    }
    let watched = s.send("GET", &format!("{configmaps}?watch=true&timeoutSeconds=1&resourceVersion=0&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"), &[TABLE], "").await;
    let lines = String::from_utf8_lossy(&watched.bytes).into_owned();
    assert!(lines.contains("plain") && !lines.contains("\"ERROR\""), "{lines}");
    // The other roles are followed all the same.
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
    s.expect(201, "POST", &format!("{RBAC}/namespaces/shire/roles"), json!({"metadata": {"name": "reader"}, "rules": [rule]})).await;
    let binding = json!({"metadata": {"name": "reader"}, "subjects": [{"kind": "User", "name": "frodo", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}});
    s.expect(201, "POST", &format!("{RBAC}/namespaces/shire/rolebindings"), binding).await;
    let asked = Subject::Service(user);
    until("the new role is in force", async || asked.send("GET", &format!("{configmaps}/plain"), &[], "").await.code == 200).await;
    // It is refused by GET and can be deleted.
    refused(&s.send("GET", &format!("{configmaps}/deep"), &[], "").await, &[500]);
    s.expect(200, "DELETE", &format!("{configmaps}/deep"), Value::Null).await;
    s.expect(404, "GET", &format!("{configmaps}/deep"), Value::Null).await;
    s.expect(200, "DELETE", &format!("{RBAC}/namespaces/shire/roles/deep"), Value::Null).await;
    // Of whom it waits for nothing can be known either.
    refused(&s.send("GET", &format!("{configmaps}/held"), &[], "").await, &[500]);
    s.expect(200, "DELETE", &format!("{configmaps}/held"), Value::Null).await;
    s.expect(200, "DELETE", "/api/v1/namespaces/rohan?propagationPolicy=Background", Value::Null).await;
    until("the namespace is empty and gone", async || s.send("GET", "/api/v1/namespaces/rohan", &[], "").await.code == 404).await;
}

#[tokio::test]
async fn d2_a_patch_that_nests_without_end_is_refused_and_the_server_lives() {
    let s = in_memory(Profile::Member).await;
    let path = "/api/v1/namespaces/default/configmaps";
    s.expect(201, "POST", path, json!({"metadata": {"name": "c"}})).await;
    let nested = format!("{}{}", "[".repeat(97), "]".repeat(97));
    let triple = format!(
        r#",{{"op":"add","path":"/b","value":{nested}}},{{"op":"move","from":"/x","path":"/b{}/-"}},{{"op":"move","from":"/b","path":"/x"}}"#,
        "/0".repeat(96)
    );
    let bomb = format!(r#"[{{"op":"add","path":"/x","value":0}}{}]"#, triple.repeat(3300));
    refused(&s.send("PATCH", &format!("{path}/c"), &[JSON_PATCH], bomb).await, &[422]);
    s.expect(200, "GET", &format!("{path}/c"), Value::Null).await;
}

#[tokio::test]
async fn d5_long_lists_do_not_keep_the_server_from_others() {
    let s = in_memory(Profile::Member).await;
    let list: Vec<String> = (0..30_000).map(|n| format!("a/{n:05}")).collect();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": list}}).to_string();
    let path = "/api/v1/namespaces/default/configmaps/c?fieldManager=x";
    let started = Instant::now();
    let heavy = futures::future::join_all((0..4).map(|_| s.send("PATCH", path, &[APPLY], body.clone())));
    let light = async {
        let asked = Instant::now();
        s.expect(200, "GET", "/livez", Value::Null).await;
        asked.elapsed()
    };
    let (answers, waited) = tokio::join!(heavy, light);
    assert!(waited < Duration::from_secs(10), "a probe waited {waited:?}");
    for answer in answers {
        // Of those that come at the same time one creates; two may meet.
        assert!(
            matches!(answer.code, 200 | 201 | 409 | 504),
            "{}: {}",
            answer.code,
            String::from_utf8_lossy(&answer.bytes[..200.min(answer.bytes.len())])
        );
    }
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[tokio::test]
async fn d7_a_role_of_many_combinations_is_decided_soon() {
    let s = in_memory(Profile::Member).await;
    let edit = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["get", "list", "create"]}]);
    let (namespace, user) = user_with(&s, edit).await;
    let names = |prefix: &str| (0..500).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    let rule = json!({"verbs": names("v"), "apiGroups": names("g"), "resources": names("r")});
    let body = json!({"metadata": {"name": "big"}, "rules": [rule]}).to_string();
    let path = format!("{RBAC}/namespaces/{namespace}/roles");
    until("his role is in force", async || s.send("GET", &path, &[("impersonate-user", &user)], "").await.code == 200).await;
    let started = Instant::now();
    let answer = s.send("POST", &path, &[("impersonate-user", &user), ("content-type", "application/json")], body).await;
    refused(&answer, &[403]);
    assert!(started.elapsed() < Duration::from_secs(20) && answer.bytes.len() < 4 << 20, "{:?} {}", started.elapsed(), answer.bytes.len());
}

#[tokio::test]
async fn d10_applying_what_is_not_there_needs_the_right_to_create_it() {
    for s in subjects().await {
        let (namespace, user) = user_with(&s, json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}])).await;
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        s.expect(201, "POST", &path, json!({"metadata": {"name": "there"}})).await;
        let his = ("impersonate-user", user.as_str());
        until("his role is in force", async || s.send("GET", &format!("{path}/there"), &[his], "").await.code == 200).await;
        let apply = async |name: &str| {
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}).to_string();
            s.send("PATCH", &format!("{path}/{name}?fieldManager=x"), &[his, APPLY], body).await
        };
        assert_eq!(apply("there").await.code, 200);
        let answer = apply("made").await;
        refused(&answer, &[403]);
        assert!(answer.json()["message"].as_str().unwrap().contains("cannot create resource \"configmaps\""), "{}", answer.json());
        s.expect(404, "GET", &format!("{path}/made"), Value::Null).await;
        // No other verb of those that change creates.
        let body = json!({"metadata": {"name": "made"}}).to_string();
        assert_eq!(
            s.send("PATCH", &format!("{path}/made"), &[his, ("content-type", "application/merge-patch+json")], body).await.code,
            404
        );
        s.expect(404, "PUT", &format!("{path}/made"), json!({"metadata": {"name": "made"}})).await;
    }
}

#[tokio::test]
async fn d13_labels_that_hand_on_rights_need_those_rights() {
    for s in subjects().await {
        let namespace = s.namespace().await;
        let (role, user) = (format!("powerful-{namespace}"), format!("labeler-{namespace}"));
        let roles = format!("{RBAC}/clusterroles");
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        s.expect(201, "POST", &roles, json!({"metadata": {"name": role}, "rules": [all]})).await;
        let label = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["get", "patch"]});
        s.expect(201, "POST", &roles, json!({"metadata": {"name": user}, "rules": [label]})).await;
        let binding = json!({"metadata": {"name": user}, "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": user, "apiGroup": "rbac.authorization.k8s.io"}});
        s.expect(201, "POST", &format!("{RBAC}/clusterrolebindings"), binding).await;
        let (one, his) = (format!("{roles}/{role}"), ("impersonate-user", user.as_str()));
        until("his role is in force", async || s.send("GET", &one, &[his], "").await.code == 200).await;
        let patch = async |name: &str, body: Value| {
            s.send("PATCH", &format!("{roles}/{name}"), &[his, ("content-type", "application/merge-patch+json")], body.to_string()).await
        };
        let labels = json!({"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}});
        let answer = patch(&role, labels).await;
        refused(&answer, &[403]);
        assert!(answer.json()["message"].as_str().unwrap().contains("permissions not currently held"), "{}", answer.json());
        refused(&patch(&role, json!({"metadata": {"annotations": {"a": "b"}}})).await, &[403]);
        // What is needed to remove it in the end is not in question, nor is a role of one's own.
        assert_eq!(patch(&role, json!({"metadata": {"finalizers": ["example.com/wait"]}})).await.code, 200);
        assert_eq!(patch(&role, json!({"metadata": {"finalizers": null}})).await.code, 200);
        assert_eq!(patch(&user, json!({"metadata": {"labels": {"a": "b"}}})).await.code, 200);
        for name in [&role, &user] {
            s.expect(200, "DELETE", &format!("{roles}/{name}"), Value::Null).await;
        }
        s.expect(200, "DELETE", &format!("{RBAC}/clusterrolebindings/{user}"), Value::Null).await;
    }
}

#[tokio::test]
async fn d17_null_in_a_rule_takes_rights_away_as_written() {
    for s in subjects().await {
        let rules = |verbs: Value| json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]);
        let (namespace, user) = user_with(&s, rules(json!(["get", "list"]))).await;
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let may_list = async || s.send("GET", &path, &[("impersonate-user", user.as_str())], "").await.code == 200;
        until("his role is in force", may_list).await;
        let one = format!("{RBAC}/namespaces/{namespace}/roles/his");
        let stored = s.expect(200, "PUT", &one, json!({"metadata": {"name": "his"}, "rules": rules(json!(["get", null]))})).await;
        assert_eq!(stored["rules"][0]["verbs"], json!(["get", ""]));
        until("the right to list is gone", async || !may_list().await).await;
    }
}

#[tokio::test]
async fn d29_a_generated_name_is_cut_between_characters() {
    for s in subjects().await {
        let path = format!("/api/v1/namespaces/{}/configmaps", s.namespace().await);
        for letters in [55, 56, 57, 58, 59] {
            let name = format!("{}é", "a".repeat(letters));
            s.expect(422, "POST", &path, json!({"metadata": {"generateName": name}})).await;
        }
        let made = s.expect(201, "POST", &path, json!({"metadata": {"generateName": "a".repeat(100)}})).await;
        assert_eq!(made["metadata"]["name"].as_str().map(str::len), Some(63));
    }
}
