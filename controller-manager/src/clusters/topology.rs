//! Zones and region of a member, from its nodes' labels.

use std::{collections::BTreeSet, time::Duration};

use federation_api::keys;
use http::StatusCode;
use serde_json::Value;

use crate::members::request::Call;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a member's nodes are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Topology {
    pub(crate) zones: Vec<String>,
    pub(crate) region: String,
}

/// Reads the nodes; nothing when that failed or there are none, so that what was known stays.
pub(crate) async fn read(client: &kube::Client) -> Option<Topology> {
    let reply = Call::get("/api/v1/nodes").send(client, TIMEOUT).await.ok()?;
    if reply.status != StatusCode::OK {
        return None;
    }
    topology(&serde_json::from_slice(&reply.body).ok()?)
}

/// v1 gave up when one node had no label; here the labels that are there count. The region is that of the
/// first node by name that has one.
fn topology(list: &Value) -> Option<Topology> {
    let mut nodes: Vec<&Value> = list["items"].as_array()?.iter().collect();
    if nodes.is_empty() {
        return None;
    }
    nodes.sort_by_key(|n| n["metadata"]["name"].as_str().unwrap_or_default());
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
        let list = json!({"items": [
            node("c", json!({"failure-domain.beta.kubernetes.io/zone": "west-b", "failure-domain.beta.kubernetes.io/region": "old"})),
            node("a", json!({"topology.kubernetes.io/zone": "west-b", "failure-domain.beta.kubernetes.io/zone": "x", "topology.kubernetes.io/region": "west"})),
            node("b", json!({"topology.kubernetes.io/zone": "west-a"})),
            node("d", json!({})),
        ]});
        assert_eq!(topology(&list), Some(Topology { zones: vec!["west-a".into(), "west-b".into()], region: "west".into() }));
    }

    #[test]
    fn no_nodes_say_nothing() {
        assert_eq!(topology(&json!({"items": []})), None);
        assert_eq!(topology(&json!({"items": [node("a", json!({}))]})), Some(Topology::default()));
    }
}
