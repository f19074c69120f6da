//! Which clusters count as ready: those that let the federation in, and each but once.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::bed::*;

fn condition<'a>(cluster: Option<&'a Value>, type_: &str) -> Option<&'a Value> {
    cluster?["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == type_)
}

/// Waits until a Cluster is not ready for this reason, and an Event says so.
async fn until_not_ready(bed: &Bed, name: &str, reason: &str) {
    let of_reason = |c: Option<&Value>| condition(c, "Ready").is_some_and(|c| c["status"] == "False" && c["reason"] == reason);
    bed.federation.until(&format!("{CLUSTERS}/{name}"), of_reason).await;
    let told = |list: Option<&Value>| {
        let mut events = list.and_then(|l| l["items"].as_array()).into_iter().flatten();
        events.any(|e| e["reason"] == reason && e["involvedObject"]["name"] == name && e["type"] == "Warning")
    };
    bed.federation.until("/api/v1/namespaces/default/events", told).await;
}

#[tokio::test]
async fn d16_the_same_cluster_under_a_second_name_is_not_ready_and_gets_nothing() {
    let bed = Bed::start().await;
    let of = |cluster: &Value| cluster["metadata"]["annotations"]["federation.kubernetes.io/cluster-uid"].as_str().map(str::to_owned);
    bed.federation.until(&format!("{CLUSTERS}/gondor"), |c| c.is_some_and(|c| of(c).is_some())).await;
    let noted = of(&bed.federation.get(&format!("{CLUSTERS}/gondor")).await.unwrap());
    let namespace = bed.gondor.get("/api/v1/namespaces/kube-system").await.unwrap();
    assert_eq!(noted.as_deref(), namespace["metadata"]["uid"].as_str(), "what nobody noted at the join is noted");

    bed.federation.create(CLUSTERS, cluster("twin")).await;
    until_not_ready(&bed, "twin", "SameClusterAs").await;
    assert_eq!(of(&bed.federation.get(&format!("{CLUSTERS}/twin")).await.unwrap()), None);
    bed.namespace().await;
    let made = bed.federation.create(MAPS, config_map("ring")).await;
    let applied = |record: &Value, name: &str| record["spec"]["clusters"][name]["state"] == "Applied";
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    bed.federation.until(&record, |r| r.is_some_and(|r| applied(r, "gondor") && applied(r, "rohan"))).await;
    let placed = bed.federation.get(&record).await.unwrap();
    assert!(placed["spec"]["clusters"]["twin"]["applied"].as_str().unwrap_or_default().is_empty(), "{placed}");
    assert_eq!(bed.twin.writes(), 0, "nothing is written under the second name");

    // It would be the only name of that cluster from here on.
    bed.federation.delete(&format!("{CLUSTERS}/twin"), Some("Background")).await;
    bed.federation.until_gone(&format!("{CLUSTERS}/twin")).await;
    // The address of gondor leads to another cluster than was joined.
    let other = json!({"metadata": {"annotations": {"federation.kubernetes.io/cluster-uid": "another"}}});
    bed.federation.merge(&format!("{CLUSTERS}/gondor"), other).await;
    until_not_ready(&bed, "gondor", "AnotherCluster").await;
    let writes = bed.gondor.writes();
    let made = bed.federation.create(MAPS, config_map("palantir")).await;
    let record = format!("{RECORDS}/{}", made["metadata"]["uid"].as_str().unwrap());
    bed.federation.until(&record, |r| r.is_some_and(|r| applied(r, "rohan"))).await;
    assert_eq!(bed.gondor.get(&format!("{MAPS}/palantir")).await, None);
    assert_eq!((bed.gondor.writes(), bed.twin.writes()), (writes, 0), "nothing is written to another cluster");
}

#[tokio::test]
async fn issue7_case_w1_a_member_that_refuses_the_credentials_is_not_ready_though_it_is_healthy() {
    let bed = Bed::start().await;
    bed.gondor.link.locked.store(true, Ordering::SeqCst);
    until_not_ready(&bed, "gondor", "Unauthorized").await;
    let cluster = bed.federation.get(&format!("{CLUSTERS}/gondor")).await;
    assert_eq!(condition(cluster.as_ref(), "Offline").unwrap()["status"], "False", "it is reached");
    bed.gondor.link.locked.store(false, Ordering::SeqCst);
    bed.until_cluster("gondor", "Ready").await;
}

#[tokio::test]
async fn d18_a_member_whose_nodes_lose_their_labels_stays_where_it_was() {
    const NODES: &str = "/api/v1/nodes";
    let mut config = config();
    config.monitor.topology_period = std::time::Duration::from_millis(100);
    let mut bed = Bed::new(config).await;
    let labels = |zone: Value, region: Value| json!({"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": region});
    let node =
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "osgiliath", "labels": labels("east".into(), "anduin".into())}});
    bed.gondor.create(NODES, node).await;
    bed.run();
    let path = format!("{CLUSTERS}/gondor");
    let is_in = |cluster: &Value, zone: &str| cluster["status"]["zones"] == json!([zone]) && cluster["status"]["region"] == "anduin";
    bed.federation.until(&path, |c| c.is_some_and(|c| is_in(c, "east"))).await;

    let node = format!("{NODES}/osgiliath");
    bed.gondor.merge(&node, json!({"metadata": {"labels": labels(Value::Null, Value::Null)}})).await;
    let told = |list: Option<&Value>| {
        let mut events = list.and_then(|l| l["items"].as_array()).into_iter().flatten();
        events.any(|e| e["reason"] == "TopologyLabelsLost" && e["involvedObject"]["name"] == "gondor" && e["type"] == "Warning")
    };
    bed.federation.until("/api/v1/namespaces/default/events", told).await;
    // The look that told it is the one that would have written it.
    bed.until_cluster("gondor", "Ready").await;
    assert!(is_in(&bed.federation.get(&path).await.unwrap(), "east"));
    // A label that says something else is a move.
    bed.gondor.merge(&node, json!({"metadata": {"labels": labels("west".into(), "anduin".into())}})).await;
    bed.federation.until(&path, |c| c.is_some_and(|c| is_in(c, "west"))).await;
}
