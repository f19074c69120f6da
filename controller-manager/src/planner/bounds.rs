//! Divides the bounds of an autoscaler among clusters, and moves them with the load as v1 did. Pure and deterministic.
//!
//! v1 gave each cluster its part once and then moved single replicas of a bound, from clusters whose autoscaler does
//! not use them to those where it has come to its bound. Its passes went on for ever when nobody was eligible, and took
//! clusters in random order; here each pass is one sum, and ties follow the order the replica planner has.

use std::{cmp::Reverse, collections::BTreeMap};

/// `spec.minReplicas` and `spec.maxReplicas`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bounds {
    /// Replicas there are at least.
    pub min: i64,
    /// Replicas there are at most; 0 where there is no autoscaler.
    pub max: i64,
}

/// When an autoscaler scaled last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Activity {
    /// Never.
    #[default]
    Never,
    /// Within the forbidden window: it may still be on its way, and nothing is concluded from it.
    Recent,
    /// Before the window.
    Settled,
}

/// What is known of the autoscaler in one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalerState {
    /// The bounds it was given last; absent where it has none yet.
    pub bounds: Option<Bounds>,
    /// `status.currentReplicas`.
    pub current: i64,
    /// `status.desiredReplicas`.
    pub desired: i64,
    /// When it scaled last.
    pub activity: Activity,
}

/// One cluster while its bounds are divided.
struct Candidate<'a> {
    name: &'a str,
    state: &'a ScalerState,
    had: Bounds,
    bounds: Bounds,
}

impl Candidate<'_> {
    fn is_new(&self) -> bool {
        self.had.max == 0
    }

    /// It has no status yet: v1's "pristine".
    fn is_idle(&self) -> bool {
        self.state.activity == Activity::Never && self.state.desired == 0
    }

    /// Nothing is on its way. v1 left one alone that never scaled, though it runs well as it is.
    fn is_settled(&self) -> bool {
        self.state.activity == Activity::Settled || self.state.activity == Activity::Never && self.state.desired > 0
    }

    /// It has come to its upper bound.
    fn needs_more(&self) -> bool {
        let ScalerState { current, desired, .. } = *self.state;
        self.is_settled() && !self.is_new() && current == desired && desired == self.had.max
    }

    /// Down to what its upper bound can go without being felt.
    fn spare_maximum(&self) -> i64 {
        let ScalerState { current, desired, .. } = *self.state;
        let least = self.had.min.max(1);
        match () {
            () if self.is_new() => self.bounds.max,
            () if self.is_idle() => least,
            () if self.is_settled() && desired <= current => least.max(desired),
            () => self.had.max,
        }
    }

    /// Up to what its lower bound could go: it runs more than that anyway.
    fn wanted_minimum(&self) -> i64 {
        if self.is_settled() && !self.is_new() { self.state.desired.min(self.bounds.max) } else { 0 }
    }

    /// Down to what its lower bound can go. What stands at it would run less: that is found out one by one.
    fn spare_minimum(&self) -> i64 {
        let ScalerState { current, desired, .. } = *self.state;
        let held = self.is_settled() && current == desired && desired == self.had.min;
        match () {
            () if self.is_idle() => 1,
            () if held => (self.had.min - 1).max(1),
            () => self.bounds.min,
        }
    }
}

/// Divides `wanted` among `clusters`. `key` is the object's `namespace/name`.
///
/// The upper bounds add up to the one wanted. So do the lower ones, but where an autoscaler is at all its lower bound is
/// at least 1, as v1 had it, unless 0 is wanted.
pub fn divide(key: &str, wanted: Bounds, clusters: &BTreeMap<String, ScalerState>) -> BTreeMap<String, Bounds> {
    let within = |n: i64| n.clamp(0, i64::from(i32::MAX));
    let (maximum, minimum) = (within(wanted.max), within(wanted.min).min(within(wanted.max)));
    let mut all: Vec<Candidate<'_>> = clusters
        .iter()
        .map(|(name, state)| {
            let had = state.bounds.map_or_else(Bounds::default, |b| Bounds { min: within(b.min).min(within(b.max)), max: within(b.max) });
            Candidate { name, state, had, bounds: had }
        })
        .collect();
    all.sort_by_cached_key(|c| (super::fnv1([c.name, key]), c.name.to_owned()));
    maxima(&mut all, maximum);
    minima(&mut all, minimum);
    all.into_iter().map(|c| (c.name.to_owned(), c.bounds)).collect()
}

