//! The record says what was done; the member says what is. Whatever happens to a copy, it is made right.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Api, Bed, CLUSTERS, DEPLOYMENTS, MAPS, RECORDS, config, config_map, deployment};

fn ring(value: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |map| map.is_some_and(|m| m["data"]["ring"] == value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_34_a_member_whose_store_is_put_back_is_made_right() {
    let mut bed = Bed::start().await;
    bed.namespace().await;
    let path = |name: &str| format!("{MAPS}/{name}");
    bed.federation.create(MAPS, config_map("changed")).await;
    bed.federation.create(MAPS, config_map("deleted")).await;
    bed.gondor.until_there(&path("changed")).await;
    bed.gondor.until_there(&path("deleted")).await;
    bed.gondor.back_up("yesterday");
    bed.gondor.back_up("today");

    bed.federation.create(MAPS, config_map("lost")).await;
    bed.federation.merge(&path("changed"), json!({"data": {"ring": "two"}})).await;
    bed.gondor.until_there(&path("lost")).await;
    bed.gondor.until(&path("changed"), ring("two")).await;
    bed.federation.delete(&path("deleted"), Some("Background")).await;
    bed.federation.until_gone(&path("deleted")).await;
    bed.gondor.until_gone(&path("deleted")).await;
    let is_right = async |gondor: &Api| {
        gondor.until_there(&path("lost")).await;
        gondor.until(&path("changed"), ring("two")).await;
        gondor.until_gone(&path("deleted")).await;
    };

    // While the controllers run: nothing but the end of the watches tells them.
    let before = bed.gondor.put_back("yesterday").await;
    assert!(ring("one")(bed.gondor.get(&path("changed")).await.as_ref()));
    assert_eq!(bed.gondor.get(&path("lost")).await, None);
    before.stop_watches();
    is_right(&bed.gondor).await;
    // While they do not. The deletion was recorded, or it would not have been carried out above.
    bed.stop().await;
    bed.gondor.restore("today").await;
    assert!(bed.gondor.get(&path("deleted")).await.is_some());
    bed.run();
    is_right(&bed.gondor).await;
    // What the federation never deleted is nobody's to delete.
    bed.federation.until_there(&path("lost")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_x1_what_was_made_anew_while_a_member_was_away_replaces_the_old() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let web = |app: &str| {
        let mut web = deployment("web", 4, &json!({"clusters": {"*": {"weight": 1}}}));
        web["spec"]["selector"]["matchLabels"]["app"] = app.into();
        web["spec"]["template"]["metadata"]["labels"]["app"] = app.into();
        web
    };
    let fixed = |value: &str| {
        let mut map = config_map("fixed");
        map["immutable"] = true.into();
        map["data"]["ring"] = value.into();
        map
    };
    let (path, map) = (format!("{DEPLOYMENTS}/web"), format!("{MAPS}/fixed"));
    bed.federation.create(DEPLOYMENTS, web("one")).await;
    bed.federation.create(MAPS, fixed("one")).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until_there(&path).await;
        member.until_there(&map).await;
    }
    bed.gondor.cut(true);
    bed.until_cluster("gondor", "Offline").await;
    for path in [&path, &map] {
        bed.federation.delete(path, Some("Background")).await;
        bed.federation.until_gone(path).await;
    }
    let made = bed.federation.create(DEPLOYMENTS, web("two")).await;
    bed.federation.create(MAPS, fixed("two")).await;
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["selector"]["matchLabels"]["app"] == "two")).await;
    bed.gondor.cut(false);
    bed.gondor.until(&path, |d| d.is_some_and(|d| d["spec"]["selector"]["matchLabels"]["app"] == "two")).await;
    bed.gondor.until(&map, ring("two")).await;
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    bed.federation.until(&record, |r| r.is_some_and(|r| r["spec"]["clusters"]["gondor"]["state"] == "Applied")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_20_what_is_deleted_just_after_it_was_made_is_made_again() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let gondor = bed.gondor.clone();
    // Whatever appears is deleted once, at once.
    let killer = tokio::spawn(async move {
        let mut killed = std::collections::BTreeSet::new();
        while killed.len() < 40 {
            for item in gondor.get(MAPS).await.unwrap()["items"].as_array().unwrap() {
                let name = item["metadata"]["name"].as_str().unwrap().to_owned();
                if killed.insert(name.clone()) {
                    gondor.delete(&format!("{MAPS}/{name}"), None).await;
                }
            }
        }
    });
    for n in 0..40 {
        bed.federation.create(MAPS, config_map(&format!("map-{n}"))).await;
    }
    killer.await.unwrap();
    bed.gondor.until(MAPS, |list| list.is_some_and(|l| l["items"].as_array().unwrap().len() == 40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_w4_a_comparison_finds_what_no_watch_told() {
    let mut config = config();
    config.comparison = Duration::from_secs(1);
    let bed = Bed::start_with(config).await;
    bed.namespace().await;
    bed.federation.create(MAPS, config_map("ring")).await;
    let path = format!("{MAPS}/ring");
    bed.gondor.until_there(&path).await;
    bed.gondor.deafen();
    bed.gondor.delete(&path, None).await;
    bed.gondor.until_there(&path).await;
    bed.gondor.merge(&path, json!({"data": {"ring": "stolen"}})).await;
    bed.gondor.until(&path, ring("one")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_member_that_cannot_be_watched_gets_no_share() {
    let bed = Bed::start().await;
    bed.namespace().await;
    bed.gondor.forbid(Some("/deployments"));
    bed.gondor.end_watches();
    bed.federation.create(DEPLOYMENTS, deployment("web", 9, &json!({"rebalance": true, "clusters": {"*": {"weight": 1}}}))).await;
    let path = format!("{DEPLOYMENTS}/web");
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"] == 9)).await;
    let told = |e: &Value| e["reason"] == "KindNotWatched" && e["message"].as_str().is_some_and(|m| m.contains("not allowed"));
    let list = "/api/v1/namespaces/default/events";
    bed.federation.until(list, |e| e.is_some_and(|e| e["items"].as_array().unwrap().iter().any(told))).await;
    // Other kinds go on there.
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&format!("{MAPS}/ring")).await;
    bed.gondor.forbid(None);
    bed.gondor.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"].as_i64().unwrap() > 0)).await;
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"].as_i64().unwrap() < 9)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_member_whose_rights_are_taken_away_keeps_no_share() {
    let mut config = config();
    config.monitor.topology_period = Duration::from_millis(100);
    let mut bed = Bed::new(config).await;
    let rules = |verbs: &[&str]| {
        let all = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["*"]});
        let mut rules = ["", "batch", "autoscaling", "discovery.k8s.io"].map(|group| all(group, &["*"])).to_vec();
        rules.push(all("apps", &["daemonsets", "replicasets"]));
        rules.push(json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs}));
        rules.push(json!({"nonResourceURLs": ["*"], "verbs": ["get"]}));
        Value::from(rules)
    };
    bed.gondor.admit("gandalf", rules(&["*"])).await;
    bed.run();
    bed.until_cluster("gondor", "Ready").await;
    bed.until_cluster("rohan", "Ready").await;
    bed.namespace().await;
    let path = format!("{DEPLOYMENTS}/web");
    let replicas = |d: Option<&Value>| d.and_then(|d| d["spec"]["replicas"].as_i64()).unwrap_or_default();
    bed.federation.create(DEPLOYMENTS, deployment("web", 8, &json!({"rebalance": true, "clusters": {"*": {"weight": 1}}}))).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&path, |d| replicas(d) == 4).await;
        let status = json!({"replicas": 4, "readyReplicas": 4, "observedGeneration": 1});
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    }
    bed.federation.until(&path, |d| d.is_some_and(|d| d["status"]["readyReplicas"] == 8)).await;

    bed.gondor.allow("gandalf", rules(&["get", "list", "watch", "delete"])).await;
    bed.rohan.until(&path, |d| replicas(d) == 8).await;
    let list = "/api/v1/namespaces/default/events";
    for (reason, message) in [("KindNotWritten", "create, patch Deployment"), ("RightsMissing", "the federation's account may not")] {
        let told = |e: &Value| e["reason"] == reason && e["message"].as_str().is_some_and(|m| m.contains(message));
        bed.federation.until(list, |e| e.is_some_and(|e| e["items"].as_array().unwrap().iter().any(told))).await;
    }
    let authorized = |c: &Value, status: &str, reason: &str| {
        let mut conditions = c["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|c| c["type"] == "Authorized" && c["status"] == status && c["reason"] == reason)
    };
    let gondor = format!("{CLUSTERS}/gondor");
    bed.federation.until(&gondor, |c| c.is_some_and(|c| authorized(c, "False", "RightsMissing"))).await;
    bed.until_cluster("gondor", "Ready").await;
    assert_eq!(replicas(bed.gondor.get(&path).await.as_ref()), 4, "nothing was deleted there");
    // It is still seen what runs there, and other kinds go on.
    bed.federation.until(&path, |d| d.is_some_and(|d| d["status"]["readyReplicas"] == 8)).await;
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&format!("{MAPS}/ring")).await;
    let db = bed.federation.create(DEPLOYMENTS, deployment("db", 4, &json!({"clusters": {"*": {"weight": 1}}}))).await;
    bed.rohan.until(&format!("{DEPLOYMENTS}/db"), |d| replicas(d) == 4).await;
    let record = format!("{RECORDS}/{}", db["metadata"]["uid"].as_str().unwrap());
    let why = |r: &Value| r["spec"]["clusters"]["gondor"]["reason"] == "the federation's account may not create, patch them there";
    bed.federation.until(&record, |r| r.is_some_and(why)).await;

    bed.gondor.allow("gandalf", rules(&["*"])).await;
    bed.rohan.until(&path, |d| replicas(d) < 8).await;
    bed.gondor.until(&path, |d| replicas(d) > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_30_a_moment_of_unreadiness_moves_no_replicas() {
    let mut config = config();
    config.review = Duration::from_secs(1);
    let bed = Bed::start_with(config).await;
    bed.namespace().await;
    bed.federation.create(DEPLOYMENTS, deployment("web", 8, &json!({"clusters": {"gondor": {"weight": 3}, "rohan": {"weight": 1}}}))).await;
    let path = format!("{DEPLOYMENTS}/web");
    let replicas = |n: i64| move |d: Option<&Value>| d.is_some_and(|d| d["spec"]["replicas"] == n);
    let report = async |member: &Api, replicas: i64, ready: i64| {
        let status = json!({"replicas": replicas, "readyReplicas": ready, "observedGeneration": 1});
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    };
    bed.gondor.until(&path, replicas(6)).await;
    bed.rohan.until(&path, replicas(2)).await;
    report(&bed.gondor, 6, 6).await;
    report(&bed.rohan, 2, 2).await;
    // The division would be another one now; what runs stays where it runs.
    let even = json!({"clusters": {"*": {"weight": 1}}}).to_string();
    bed.federation.merge(&path, json!({"metadata": {"annotations": {"federation.kubernetes.io/deployment-preferences": even}}})).await;
    bed.federation.until(&path, |d| d.is_some_and(|d| d["status"]["readyReplicas"] == 8)).await;
    report(&bed.gondor, 6, 5).await;
    bed.federation.until(&path, |d| d.is_some_and(|d| d["status"]["readyReplicas"] == 7)).await;
    report(&bed.gondor, 6, 6).await;
    bed.federation.until(&path, |d| d.is_some_and(|d| d["status"]["readyReplicas"] == 8)).await;
    // What comes after shows that all of it was looked at.
    bed.federation.create(MAPS, config_map("last")).await;
    bed.gondor.until_there(&format!("{MAPS}/last")).await;
    assert!(replicas(6)(bed.gondor.get(&path).await.as_ref()) && replicas(2)(bed.rohan.get(&path).await.as_ref()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_nothing_is_put_into_a_namespace_that_is_not_ours() {
    let bed = Bed::start().await;
    bed.gondor.create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})).await;
    bed.federation.create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})).await;
    let made = bed.federation.create(MAPS, config_map("ring")).await;
    let path = format!("{MAPS}/ring");
    bed.rohan.until_there(&path).await;
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    let refused = |r: &Value| r["spec"]["clusters"]["gondor"]["reason"].as_str().is_some_and(|r| r.contains("not the federation's"));
    bed.federation.until(&record, |r| r.is_some_and(refused)).await;
    assert_eq!(bed.gondor.get(&path).await, None);
    bed.federation
        .merge("/api/v1/namespaces/demo", json!({"metadata": {"annotations": {"federation.kubernetes.io/conflict": "adopt"}}}))
        .await;
    bed.gondor.until_there(&path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_20_a_token_of_an_account_stays_in_the_federation() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let secrets = "/api/v1/namespaces/demo/secrets";
    let annotations = json!({"kubernetes.io/service-account.name": "frodo"});
    let token = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": {"name": "token", "annotations": annotations}});
    bed.federation.create(secrets, token).await;
    let told = |e: &Value| e["reason"] == "NotPropagated" && e["involvedObject"]["name"] == "token";
    let events = "/api/v1/namespaces/demo/events";
    bed.federation.until(events, |e| e.is_some_and(|e| e["items"].as_array().unwrap().iter().any(told))).await;
    bed.federation.create(secrets, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "last"}})).await;
    bed.gondor.until_there(&format!("{secrets}/last")).await;
    assert_eq!(bed.gondor.get(&format!("{secrets}/token")).await, None);
}
