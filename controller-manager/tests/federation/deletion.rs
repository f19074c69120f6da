//! v1's deletion semantics, and the brake.

use serde_json::json;

use crate::bed::{Bed, CLUSTERS, MAPS, RECORDS, config_map, is_a_memory};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_background_deletion_takes_the_copies_along() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    let made = bed.federation.create(MAPS, config_map("ring")).await;
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    bed.federation.until_there(&record).await;
    bed.federation.delete(&path, Some("Background")).await;
    bed.federation.until_gone(&path).await;
    assert!(bed.gondor.get(&path).await.is_none() && bed.rohan.get(&path).await.is_none());
    bed.federation.until(&record, is_a_memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_deletion_leaves_the_copies() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    bed.federation.delete(&path, None).await;
    bed.federation.until_gone(&path).await;
    bed.has_settled(&[&bed.gondor, &bed.rohan]).await;
    assert!(bed.gondor.get(&path).await.is_some() && bed.rohan.get(&path).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_what_is_in_it() {
    let bed = Bed::start().await;
    bed.namespace().await;
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&format!("{MAPS}/ring")).await;
    bed.federation.delete("/api/v1/namespaces/demo", Some("Background")).await;
    bed.federation.until_gone("/api/v1/namespaces/demo").await;
    bed.gondor.until_gone("/api/v1/namespaces/demo").await;
    bed.rohan.until_gone("/api/v1/namespaces/demo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_others_use_is_left_to_them() {
    let bed = Bed::start().await;
    bed.namespace().await;
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&format!("{MAPS}/ring")).await;
    bed.rohan.until_there(&format!("{MAPS}/ring")).await;
    bed.gondor.create(MAPS, config_map("palantir")).await;
    bed.rohan.create(MAPS, config_map("kube-root-ca.crt")).await;
    bed.federation.delete("/api/v1/namespaces/demo", Some("Background")).await;
    bed.federation.until_gone("/api/v1/namespaces/demo").await;
    bed.rohan.until_gone("/api/v1/namespaces/demo").await;

    let kept = bed.gondor.get("/api/v1/namespaces/demo").await.unwrap();
    assert_eq!(kept["metadata"]["deletionTimestamp"], serde_json::Value::Null);
    let text = kept["metadata"]["labels"].to_string() + &kept["metadata"]["annotations"].to_string();
    assert!(!text.contains("federation.kubernetes.io"), "{text}");
    assert!(bed.gondor.get(&format!("{MAPS}/palantir")).await.is_some());
    bed.federation
        .until("/api/v1/namespaces/default/events", |e| {
            e.is_some_and(|e| e.to_string().contains("KeptInCluster") && e.to_string().contains("palantir"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_leaves_keeps_everything() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&path).await;
    bed.federation.delete(&format!("{CLUSTERS}/gondor"), None).await;
    bed.federation.merge(&path, json!({"data": {"ring": "two"}})).await;
    bed.rohan.until(&path, |c| c.is_some_and(|c| c["data"]["ring"] == "two")).await;
    assert_eq!(bed.gondor.get(&path).await.unwrap()["data"]["ring"], "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mass_deletion_nobody_asked_for_stops_until_allowed() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let selector = json!([{"key": "realm", "operator": "!"}]).to_string();
    for n in 0..60 {
        let mut map = config_map(&format!("map-{n}"));
        map["metadata"]["annotations"]["federation.alpha.kubernetes.io/cluster-selector"] = selector.clone().into();
        bed.federation.create(MAPS, map).await;
    }
    let held = |count: usize| move |list: Option<&serde_json::Value>| list.is_some_and(|l| l["items"].as_array().unwrap().len() == count);
    bed.gondor.until(MAPS, held(60)).await;
    bed.rohan.until(MAPS, held(60)).await;
    let cluster = format!("{CLUSTERS}/gondor");
    bed.federation.merge(&cluster, json!({"metadata": {"labels": {"realm": "lost"}}})).await;
    let uid = bed.federation.get(&cluster).await.unwrap()["metadata"]["uid"].clone();
    let told = |e: &serde_json::Value| e["reason"] == "DeletionsStopped" && e["involvedObject"]["uid"] == uid;
    let list = "/api/v1/namespaces/default/events";
    bed.federation.until(list, |e| e.is_some_and(|e| e["items"].as_array().unwrap().iter().any(told))).await;
    assert!(held(60)(bed.gondor.get(MAPS).await.as_ref()));
    bed.federation.merge(&cluster, json!({"metadata": {"annotations": {"federation.kubernetes.io/mass-deletion": "allow"}}})).await;
    bed.gondor.until(MAPS, held(0)).await;
    assert!(held(60)(bed.rohan.get(MAPS).await.as_ref()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d36_a_deletion_that_waits_for_a_controller_that_is_off_is_told() {
    let mut bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&path).await;
    bed.stop().await;
    bed.switch_off("configmaps");
    bed.run();
    bed.federation.delete(&path, Some("Background")).await;
    let told = |e: &serde_json::Value| e["reason"] == "ControllerOff" && e["involvedObject"]["name"] == "ring";
    let events = "/api/v1/namespaces/demo/events";
    bed.federation.until(events, |e| e.is_some_and(|e| e["items"].as_array().unwrap().iter().any(told))).await;
    assert!(bed.federation.get(&path).await.is_some() && bed.gondor.get(&path).await.is_some());
    // What never was in a member has nothing to wait for.
    let made = bed.federation.create(MAPS, config_map("one")).await;
    assert_eq!(made["metadata"]["finalizers"].as_array().map(Vec::len), Some(2));
    bed.federation.delete(&format!("{MAPS}/one"), Some("Background")).await;
    bed.federation.until_gone(&format!("{MAPS}/one")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d25_a_namespace_in_which_somebody_has_any_object_stays() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "steward"}, "rules": []});
    bed.gondor.create("/apis/rbac.authorization.k8s.io/v1/namespaces/demo/roles", role).await;
    bed.federation.delete("/api/v1/namespaces/demo", Some("Background")).await;
    bed.federation.until_gone("/api/v1/namespaces/demo").await;
    bed.rohan.until_gone("/api/v1/namespaces/demo").await;
    let told =
        |e: &serde_json::Value| e["reason"] == "KeptInCluster" && e["message"].as_str().is_some_and(|m| m.contains("roles \"steward\""));
    let events = "/api/v1/namespaces/default/events";
    bed.federation.until(events, |e| e.is_some_and(|e| e["items"].as_array().unwrap().iter().any(told))).await;
    assert_eq!(bed.gondor.get("/api/v1/namespaces/demo").await.unwrap()["metadata"]["deletionTimestamp"], serde_json::Value::Null);
}
