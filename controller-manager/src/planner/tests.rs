use proptest::prelude::*;

use super::*;

type Prefs<'a> = &'a [(&'a str, i64, Option<i64>, i64)];

fn preferences(rebalance: bool, clusters: Prefs<'_>) -> ReplicaPreferences {
    let clusters = clusters
        .iter()
        .map(|&(name, min_replicas, max_replicas, weight)| (name.to_owned(), ClusterPreferences { min_replicas, max_replicas, weight }))
        .collect();
    ReplicaPreferences { rebalance, clusters }
}

fn states(clusters: &[(&str, Option<i64>, Option<i64>)]) -> BTreeMap<String, ClusterState> {
    clusters.iter().map(|&(n, current, capacity)| (n.to_owned(), ClusterState { current, capacity })).collect()
}

fn empty(names: &[&str]) -> BTreeMap<String, ClusterState> {
    names.iter().map(|n| ((*n).to_owned(), ClusterState::default())).collect()
}

fn planned(plan: &BTreeMap<String, Share>) -> Vec<i64> {
    plan.values().map(|s| s.planned).collect()
}

const EVEN: Prefs<'static> = &[("*", 0, None, 1)];

#[test]
fn fnv1_is_v1s() {
    assert_eq!(fnv1(["c1", "demo/rs1"]), 3_219_007_583);
    assert_eq!(fnv1(["c2", "demo/rs1"]), 1_545_826_068);
}

#[test]
fn golden_values_of_v1() {
    let even = preferences(false, EVEN);
    assert_eq!(planned(&plan("", 50, &even, &empty(&["A", "B", "C"]))), [16, 17, 17]);
    assert_eq!(planned(&plan("", 1, &even, &empty(&["A", "B"]))), [0, 1]);
    assert_eq!(planned(&plan("", 1, &even, &empty(&["A", "B", "C", "D"]))), [0, 0, 0, 1]);
    let weighted = preferences(false, &[("A", 0, None, 1), ("B", 0, None, 2)]);
    assert_eq!(planned(&plan("", 60, &weighted, &empty(&["A", "B", "C"]))), [20, 40, 0]);
    let minimum = preferences(false, &[("*", 20, None, 0)]);
    assert_eq!(planned(&plan("", 50, &minimum, &empty(&["A", "B", "C"]))), [10, 20, 20]);
    let maximum = preferences(false, &[("*", 0, Some(2), 1)]);
    assert_eq!(planned(&plan("", 50, &maximum, &empty(&["A", "B", "C"]))), [2, 2, 2]);
    assert_eq!(planned(&plan("demo/rs1", 9, &even, &empty(&["c1", "c2"]))), [4, 5]);
}

#[test]
fn golden_values_with_running_replicas() {
    let even = preferences(false, EVEN);
    let running = states(&[("A", None, None), ("B", None, None), ("C", Some(30), None)]);
    assert_eq!(planned(&plan("", 50, &even, &running)), [10, 10, 30]);
    // Known wart of v1 (upstream issue 31816), kept.
    let both = states(&[("A", Some(10), None), ("B", Some(70), None)]);
    assert_eq!(planned(&plan("", 50, &even, &both)), [0, 50]);
}

#[test]
fn golden_values_with_capacity() {
    let clusters = states(&[("A", None, None), ("B", None, None), ("C", None, Some(10))]);
    let plan = plan("", 50, &preferences(true, EVEN), &clusters);
    assert_eq!(planned(&plan), [20, 20, 10]);
    assert_eq!(plan["C"].overflow, 7);
    assert_eq!(plan["C"].reasons, ["capacity 10", "10 by weight 1", "7 beyond its capacity"]);
}

#[test]
fn a_cluster_without_preference_says_so() {
    let plan = plan("", 3, &preferences(false, &[("A", 0, None, 1)]), &empty(&["A", "B"]));
    assert_eq!(plan["B"], Share { planned: 0, overflow: 0, reasons: vec!["no preference names this cluster".into()] });
    assert_eq!(plan["A"].reasons, ["3 by weight 1"]);
}

#[test]
fn weights_near_the_limit_do_not_overflow() {
    let huge = preferences(true, &[("*", 0, None, i64::MAX)]);
    assert_eq!(planned(&plan("", i64::MAX, &huge, &empty(&["A", "B"]))).iter().sum::<i64>(), i64::MAX);
}

fn any_case() -> impl Strategy<Value = (i64, ReplicaPreferences, BTreeMap<String, ClusterState>)> {
    let cluster = (
        0i64..20,
        proptest::option::of(0i64..60),
        0i64..6,
        proptest::option::of(0i64..50),
        proptest::option::of(0i64..50),
        prop::bool::weighted(0.8),
    );
    (0i64..200, any::<bool>(), proptest::collection::vec(cluster, 1..7)).prop_map(|(replicas, rebalance, list)| {
        let mut prefs = ReplicaPreferences { rebalance, clusters: BTreeMap::new() };
        let mut states = BTreeMap::new();
        for (i, (min, max, weight, current, capacity, preferred)) in list.into_iter().enumerate() {
            let name = format!("c{i}");
            if preferred {
                let max_replicas = max.map(|m| m.max(min));
                prefs.clusters.insert(name.clone(), ClusterPreferences { min_replicas: min, max_replicas, weight });
            }
            states.insert(name, ClusterState { current, capacity });
        }
        (replicas, prefs, states)
    })
}

proptest! {
    #[test]
    fn plans_keep_their_promises((replicas, prefs, clusters) in any_case()) {
        let answer = plan("demo/web", replicas, &prefs, &clusters);
        prop_assert_eq!(&answer, &plan("demo/web", replicas, &prefs, &clusters));
        prop_assert_eq!(answer.len(), clusters.len());
        let sum: i64 = answer.values().map(|s| s.planned).sum();
        prop_assert!(sum <= replicas);

        let mut open = false;
        let mut short_of_minimum = false;
        for (name, share) in &answer {
            let Some(p) = prefs.for_cluster(name) else {
                prop_assert_eq!(share.replicas(), 0);
                continue;
            };
            let capacity = clusters[name].capacity.unwrap_or(i64::MAX);
            prop_assert!(share.planned >= 0 && share.overflow >= 0);
            prop_assert!(share.planned <= p.max_replicas.unwrap_or(i64::MAX));
            prop_assert!(share.planned <= capacity);
            short_of_minimum |= share.planned < p.min_replicas.min(capacity);
            open |= p.weight > 0 && share.planned < p.max_replicas.unwrap_or(i64::MAX).min(capacity);
        }
        // Replicas are left over only when no cluster may take one more; minima are missed only when all are used up.
        prop_assert!(sum == replicas || !open, "{} of {} placed", sum, replicas);
        prop_assert!(!short_of_minimum || sum == replicas);
    }
}
