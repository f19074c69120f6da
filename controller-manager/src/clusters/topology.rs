//! Zones and region of a member, from its nodes' labels.

use std::{collections::BTreeSet, time::Duration};

use federation_api::keys;
use http::StatusCode;
use serde_json::{Value, json};

use crate::request::{Call, Pages};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a member's nodes are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Topology {
    pub(crate) zones: Vec<String>,
    pub(crate) region: String,
}

/// Reads the nodes; nothing when that failed or there are none, so that what was known stays.
pub(crate) async fn read(client: &kube::Client) -> Option<Topology> {
    let mut nodes = Vec::new();
    let mut pages = Pages::of("/api/v1/nodes?limit=500");
    while let Some(path) = pages.next() {
        let reply = Call::get(&path).send(client, TIMEOUT).await.ok()?;
        if reply.status != StatusCode::OK {
            return None;
        }
        let mut list: Value = serde_json::from_slice(&reply.body).ok()?;
        pages.read(&list).ok()?;
        nodes.extend(list["items"].as_array_mut()?.iter_mut().map(node));
    }
    topology(nodes)
}

/// What is needed of a node: the rest, images above all, is many times as large.
fn node(node: &mut Value) -> Value {
    json!({"metadata": {"name": node["metadata"]["name"].take(), "labels": node["metadata"]["labels"].take()}})
}

/// The reading, with what is known where it says nothing at all: labels that nobody set any more are no move.
/// And whether that was so.
pub(crate) fn kept(read: Topology, zones: &[String], region: &str) -> (Topology, bool) {
    let (no_zones, no_region) = (read.zones.is_empty() && !zones.is_empty(), read.region.is_empty() && !region.is_empty());
    let zones = if no_zones { zones.to_vec() } else { read.zones };
    let region = if no_region { region.to_owned() } else { read.region };
    (Topology { zones, region }, no_zones || no_region)
}

/// v1 gave up when one node had no label; here the labels that are there count. The region is that of the
/// first node by name that has one.
fn topology(mut nodes: Vec<Value>) -> Option<Topology> {
    if nodes.is_empty() {
        return None;
    }
    nodes.sort_by(|a, b| a["metadata"]["name"].as_str().cmp(&b["metadata"]["name"].as_str()));
    let label = |node: &Value, names: [&str; 2]| {
        let labels = &node["metadata"]["labels"];
        names.iter().find_map(|n| labels[*n].as_str()).filter(|v| !v.is_empty()).map(str::to_owned)
    };
    let zones: BTreeSet<String> = nodes.iter().filter_map(|n| label(n, [keys::ZONE_LABEL, keys::ZONE_LABEL_BETA])).collect();
    let region = nodes.iter().find_map(|n| label(n, [keys::REGION_LABEL, keys::REGION_LABEL_BETA])).unwrap_or_default();
    Some(Topology { zones: zones.into_iter().collect(), region })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the tables below")]
    fn node(name: &str, labels: Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}})
    }

    #[test]
    fn new_labels_win_over_beta_ones_and_zones_are_a_sorted_set() {
        let nodes = vec![
            node("c", json!({"failure-domain.beta.kubernetes.io/zone": "west-b", "failure-domain.beta.kubernetes.io/region": "old"})),
            node(
                "a",
                json!({"topology.kubernetes.io/zone": "west-b", "failure-domain.beta.kubernetes.io/zone": "x", "topology.kubernetes.io/region": "west"}),
            ),
            node("b", json!({"topology.kubernetes.io/zone": "west-a"})),
            node("d", json!({})),
        ];
        assert_eq!(topology(nodes), Some(Topology { zones: vec!["west-a".into(), "west-b".into()], region: "west".into() }));
    }

    #[test]
    fn no_nodes_say_nothing() {
        assert_eq!(topology(vec![]), None);
        assert_eq!(topology(vec![node("a", json!({}))]), Some(Topology::default()));
    }

    #[test]
    fn d18_labels_that_are_lost_move_nobody() {
        let known = (vec!["west-a".to_owned()], "west");
        let kept = |zones: &[&str], region: &str| {
            let read = Topology { zones: zones.iter().map(|z| (*z).to_owned()).collect(), region: region.into() };
            let (kept, lost) = kept(read, &known.0, known.1);
            (kept.zones.join(","), kept.region, lost)
        };
        assert_eq!(kept(&[], ""), ("west-a".into(), "west".into(), true));
        assert_eq!(kept(&["west-b"], ""), ("west-b".into(), "west".into(), true));
        assert_eq!(kept(&[], "east"), ("west-a".into(), "east".into(), true));
        assert_eq!(kept(&["east-a"], "east"), ("east-a".into(), "east".into(), false), "labels that say another place do");
    }
}
