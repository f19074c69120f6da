//! v1's replica preferences: `{"rebalance": bool, "clusters": {"<name>"|"*": {...}}}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How replicas are divided among clusters.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ReplicaPreferences {
    /// Move running replicas to reach the wanted division.
    pub rebalance: bool,
    /// Preferences by cluster name; `*` is for clusters without an entry of their own.
    pub clusters: BTreeMap<String, ClusterPreferences>,
}

/// Preferences for one cluster.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPreferences {
    /// At least so many replicas, as far as there are enough.
    pub min_replicas: i64,
    /// At most so many; absent is without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i64>,
    /// Share of what is left after the minima.
    pub weight: i64,
}

impl Default for ReplicaPreferences {
    /// v1's default: all clusters alike, no rebalancing.
    fn default() -> Self {
        let even = ClusterPreferences { weight: 1, ..Default::default() };
        Self { rebalance: false, clusters: BTreeMap::from([("*".to_owned(), even)]) }
    }
}

impl ReplicaPreferences {
    /// Parses an annotation value. Keys are matched without regard to case, as v1's JSON decoder did.
    pub fn parse(annotation: &str) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_str(annotation)?;
        let known = ["rebalance", "clusters"];
        let mut top = fold_keys(value, &known);
        if let Some(Value::Object(clusters)) = top.get_mut("clusters") {
            for entry in clusters.values_mut() {
                *entry = fold_keys(entry.take(), &["minReplicas", "maxReplicas", "weight"]);
            }
        }
        serde_json::from_value(top)
    }

    /// The preferences that hold for one cluster, if any.
    pub fn for_cluster(&self, name: &str) -> Option<&ClusterPreferences> {
        self.clusters.get(name).or_else(|| self.clusters.get("*"))
    }
}

/// Renames keys that match a known one but for case.
fn fold_keys(value: Value, known: &[&str]) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(k, v)| (known.iter().find(|n| n.eq_ignore_ascii_case(&k)).map_or(k, |n| (*n).to_owned()), v)).collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_matched_without_case() {
        let p = ReplicaPreferences::parse(r#"{"Rebalance":true,"CLUSTERS":{"gondor":{"minreplicas":2,"Weight":3}}}"#).unwrap();
        assert!(p.rebalance);
        assert_eq!(p.for_cluster("gondor"), Some(&ClusterPreferences { min_replicas: 2, max_replicas: None, weight: 3 }));
        assert_eq!(p.for_cluster("rohan"), None);
    }

    #[test]
    fn the_default_is_even() {
        assert_eq!(ReplicaPreferences::default().for_cluster("any").map(|p| p.weight), Some(1));
    }
}
