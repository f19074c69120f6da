//! Autoscalers: their bounds are divided among the clusters, and what they scale is theirs in each cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    controller::Controller,
    desired::{Split, wanted_replicas},
    effect::Effect,
    entry::{Key, Tracked},
    reconcile::Pass,
    timers::Timer,
};
use crate::{
    kinds::{AUTOSCALER, Family, KINDS, ObjectKey},
    observed::Workload,
    placement::Placement,
    planner::{
        ClusterState,
        bounds::{Bounds, ScalerState, divide},
        plan,
    },
};
use federation_api::preferences::ReplicaPreferences;

impl Pass<'_> {
    /// Bounds of an autoscaler in each cluster that counts: as its target prefers them, or, when that has no preferences,
    /// as the load does. Members without a share get none of it, and leave `selected`.
    pub(super) fn split_autoscaler(
        &mut self,
        live: &mut Tracked,
        states: &BTreeMap<String, ClusterState>,
        selected: &mut BTreeSet<String>,
    ) -> BTreeMap<String, Split> {
        let key = self.key;
        let Some(object) = live.tree() else { return BTreeMap::new() };
        let preferences = target_of(key, &object).and_then(|target| {
            let object = self.world.objects.get(&target)?.live.as_ref()?.tree()?;
            let annotations = object.metadata.annotations.as_ref()?;
            annotations.get(target.kind().preferences?)?;
            Some(Placement::parse(target.kind(), annotations).ok()?.preferences)
        });
        let wanted = Bounds { min: minimum(&object), max: wanted_replicas(key.kind(), &object) };
        let splits = match preferences {
            Some(preferences) => bounds(&key.full_name(), wanted.min, wanted.max, &preferences, states),
            None => self.move_bounds(live, wanted, states),
        };
        selected.retain(|cluster| splits.get(cluster).is_none_or(|split| split.replicas > 0));
        splits
    }

    /// Divides bounds as the load asks for it, from how they are divided now.
    fn move_bounds(&mut self, live: &mut Tracked, wanted: Bounds, states: &BTreeMap<String, ClusterState>) -> BTreeMap<String, Split> {
        let (now, window) = (self.world.time, self.world.settings.scale_window);
        let mut again: Option<Timestamp> = None;
        let mut scalers = BTreeMap::new();
        for cluster in states.keys() {
            let seen = self.copy_seen(cluster, &live.uid).filter(|seen| !seen.deleting);
            let scaler = seen.and_then(|seen| seen.workload.as_ref()?.scaler.as_deref());
            // What was decided last may not be written there yet.
            let given = live.divided.get(cluster).map(|split| Bounds { min: split.minimum.unwrap_or(1), max: split.replicas });
            let bounds = given.or(scaler.map(|scaler| scaler.bounds));
            let (state, end) = match (scaler, bounds) {
                (Some(scaler), Some(bounds)) => scaler.state(bounds, now, window),
                (_, bounds) => (ScalerState { bounds, ..ScalerState::default() }, None),
            };
            again = [again, end].into_iter().flatten().min();
            scalers.insert(cluster.clone(), state);
        }
        if let Some(at) = again
            && live.alarm.is_none_or(|(planned, rings)| planned != at || rings <= self.world.now)
        {
            let rest = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            live.alarm = Some((at, self.world.now + rest));
            self.later(rest, Timer::Key(self.key.clone()));
        }
        let split = |Bounds { min, max }| Split { replicas: max, minimum: Some(min), ..Split::default() };
        divide(&self.key.full_name(), wanted, &scalers).into_iter().map(|(cluster, bounds)| (cluster, split(bounds))).collect()
    }

    /// Shares of a workload that an autoscaler scales; nothing when none does. Where an autoscaler is, it decides. As
    /// in any cluster, a workload that is told to have no replicas has none: an autoscaler leaves it alone.
    pub(super) fn split_scaled(&self, wanted: i64, states: &BTreeMap<String, ClusterState>) -> Option<BTreeMap<String, Split>> {
        let key = self.key;
        let scales = |object: &DynamicObject| target_of(key, object).as_ref() == Some(&**key);
        let (scaler, object) = self
            .autoscalers(&key.namespace)
            .filter_map(|scaler| Some((scaler, scaler.tree().filter(|_| !scaler.is_deleting())?)))
            .find(|(_, object)| scales(object))?;
        if wanted == 0 && minimum(&object) != 0 {
            return None;
        }
        let seen = |cluster: &str| self.seen.get(cluster)?.workload.as_deref();
        Some(states.keys().map(|cluster| (cluster.clone(), share(scaler.divided.get(cluster), seen(cluster)))).collect())
    }

    /// The division of an object was decided: what an autoscaler scales is divided by it.
    pub(super) fn divided(&mut self, live: &mut Tracked, splits: &BTreeMap<String, Split>) {
        if self.key.kind == AUTOSCALER && live.divided != *splits {
            live.divided.clone_from(splits);
            let target = live.tree().and_then(|object| target_of(self.key, &object));
            self.effects.extend(target.map(Effect::Look));
        }
    }

    fn autoscalers(&self, namespace: &str) -> impl Iterator<Item = &Tracked> {
        self.world.objects.of_kind_in(AUTOSCALER, namespace).filter_map(|(_, entry)| entry.live.as_deref())
    }
}