fn maxima(all: &mut [Candidate<'_>], wanted: i64) {
    let mut values: Vec<i64> = all.iter().map(|c| c.bounds.max).collect();
    let total: i64 = values.iter().sum();
    let spare: Vec<i64> = all.iter().map(Candidate::spare_maximum).collect();
    if total > wanted {
        // Who does not feel it first; in the end everybody, and who has nothing left has no autoscaler.
        let left = lower(&mut values, &spare, total - wanted);
        let left = lower(&mut values, &vec![1; all.len()], left);
        lower(&mut values, &vec![0; all.len()], left);
    }
    let mut rest = (wanted - total).max(0);
    let give = |value: &mut i64, from: &mut i64| {
        *value += 1;
        *from -= 1;
    };
    let mut needing: Vec<usize> = (0..all.len()).filter(|i| all[*i].needs_more() && values[*i] == all[*i].had.max).collect();
    needing.retain(|i| {
        let served = rest > 0;
        if served {
            give(&mut values[*i], &mut rest);
        }
        !served
    });
    // A cluster that is new gets an even part, as far as nobody else uses it.
    let even = (wanted / i64::try_from(all.len()).unwrap_or(i64::MAX).max(1)).max(1);
    let caps: Vec<i64> = all.iter().zip(&values).map(|(c, value)| if c.is_new() { even.max(*value) } else { *value }).collect();
    rest = raise(&mut values, &caps, rest);
    rest = raise(&mut values, &vec![i64::from(i32::MAX); all.len()], rest);
    debug_assert!(rest == 0 || all.is_empty());

    let mut donors: Vec<usize> = (0..all.len()).filter(|i| !all[*i].needs_more() && values[*i] > spare[*i]).collect();
    donors.sort_by_key(|i| Reverse(values[*i] - spare[*i]));
    for (needs, donor) in needing.into_iter().zip(donors) {
        let mut from = values[donor];
        give(&mut values[needs], &mut from);
        values[donor] = from;
    }
    let floors: Vec<i64> =
        (0..all.len()).map(|i| if all[i].needs_more() { values[i] } else { spare[i].max(even).min(values[i]) }).collect();
    let caps: Vec<i64> = all.iter().zip(&values).map(|(c, value)| if c.is_new() { even.max(*value) } else { *value }).collect();
    shift(&mut values, &floors, &caps);
    for (c, value) in all.iter_mut().zip(values) {
        c.bounds.max = value;
    }
}

fn minima(all: &mut [Candidate<'_>], wanted: i64) {
    if wanted == 0 {
        all.iter_mut().for_each(|c| c.bounds.min = 0);
        return;
    }
    let least: Vec<i64> = all.iter().map(|c| c.bounds.max.min(1)).collect();
    let maxima: Vec<i64> = all.iter().map(|c| c.bounds.max).collect();
    for (c, least) in all.iter_mut().zip(&least) {
        c.bounds.min = c.bounds.min.clamp(*least, c.bounds.max);
    }
    let mut values: Vec<i64> = all.iter().map(|c| c.bounds.min).collect();
    let spare: Vec<i64> = all.iter().zip(&least).map(|(c, least)| c.spare_minimum().clamp(*least, c.bounds.min)).collect();
    let caps: Vec<i64> = all.iter().map(|c| c.wanted_minimum().clamp(c.bounds.min, c.bounds.max)).collect();
    let (total, wanted) = (values.iter().sum::<i64>(), wanted.max(least.iter().sum()));
    let left = lower(&mut values, &spare, (total - wanted).max(0));
    lower(&mut values, &least, left);
    let rest = raise(&mut values, &caps, (wanted - total).max(0));
    raise(&mut values, &maxima, rest);

    let floors: Vec<i64> = (0..all.len()).map(|i| if caps[i] > all[i].bounds.min { values[i] } else { spare[i].min(values[i]) }).collect();
    let caps: Vec<i64> = (0..all.len()).map(|i| if caps[i] > all[i].bounds.min { caps[i].max(values[i]) } else { values[i] }).collect();
    shift(&mut values, &floors, &caps);
    for (c, value) in all.iter_mut().zip(values) {
        c.bounds.min = value;
    }
}

/// Moves what those above their floor can spare to those below their cap.
fn shift(values: &mut [i64], floors: &[i64], caps: &[i64]) {
    let spared: i64 = values.iter().zip(floors).map(|(value, floor)| value - floor).sum();
    let asked: i64 = caps.iter().zip(&*values).map(|(cap, value)| cap - value).sum();
    let moved = spared.min(asked);
    let before = values.to_vec();
    lower(values, floors, moved);
    // Who just gave is not given to.
    let caps: Vec<i64> = (0..caps.len()).map(|i| if values[i] < before[i] { values[i] } else { caps[i] }).collect();
    raise(values, &caps, moved);
}

/// Takes `amount` from the largest values, none below its floor; what could not be taken.
fn lower(values: &mut [i64], floors: &[i64], amount: i64) -> i64 {
    let taken = |level: i64| -> i64 { values.iter().zip(floors).map(|(v, floor)| (v - level.max(*floor)).max(0)).sum() };
    // The highest level down to which there is enough.
    let (mut low, mut high) = (0, values.iter().copied().max().unwrap_or_default());
    let available = taken(0);
    if amount >= available {
        values.iter_mut().zip(floors).for_each(|(v, floor)| *v = (*v).min(*floor).max(0));
        return amount - available;
    }
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if taken(middle) >= amount { low = middle } else { high = middle - 1 }
    }
    let mut surplus = taken(low) - amount;
    for (v, floor) in values.iter_mut().zip(floors) {
        if *v > low.max(*floor) {
            *v = low.max(*floor);
            if surplus > 0 && *v == low {
                *v += 1;
                surplus -= 1;
            }
        }
    }
    0
}

/// Gives `amount` to the smallest values, none above its cap; what could not be given.
fn raise(values: &mut [i64], caps: &[i64], amount: i64) -> i64 {
    let given = |level: i64| -> i64 { values.iter().zip(caps).map(|(v, cap)| (level.min(*cap) - v).max(0)).sum() };
    // The highest level up to which there is enough.
    let (mut low, mut high) = (0, caps.iter().copied().max().unwrap_or_default());
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if given(middle) <= amount { low = middle } else { high = middle - 1 }
    }
    let mut rest = amount - given(low);
    for (v, cap) in values.iter_mut().zip(caps) {
        *v = low.min(*cap).max(*v);
        if rest > 0 && *v == low && *cap > low {
            *v += 1;
            rest -= 1;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 4] = ["gondor", "rohan", "shire", "bree"];

    fn known(min: i64, max: i64, current: i64, desired: i64, activity: Activity) -> ScalerState {
        ScalerState { bounds: Some(Bounds { min, max }), current, desired, activity }
    }

    fn divided(wanted: (i64, i64), states: &[ScalerState]) -> Vec<(i64, i64)> {
        let clusters = NAMES.iter().zip(states).map(|(name, state)| ((*name).to_owned(), state.clone())).collect();
        let all = divide("demo/web", Bounds { min: wanted.0, max: wanted.1 }, &clusters);
        NAMES.iter().take(states.len()).map(|name| (all[*name].min, all[*name].max)).collect()
    }

    #[test]
    fn at_first_bounds_are_even_and_who_has_any_has_one_at_least() {
        let new = ScalerState::default;
        assert_eq!(divided((2, 10), &[new(), new()]), [(1, 5), (1, 5)]);
        assert_eq!(divided((0, 4), &[new(), new()]), [(0, 2), (0, 2)]);
        assert_eq!(divided((4, 9), &[new(), new(), new()]).iter().map(|b| b.0).sum::<i64>(), 4);
        let mut one = divided((1, 1), &[new(), new()]);
        one.sort_unstable();
        assert_eq!(one, [(0, 0), (1, 1)]);
        assert!(divided((1, 5), &[]).is_empty());
    }

    #[test]
    fn who_is_at_the_upper_bound_gets_one_of_who_is_below() {
        let (full, idle) = (known(1, 5, 5, 5, Activity::Settled), known(1, 5, 2, 2, Activity::Settled));
        assert_eq!(divided((2, 10), &[full.clone(), idle.clone()]), [(1, 6), (1, 4)]);
        // One that scaled just now may still be on its way, on either side.
        let recent = |state: &ScalerState| ScalerState { activity: Activity::Recent, ..state.clone() };
        assert_eq!(divided((2, 10), &[recent(&full), idle.clone()]), [(1, 5), (1, 5)]);
        assert_eq!(divided((2, 10), &[full.clone(), recent(&idle)]), [(1, 5), (1, 5)]);
        // Nobody has one to spare.
        assert_eq!(divided((2, 10), &[full.clone(), full.clone()]), [(1, 5), (1, 5)]);
        // One that never scaled does not miss it.
        assert_eq!(divided((2, 10), &[full, known(1, 5, 0, 0, Activity::Never)]), [(1, 6), (1, 4)]);
    }

    #[test]
    fn a_minimum_goes_where_more_runs_anyway() {
        let (low, busy) = (known(3, 5, 3, 3, Activity::Settled), known(3, 5, 5, 5, Activity::Settled));
        assert_eq!(divided((6, 12), &[low, busy])[..].iter().map(|b| b.0).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_new_cluster_gets_what_others_do_not_use() {
        let (idle, used) = (known(1, 6, 0, 0, Activity::Never), known(1, 6, 6, 5, Activity::Settled));
        let three = divided((1, 12), &[idle, used.clone(), ScalerState::default()]);
        assert_eq!(three.iter().map(|b| b.1).collect::<Vec<_>>(), [4, 5, 3]);
        let full = known(1, 6, 6, 6, Activity::Recent);
        assert_eq!(divided((1, 12), &[full.clone(), full, ScalerState::default()])[2], (0, 0), "there is none");
        assert_eq!(divided((1, 15), &[used.clone(), used, ScalerState::default()])[2].1, 5);
    }

    #[test]
    fn a_lower_bound_for_all_takes_from_who_does_not_feel_it() {
        let (busy, low) = (known(1, 6, 6, 6, Activity::Settled), known(1, 6, 2, 2, Activity::Settled));
        assert_eq!(divided((2, 9), &[busy.clone(), low.clone()]), [(1, 7), (1, 2)], "and what more can be spared goes to who needs it");
        assert_eq!(divided((2, 4), &[busy, low]).iter().map(|b| b.1).sum::<i64>(), 4);
    }

    #[test]
    fn the_largest_bounds_take_no_time() {
        let most = i64::from(i32::MAX);
        let two = divided((1, most), &[ScalerState::default(), known(1, 1, 1, 1, Activity::Settled)]);
        assert_eq!(two.iter().map(|b| b.1).sum::<i64>(), most);
        assert_eq!(divided((i64::MAX, i64::MAX), &[known(i64::MIN, i64::MAX, i64::MAX, i64::MIN, Activity::Settled)]), [(most, most)]);
    }

    fn states() -> impl Strategy<Value = Vec<ScalerState>> {
        let activity = prop_oneof![Just(Activity::Never), Just(Activity::Recent), Just(Activity::Settled)];
        let bounds = proptest::option::of((0i64..8, 0i64..12).prop_map(|(min, more)| Bounds { min, max: min + more }));
        let state = (bounds, 0i64..16, 0i64..16, activity).prop_map(|(bounds, current, desired, activity)| ScalerState {
            bounds,
            current,
            desired,
            activity,
        });
        proptest::collection::vec(state, 1..=4)
    }

    proptest! {
        #[test]
        fn bounds_add_up_and_come_to_rest(states in states(), min in 0i64..12, more in 0i64..20) {
            let wanted = (min, (min + more).max(1));
            let once = divided(wanted, &states);
            prop_assert_eq!(once.iter().map(|b| b.1).sum::<i64>(), wanted.1);
            let there = i64::try_from(once.iter().filter(|b| b.1 > 0).count()).unwrap();
            let least = if min == 0 { 0 } else { min.max(there) };
            prop_assert_eq!(once.iter().map(|b| b.0).sum::<i64>(), least);
            for (min, max) in &once {
                prop_assert!(0 <= *min && min <= max && (wanted.0 == 0 || *max == 0 || *min >= 1));
            }
            // As long as nobody scales, the second look at the result changes nothing any more.
            let again = |bounds: &[(i64, i64)]| -> Vec<ScalerState> {
                let given = |(min, max): (i64, i64)| (max > 0).then_some(Bounds { min, max });
                states.iter().zip(bounds).map(|(s, b)| ScalerState { bounds: given(*b), ..s.clone() }).collect()
            };
            let mut last = once;
            for _ in 0..3 {
                last = divided(wanted, &again(&last));
            }
            prop_assert_eq!(divided(wanted, &again(&last)), last);
        }

        #[test]
        fn who_uses_all_it_has_loses_nothing_as_long_as_the_bound_stays(states in states()) {
            let total: i64 = states.iter().filter_map(|s| s.bounds).map(|b| b.max).sum();
            prop_assume!(total > 0);
            for (state, (_, max)) in states.iter().zip(divided((1, total), &states)) {
                let had = state.bounds.map_or(0, |b| b.max);
                let uses = state.activity == Activity::Settled && state.desired >= had && state.desired >= state.current;
                prop_assert!(!uses || max >= had, "{states:?}");
            }
        }
    }
}
