//! v1's replica planner: divides a number of replicas among clusters. Pure and deterministic.

use std::collections::BTreeMap;

use federation_api::preferences::{ClusterPreferences, ReplicaPreferences};

pub mod bounds;
#[cfg(test)]
mod tests;

/// What the planner is told about one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// Replicas running there now; absent where the cluster has no copy yet.
    pub current: Option<i64>,
    /// How many replicas the cluster is believed to hold at most; absent where nothing is known.
    pub capacity: Option<i64>,
}

/// The planner's answer for one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Replicas that fit.
    pub planned: i64,
    /// Replicas wanted there beyond its capacity.
    pub overflow: i64,
    /// Why, in the order the phases decided.
    pub reasons: Vec<String>,
}

impl Share {
    /// Replicas to ask the cluster for.
    pub fn replicas(&self) -> i64 {
        self.planned.saturating_add(self.overflow)
    }
}

/// FNV-1, 32 bit: the tie break that spreads single replicas of different objects over clusters.
fn fnv1(parts: [&str; 2]) -> u32 {
    parts.iter().flat_map(|p| p.bytes()).fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte))
}

/// One cluster with a preference, while planning.
struct Candidate<'a> {
    name: &'a str,
    min: i64,
    max: Option<i64>,
    weight: i64,
    state: &'a ClusterState,
    planned: i64,
    kept: i64,
    overflow: i64,
    reasons: Vec<String>,
}

impl Candidate<'_> {
    fn within_capacity(&self, n: i64) -> i64 {
        self.state.capacity.map_or(n, |c| n.min(c.max(0)))
    }

    fn within_maximum(&self, n: i64) -> i64 {
        self.max.map_or(n, |m| n.min(m))
    }
}

/// Divides `replicas` among `clusters`. `key` is the object's `namespace/name`.
///
/// The sum of the shares is `replicas` unless maxima or missing preferences forbid it.
pub fn plan(
    key: &str,
    replicas: i64,
    preferences: &ReplicaPreferences,
    clusters: &BTreeMap<String, ClusterState>,
) -> BTreeMap<String, Share> {
    let mut remaining = replicas.max(0);
    let mut candidates = candidates(key, preferences, clusters);
    give_minima(&mut candidates, &mut remaining);
    if !preferences.rebalance {
        keep_running(&mut candidates, &mut remaining);
    }
    spread(&mut candidates, &mut remaining);

    let mut shares: BTreeMap<String, Share> = clusters
        .keys()
        .map(|name| (name.clone(), Share { reasons: vec!["no preference names this cluster".into()], ..Share::default() }))
        .collect();
    for c in candidates {
        let overflow = if preferences.rebalance { c.overflow } else { c.overflow.min(remaining).max(0) };
        let mut reasons = c.reasons;
        if overflow > 0 {
            reasons.push(format!("{overflow} beyond its capacity"));
        }
        shares.insert(c.name.to_owned(), Share { planned: c.planned, overflow, reasons });
    }
    shares
}

fn candidates<'a>(key: &str, preferences: &ReplicaPreferences, clusters: &'a BTreeMap<String, ClusterState>) -> Vec<Candidate<'a>> {
    let mut out: Vec<(u32, Candidate<'a>)> = clusters
        .iter()
        .filter_map(|(name, state)| {
            let ClusterPreferences { min_replicas, max_replicas, weight } = preferences.for_cluster(name)?.clone();
            let c = Candidate {
                name,
                min: min_replicas.max(0),
                max: max_replicas.map(|m| m.max(0)),
                weight: weight.max(0),
                state,
                planned: 0,
                kept: 0,
                overflow: 0,
                reasons: Vec::new(),
            };
            Some((fnv1([name, key]), c))
        })
        .collect();
    out.sort_by(|(ha, a), (hb, b)| b.weight.cmp(&a.weight).then(ha.cmp(hb)).then(a.name.cmp(b.name)));
    out.into_iter().map(|(_, c)| c).collect()
}

/// Phase A: minima first, in order, as far as there are replicas.
fn give_minima(candidates: &mut [Candidate<'_>], remaining: &mut i64) {
    for c in candidates {
        c.planned = c.within_capacity(c.min.min(*remaining));
        *remaining -= c.planned;
        if c.planned > 0 {
            c.reasons.push(format!("minimum {}", c.planned));
        }
    }
}

/// Phase B: without rebalancing, what runs stays where it runs.
fn keep_running(candidates: &mut [Candidate<'_>], remaining: &mut i64) {
    for c in candidates {
        let Some(current) = c.state.current.filter(|&n| n > c.planned) else { continue };
        let target = c.within_capacity(c.within_maximum(current));
        let extra = (target - c.planned).min(*remaining).max(0);
        *remaining -= extra;
        c.kept = extra;
        c.planned += extra;
        if extra > 0 {
            c.reasons.push(format!("{extra} running kept"));
        }
    }
}

/// Phase C: the rest by weight, in rounds, leaving out clusters that are full.
fn spread(candidates: &mut [Candidate<'_>], remaining: &mut i64) {
    let mut open: Vec<usize> = (0..candidates.len()).collect();
    let before: Vec<i64> = candidates.iter().map(|c| c.planned).collect();
    let mut modified = true;
    while modified && *remaining > 0 {
        modified = false;
        let weights: i128 = open.iter().map(|&i| i128::from(candidates[i].weight)).sum();
        if weights == 0 {
            break;
        }
        let pool = i128::from(*remaining);
        let mut still_open = Vec::with_capacity(open.len());
        for &i in &open {
            let c = &mut candidates[i];
            let start = c.planned;
            // Never above `pool`, which came from an i64.
            let share = (pool * i128::from(c.weight) + weights - 1) / weights;
            let mut extra = i64::try_from(share).unwrap_or(i64::MAX).min(*remaining);
            let used = extra.min(c.kept);
            c.kept -= used;
            extra -= used;
            modified |= used > 0;

            let mut target = start + extra;
            let mut full = false;
            if let Some(max) = c.max.filter(|&m| target > m) {
                target = max;
                full = true;
                c.reasons.push(format!("maximum {max}"));
            }
            if let Some(capacity) = c.state.capacity.map(|n| n.max(0)).filter(|&n| target > n) {
                c.overflow = target - capacity;
                target = capacity;
                full = true;
                c.reasons.push(format!("capacity {capacity}"));
            }
            if !full {
                still_open.push(i);
            }
            *remaining -= target - start;
            c.planned = target;
            modified |= target > start;
        }
        open = still_open;
    }
    for (c, before) in candidates.iter_mut().zip(before) {
        if c.planned > before {
            c.reasons.push(format!("{} by weight {}", c.planned - before, c.weight));
        }
    }
}
