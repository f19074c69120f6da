//! Objects follow their federated originals, and nothing is written without need.

use std::time::Instant;

use serde_json::json;

use crate::bed::{Bed, CLUSTERS, DEPLOYMENTS, MAPS, RECORDS, SOON, config_map, deployment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_follows_and_drift_is_repaired() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let made = bed.federation.create(MAPS, config_map("ring")).await;
    let path = format!("{MAPS}/ring");
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    let copy = bed.gondor.get(&path).await.unwrap();
    assert_eq!(copy["data"], json!({"ring": "one"}));
    assert_eq!(copy["metadata"]["labels"]["federation.kubernetes.io/managed-by"], "fellowship");
    assert_eq!(copy["metadata"]["annotations"]["federation.kubernetes.io/source-uid"], made["metadata"]["uid"]);

    bed.federation.merge(&path, json!({"data": {"ring": "two", "finger": "frodo"}})).await;
    bed.rohan.until(&path, |c| c.is_some_and(|c| c["data"] == json!({"ring": "two", "finger": "frodo"}))).await;

    // What others add stays; what others change is put right, soon.
    bed.gondor.merge(&path, json!({"metadata": {"annotations": {"local": "kept"}}})).await;
    bed.gondor.merge(&path, json!({"data": {"ring": "stolen"}})).await;
    let took = bed.gondor.until(&path, |c| c.is_some_and(|c| c["data"]["ring"] == "two")).await;
    assert!(took < SOON, "{took:?}");
    assert_eq!(bed.gondor.get(&path).await.unwrap()["metadata"]["annotations"]["local"], "kept");

    bed.rohan.delete(&path, None).await;
    let took = bed.rohan.until_there(&path).await;
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selector_places_and_taking_it_back_removes() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let select = |name: &str| json!([{"key": "name", "operator": "=", "values": [name]}]).to_string();
    let mut map = config_map("horn");
    map["metadata"]["annotations"]["federation.alpha.kubernetes.io/cluster-selector"] = select("rohan").into();
    bed.federation.create(MAPS, map).await;
    let path = format!("{MAPS}/horn");
    bed.rohan.until_there(&path).await;
    assert!(bed.gondor.get(&path).await.is_none());

    bed.federation
        .merge(&path, json!({"metadata": {"annotations": {"federation.alpha.kubernetes.io/cluster-selector": "nonsense"}}}))
        .await;
    bed.federation
        .until("/api/v1/namespaces/demo/events", |events| events.is_some_and(|e| e.to_string().contains("InvalidPlacement")))
        .await;
    assert!(bed.rohan.get(&path).await.is_some());

    bed.federation
        .merge(&path, json!({"metadata": {"annotations": {"federation.alpha.kubernetes.io/cluster-selector": select("gondor")}}}))
        .await;
    bed.gondor.until_there(&path).await;
    bed.rohan.until_gone(&path).await;

    // A Cluster's label counts as well, which v1 did not notice.
    bed.federation.merge(&format!("{CLUSTERS}/rohan"), json!({"metadata": {"labels": {"name": "gondor"}}})).await;
    bed.rohan.until_there(&path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_left_alone_until_told_otherwise() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    let mut foreign = config_map("ring");
    foreign["data"] = json!({"ring": "isildur"});
    bed.gondor.create(MAPS, foreign).await;
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.rohan.until_there(&path).await;
    bed.federation.until("/api/v1/namespaces/demo/events", |events| events.is_some_and(|e| e.to_string().contains("\"Conflict\""))).await;
    assert_eq!(bed.gondor.get(&path).await.unwrap()["data"]["ring"], "isildur");

    bed.federation.merge(&path, json!({"metadata": {"annotations": {"federation.kubernetes.io/conflict": "adopt"}}})).await;
    bed.gondor.until(&path, |c| c.is_some_and(|c| c["data"]["ring"] == "one")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_taken_once_whoever_had_it_is_gone() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    bed.gondor.create(MAPS, config_map("ring")).await;
    let made = bed.federation.create(MAPS, config_map("ring")).await;
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    bed.federation.until(&record, |r| r.is_some_and(|r| r["spec"]["clusters"]["gondor"]["state"] == "Conflict")).await;
    bed.gondor.delete(&path, None).await;
    let ours = |c: &serde_json::Value| c["metadata"]["annotations"]["federation.kubernetes.io/source-uid"] == made["metadata"]["uid"];
    bed.gondor.until(&path, |c| c.is_some_and(ours)).await;
    bed.federation.until(&record, |r| r.is_some_and(|r| r["spec"]["clusters"]["gondor"]["state"] == "Applied")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_divided_and_their_status_summed() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let preferences = json!({"clusters": {"gondor": {"weight": 1}, "rohan": {"weight": 2}}});
    bed.federation.create(DEPLOYMENTS, deployment("web", 9, &preferences)).await;
    let path = format!("{DEPLOYMENTS}/web");
    bed.gondor.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"] == 3)).await;
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"] == 6)).await;

    let available = |status: &str, reason: &str| json!([{"type": "Available", "status": status, "reason": reason}]);
    for (member, replicas) in [(&bed.gondor, 3), (&bed.rohan, 6)] {
        let mut status = json!({"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas, "observedGeneration": 1});
        status["conditions"] = available("True", "MinimumReplicasAvailable");
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    }
    bed.federation.until(&path, |d| d.is_some_and(|d| d["status"]["readyReplicas"] == 9 && d["status"]["observedGeneration"] == 1)).await;
    assert_eq!(bed.gondor.get(&path).await.unwrap()["spec"]["replicas"], 3);

    // What `kubectl wait --for=condition=Available` reads is as good as the worst copy.
    let is =
        |status: &'static str| move |d: Option<&serde_json::Value>| d.is_some_and(|d| d["status"]["conditions"][0]["status"] == status);
    bed.federation.until(&path, is("True")).await;
    let down = json!({"status": {"conditions": available("False", "MinimumReplicasUnavailable")}});
    bed.rohan.merge(&format!("{path}/status"), down).await;
    bed.federation.until(&path, is("False")).await;
    let told = bed.federation.get(&path).await.unwrap()["status"]["conditions"][0].clone();
    assert_eq!((&told["type"], &told["message"]), (&json!("Available"), &json!("MinimumReplicasUnavailable in rohan")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_writes_nothing() {
    let mut bed = Bed::start().await;
    bed.namespace().await;
    for n in 0..50 {
        bed.federation.create(MAPS, config_map(&format!("map-{n}"))).await;
    }
    bed.federation.create(DEPLOYMENTS, deployment("web", 9, &json!({"clusters": {"*": {"weight": 1}}}))).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until_there(&format!("{DEPLOYMENTS}/web")).await;
        member.until(MAPS, |list| list.is_some_and(|l| l["items"].as_array().unwrap().len() == 50)).await;
    }
    bed.until_recorded(52).await;
    bed.stop().await;
    // Meanwhile the members' own controllers write: each copy has another version now, and nothing of ours changed.
    for member in [&bed.gondor, &bed.rohan] {
        let status = json!({"replicas": 1, "readyReplicas": 1, "observedGeneration": 1});
        member.merge(&format!("{DEPLOYMENTS}/web/status"), json!({"status": status})).await;
        member.merge(&format!("{MAPS}/map-7"), json!({"metadata": {"annotations": {"local": "noted"}}})).await;
    }
    let before = (bed.gondor.writes(), bed.rohan.writes());
    assert!(before.0 >= 52, "{before:?}");
    bed.run();
    bed.has_settled(&[&bed.gondor, &bed.rohan]).await;
    assert_eq!((bed.gondor.writes(), bed.rohan.writes()), (before.0 + 2, before.1 + 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_keep_up_with_whoever_creates() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let start = Instant::now();
    for n in 0..500 {
        bed.federation.create(MAPS, config_map(&format!("map-{n}"))).await;
    }
    let created = start.elapsed();
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&format!("{MAPS}?limit=1000"), |list| list.is_some_and(|l| l["items"].as_array().unwrap().len() == 500)).await;
    }
    // The servers of this test are as busy as the controllers, so only the lag says something.
    let lag = start.elapsed() - created;
    assert!(lag < 3 * SOON, "{lag:?} after {created:?} of creating");
}