impl Controller {
    /// Looks at what an autoscaler scales.
    pub(super) fn enqueue_target(&mut self, key: &Key, object: Option<&DynamicObject>) {
        let target = object.filter(|_| key.kind == AUTOSCALER).and_then(|object| target_of(key, object));
        if let Some(target) = target {
            self.objects.enqueue(&target);
        }
    }
}

/// What an autoscaler scales, if that is of a kind whose replicas are divided.
fn target_of(key: &Key, object: &DynamicObject) -> Option<ObjectKey> {
    let target = object.data.pointer("/spec/scaleTargetRef")?;
    let group = target["apiVersion"].as_str()?.split_once('/')?.0;
    let kind = KINDS.iter().position(|k| matches!(k.family, Family::Replicated) && k.group == group && target["kind"] == k.kind)?;
    Some(ObjectKey { kind, namespace: key.namespace.clone(), name: target["name"].as_str()?.to_owned() })
}

/// The least number of replicas an autoscaler keeps.
fn minimum(scaler: &DynamicObject) -> i64 {
    scaler.data.pointer("/spec/minReplicas").and_then(Value::as_i64).unwrap_or(1).max(0)
}

/// What a cluster has of a workload that is scaled, given the bounds of the autoscaler there. Where the autoscaler has
/// no bounds yet, or did not count the cluster, what runs goes on: that nobody scales it is no reason to end it.
fn share(bounds: Option<&Split>, workload: Option<&Workload>) -> Split {
    let running = workload.map_or(0, |w| w.replicas);
    // An autoscaler does nothing about what has no replicas.
    let scaled = workload.is_some_and(|w| w.scaled && w.replicas > 0);
    let own = |replicas: i64| Split { replicas: if scaled { 0 } else { replicas }, scaled, ..Split::default() };
    match bounds {
        None => own(running),
        Some(bounds) if bounds.replicas == 0 => Split::default(),
        Some(bounds) => {
            let least = bounds.minimum.unwrap_or(1).max(1);
            own(running.clamp(least, bounds.replicas.max(least)))
        }
    }
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
    most.into_iter()
        .map(|(cluster, share)| {
            let maximum = share.replicas();
            let own = least.get(&cluster).map_or(0, crate::planner::Share::replicas);
            let minimum = if minimum == 0 || maximum == 0 { 0 } else { own.clamp(1, maximum) };
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
        ["gondor", "rohan"].map(|name| (all[name].minimum.unwrap_or(-1), all[name].replicas)).into()
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

    #[test]
    fn a_cluster_the_autoscaler_did_not_count_keeps_what_runs() {
        let workload = |replicas, scaled| Workload { replicas, scaled, ..Workload::default() };
        assert_eq!(share(None, Some(&workload(3, false))).replicas, 3);
        assert!(share(None, Some(&workload(3, true))).scaled, "whoever scales there goes on");
        assert_eq!(share(None, None), Split::default());
        let bounds = |minimum, replicas| Split { replicas, minimum: Some(minimum), ..Split::default() };
        assert_eq!(share(Some(&bounds(0, 0)), Some(&workload(3, true))), Split::default(), "it has no share");
        assert_eq!(share(Some(&bounds(2, 5)), Some(&workload(9, false))).replicas, 5);
        assert_eq!(share(Some(&bounds(2, 5)), None).replicas, 2);
    }
}
