//! Autoscalers: their bounds are divided among the clusters, and what they scale is theirs in each cluster.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    brain::Brain,
    desired::{Split, wanted_replicas},
    entry::{Key, Tracked},
};
use crate::{
    kinds::{AUTOSCALER, Family, KINDS, ObjectKey},
    placement::Placement,
    planner::{ClusterState, plan},
};
use federation_api::preferences::ReplicaPreferences;

impl Brain {
    /// Bounds of an autoscaler in each cluster, as its target prefers them. Clusters without a share have none.
    pub(super) fn split_autoscaler(
        &self,
        key: &Key,
        object: &DynamicObject,
        states: &BTreeMap<String, ClusterState>,
        selected: &mut BTreeSet<String>,
    ) -> BTreeMap<String, Split> {
        let target = target_of(key, object).and_then(|target| {
            let object = self.entries.get(&target)?.live.as_ref()?.object.clone()?;
            Placement::parse(target.kind(), object.metadata.annotations.as_ref()?).ok()
        });
        let preferences = target.map_or_else(ReplicaPreferences::default, |placement| placement.preferences);
        let minimum = object.data.pointer("/spec/minReplicas").and_then(Value::as_i64).unwrap_or(1).max(0);
        let splits = bounds(&key.full_name(), minimum, wanted_replicas(key.kind(), object), &preferences, states);
        selected.retain(|cluster| splits.contains_key(cluster) || !states.contains_key(cluster));
        splits
    }

    /// Shares of a workload that an autoscaler scales; nothing when none does. Where an autoscaler is, it decides.
    pub(super) fn split_scaled(&self, key: &Key, states: &BTreeMap<String, ClusterState>) -> Option<BTreeMap<String, Split>> {
        let scaler = self.autoscalers(&key.namespace).find(|scaler| {
            let object = scaler.object.as_ref().filter(|_| !scaler.is_deleting());
            object.is_some_and(|object| target_of(key, object).as_ref() == Some(&**key))
        })?;
        // What it is divided into is not known yet: then nothing changes.
        let seen = |cluster: &str| self.clusters.get(cluster)?.seen.get(key)?.workload.as_deref();
        let split = |cluster: &String| match (scaler.divided.get(cluster), seen(cluster)) {
            (None, Some(workload)) if scaler.divided.is_empty() => {
                Split { replicas: workload.replicas, scaled: workload.scaled, ..Split::default() }
            }
            (None, _) => Split::default(),
            (Some(bounds), workload) => {
                let least = bounds.minimum.unwrap_or(1).max(1);
                // An autoscaler does nothing about what has no replicas.
                let running = workload.map_or(0, |w| w.replicas);
                let scaled = workload.is_some_and(|w| w.scaled && w.replicas > 0);
                Split { replicas: if scaled { 0 } else { running.clamp(least, bounds.replicas.max(least)) }, scaled, ..Split::default() }
            }
        };
        Some(states.keys().map(|cluster| (cluster.clone(), split(cluster))).collect())
    }

    /// The division of an object was decided: what an autoscaler scales is divided by it.
    pub(super) fn divided(&mut self, key: &Key, live: &mut Tracked, splits: &BTreeMap<String, Split>) {
        if key.kind == AUTOSCALER && live.divided != *splits {
            live.divided.clone_from(splits);
            self.enqueue_target(key, live.object.clone().as_deref());
        }
    }

    /// Looks at what an autoscaler scales.
    pub(super) fn enqueue_target(&mut self, key: &Key, object: Option<&DynamicObject>) {
        let target = object.filter(|_| key.kind == AUTOSCALER).and_then(|object| target_of(key, object));
        if let Some((target, _)) = target.and_then(|target| self.entries.get_key_value(&target)) {
            let target = target.clone();
            self.enqueue(&target);
        }
    }

    fn autoscalers<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Tracked> {
        let first = ObjectKey { kind: AUTOSCALER, namespace: namespace.to_owned(), name: String::new() };
        let keys = self.by_namespace.get(namespace).into_iter().flat_map(move |keys| keys.range(std::sync::Arc::new(first.clone())..));
        keys.take_while(|k| k.kind == AUTOSCALER).filter_map(|k| self.entries.get(k)?.live.as_ref())
    }
}

/// What an autoscaler scales, if that is of a kind whose replicas are divided.
fn target_of(key: &Key, object: &DynamicObject) -> Option<ObjectKey> {
    let target = object.data.pointer("/spec/scaleTargetRef")?;
    let group = target["apiVersion"].as_str()?.split_once('/')?.0;
    let kind = KINDS.iter().position(|k| matches!(k.family, Family::Replicated(_)) && k.group == group && target["kind"] == k.kind)?;
    Some(ObjectKey { kind, namespace: key.namespace.clone(), name: target["name"].as_str()?.to_owned() })
}

/// Divides the bounds of an autoscaler. v1's rules: who may have replicas at all has at least one, so the minima may
/// add up to more than was asked for; who may have none has no autoscaler.
fn bounds(
    name: &str,
    minimum: i64,
    maximum: i64,
    preferences: &ReplicaPreferences,
    states: &BTreeMap<String, ClusterState>,
) -> BTreeMap<String, Split> {
    let most = plan(name, maximum, preferences, states);
    let least = plan(name, minimum, preferences, states);
    let shares = most.into_iter().filter(|(_, share)| share.replicas() > 0);
    shares
        .map(|(cluster, share)| {
            let maximum = share.replicas();
            let own = least.get(&cluster).map_or(0, crate::planner::Share::replicas);
            let minimum = if minimum == 0 { 0 } else { own.clamp(1, maximum) };
            (cluster, Split { replicas: maximum, minimum: Some(minimum), ..Split::default() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use federation_api::preferences::ClusterPreferences;

    use super::*;

    fn divide(minimum: i64, maximum: i64, preferences: &ReplicaPreferences) -> Vec<(i64, i64)> {
        let states = ["gondor", "rohan"].map(|name| (name.to_owned(), ClusterState::default())).into();
        let all = bounds("demo/web", minimum, maximum, preferences, &states);
        ["gondor", "rohan"].map(|name| all.get(name).map_or((0, 0), |s| (s.minimum.unwrap_or(-1), s.replicas))).into()
    }

    #[test]
    fn issue7_case_x11_the_bounds_of_an_autoscaler_are_divided() {
        let even = ReplicaPreferences::default();
        assert_eq!(divide(2, 10, &even), [(1, 5), (1, 5)]);
        assert_eq!(divide(1, 4, &even), [(1, 2), (1, 2)]);
        assert_eq!(divide(0, 4, &even), [(0, 2), (0, 2)]);
        // One replica at most: one cluster has it.
        assert_eq!(divide(1, 1, &even).into_iter().map(|(_, most)| most).sum::<i64>(), 1);
        let weight = |weight| ClusterPreferences { weight, ..ClusterPreferences::default() };
        let uneven = ReplicaPreferences { clusters: [("gondor".to_owned(), weight(3)), ("rohan".to_owned(), weight(1))].into(), ..even };
        assert_eq!(divide(4, 8, &uneven), [(3, 6), (1, 2)]);
    }
}
