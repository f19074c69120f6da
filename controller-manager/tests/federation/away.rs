//! A member that is away delays nobody, and catches up when it is back.

use std::time::Duration;

use serde_json::json;

use crate::bed::{Bed, DEPLOYMENTS, MAPS, RECORDS, config_map, deployment};

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
    bed.federation.until_gone(&record).await;
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
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(bed.gondor.get(&format!("{MAPS}/horn")).await.is_none());

    bed.gondor.cut(false);
    bed.gondor.until_there(&format!("{MAPS}/horn")).await;
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["spec"]["replicas"].as_i64().unwrap() < 6)).await;
}
