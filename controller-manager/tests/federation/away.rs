//! A member that is away delays nobody, and catches up when it is back.

use std::time::Duration;

use serde_json::json;

use crate::bed::{Bed, DEPLOYMENTS, MAPS, RECORDS, SOON, config, config_map, deployment, is_a_memory};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_leaves_a_tombstone_that_survives_a_restart() {
    let mut bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{MAPS}/ring");
    let made = bed.federation.create(MAPS, config_map("ring")).await;
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    bed.gondor.cut(true);
    bed.until_cluster("gondor", "Offline").await;

    bed.federation.delete(&path, Some("Background")).await;
    bed.federation.until_gone(&path).await;
    bed.rohan.until_gone(&path).await;
    bed.federation.until(&record, |r| r.is_some_and(|r| r["spec"]["clusters"]["gondor"]["state"] == "Deleting")).await;
    bed.stop().await;
    bed.run();
    bed.until_cluster("gondor", "Offline").await;
    assert!(bed.gondor.get(&path).await.is_some());
    bed.gondor.cut(false);
    bed.gondor.until_gone(&path).await;
    bed.federation.until(&record, is_a_memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_move_and_news_arrive_later() {
    let bed = Bed::start().await;
    bed.namespace().await;
    bed.federation.create(DEPLOYMENTS, deployment("web", 9, &json!({"rebalance": true, "clusters": {"*": {"weight": 1}}}))).await;
    let path = format!("{DEPLOYMENTS}/web");
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    bed.gondor.cut(true);
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"] == 9)).await;

    // A hanging member does not delay the other.
    bed.federation.create(MAPS, config_map("horn")).await;
    let took = bed.rohan.until_there(&format!("{MAPS}/horn")).await;
    assert!(took < SOON, "{took:?}");
    assert!(bed.gondor.get(&format!("{MAPS}/horn")).await.is_none());

    bed.gondor.cut(false);
    bed.gondor.until_there(&format!("{MAPS}/horn")).await;
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"].as_i64().unwrap() < 6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_member_back_does_not_get_all_replicas() {
    let mut config = config();
    config.monitor.loss_delay = Duration::from_secs(4);
    let mut bed = Bed::start_with(config).await;
    bed.namespace().await;
    let path = format!("{DEPLOYMENTS}/web");
    let divided = |d: Option<&serde_json::Value>| d.is_some_and(|d| (4..=5).contains(&d["spec"]["replicas"].as_i64().unwrap()));
    let web = |name| deployment(name, 9, &json!({"clusters": {"*": {"weight": 1}}}));
    let all_are_cut = async |bed: &Bed| {
        bed.gondor.cut(true);
        bed.rohan.cut(true);
        bed.until_cluster("gondor", "Offline").await;
        bed.until_cluster("rohan", "Offline").await;
    };
    let nothing_is_divided_before_rohan_is_back = async |bed: &Bed, path: &str| {
        bed.until_cluster("gondor", "Ready").await;
        bed.has_settled(&[&bed.gondor]).await;
        assert_eq!(bed.gondor.get(path).await, None);
        bed.rohan.cut(false);
        bed.gondor.until(path, divided).await;
        bed.rohan.until(path, divided).await;
    };

    // What runs is told as long as members count.
    let seed = format!("{DEPLOYMENTS}/seed");
    bed.federation.create(DEPLOYMENTS, web("seed")).await;
    bed.gondor.until(&seed, divided).await;
    bed.gondor.merge(&format!("{seed}/status"), json!({"status": {"replicas": 1}})).await;
    let told = |n: i64| move |d: Option<&serde_json::Value>| d.is_some_and(|d| d["status"]["replicas"].as_i64().unwrap_or_default() == n);
    bed.federation.until(&seed, told(1)).await;

    // A total outage, longer than lost members count.
    all_are_cut(&bed).await;
    bed.federation.until(&seed, told(0)).await;
    bed.federation.create(DEPLOYMENTS, web("web")).await;
    bed.gondor.cut(false);
    nothing_is_divided_before_rohan_is_back(&bed, &path).await;

    // A start in which one member answers later. It was offline when last written about.
    all_are_cut(&bed).await;
    bed.stop().await;
    let path = format!("{DEPLOYMENTS}/late");
    bed.federation.create(DEPLOYMENTS, web("late")).await;
    bed.gondor.cut(false);
    bed.run();
    nothing_is_divided_before_rohan_is_back(&bed, &path).await;

    // Who stays away is not waited for for ever.
    bed.rohan.cut(true);
    bed.until_cluster("rohan", "Offline").await;
    let path = format!("{DEPLOYMENTS}/alone");
    bed.federation.create(DEPLOYMENTS, web("alone")).await;
    bed.gondor.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"] == 9)).await;
}
