//! From the records there should be and the records there are to one batch of changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dns_providers::{Change, DnsName, Held, Kind, RecordSet};

/// What a provider holds, by name.
pub type HeldByName = BTreeMap<DnsName, Vec<Held>>;

/// When deletions nobody asked for stop and ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brake {
    /// More names within the window than these, and a larger share of ours than [`Brake::share`], stop.
    pub allowed: usize,
    /// As a fraction.
    pub share: f64,
    /// The same for zones with few names: more than these …
    pub few: usize,
    /// … and a larger fraction than this.
    pub most: f64,
}

impl Default for Brake {
    /// More than 10 names and a fifth of all, or more than 3 and half of all.
    fn default() -> Self {
        Brake { allowed: 10, share: 0.2, few: 3, most: 0.5 }
    }
}

/// The differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Sets to write, and sets of the wrong type to delete beside them.
    pub upserts: Vec<Change>,
    /// Names that should be gone altogether, with their deletions.
    pub gone: BTreeMap<DnsName, Vec<Change>>,
}

/// Compares for some names what should be with what is held. Only owned sets are looked at; whether a
/// name is held by someone else is the provider's to find out, at the moment of writing.
pub fn diff<'a>(names: impl IntoIterator<Item = &'a DnsName>, desired: &BTreeMap<DnsName, Vec<RecordSet>>, held: &HeldByName) -> Diff {
    let mut out = Diff::default();
    for name in names {
        let owned = || held.get(name).into_iter().flatten().filter(|h| h.owned()).map(|h| &h.set);
        let wanted = desired.get(name).map_or(&[][..], Vec::as_slice);
        let kinds: BTreeSet<Kind> = wanted.iter().map(|set| set.data.kind()).collect();
        let surplus: BTreeSet<Kind> = owned().map(|set| set.data.kind()).filter(|kind| !kinds.contains(kind)).collect();
        let deletions = surplus.into_iter().map(|kind| Change::Delete { name: name.clone(), kind });
        if wanted.is_empty() {
            let deletions: Vec<Change> = deletions.collect();
            if !deletions.is_empty() {
                out.gone.insert(name.clone(), deletions);
            }
            continue;
        }
        out.upserts.extend(deletions);
        for set in wanted {
            // More than one owned set of a type is wrong even if one of them is right.
            let same: Vec<&RecordSet> = owned().filter(|held| held.data.kind() == set.data.kind()).collect();
            if same.as_slice() != [set] {
                out.upserts.push(Change::Upsert(set.clone()));
            }
        }
    }
    out
}

/// The deletions the brake holds back: all that nothing explains, if they are too many. `before` is how
/// many such names were deleted within the window already, `total` how many names are ours.
pub fn held_back(
    gone: &BTreeMap<DnsName, Vec<Change>>,
    explained: impl Fn(&DnsName) -> bool,
    before: usize,
    total: usize,
    brake: Brake,
) -> BTreeSet<DnsName> {
    let unexplained: BTreeSet<DnsName> = gone.keys().filter(|name| !explained(name)).cloned().collect();
    let count = before + unexplained.len();
    #[expect(clippy::cast_precision_loss, reason = "a share of a count of names")]
    let share = count as f64 / (total + before).max(1) as f64;
    let stop = (count > brake.allowed && share > brake.share) || (count > brake.few && share > brake.most);
    if stop { unexplained } else { BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dns_providers::{Data, Owner};
    use proptest::prelude::*;

    fn set(name: usize, kind: u8, ips: &[u32], ttl: u32) -> RecordSet {
        let data = match kind {
            0 => Data::A(ips.iter().map(|ip| (*ip).into()).collect()),
            1 => Data::Aaaa(ips.iter().map(|ip| u128::from(*ip).into()).collect()),
            _ => Data::Cname(DnsName::parse(&format!("t{}.example.com", ips[0])).unwrap()),
        };
        RecordSet { name: DnsName::parse(&format!("n{name}.example.com")).unwrap(), ttl, data }
    }

    fn by_name(sets: &[RecordSet]) -> BTreeMap<DnsName, Vec<RecordSet>> {
        let mut out: BTreeMap<DnsName, Vec<RecordSet>> = BTreeMap::new();
        for set in sets {
            out.entry(set.name.clone()).or_default().push(set.clone());
        }
        out
    }

    fn holding(sets: &[RecordSet]) -> HeldByName {
        by_name(sets).into_iter().map(|(n, s)| (n, s.into_iter().map(|set| Held { set, owner: Owner::Ours }).collect())).collect()
    }

    fn all(a: &BTreeMap<DnsName, Vec<RecordSet>>, b: &HeldByName) -> BTreeSet<DnsName> {
        a.keys().chain(b.keys()).cloned().collect()
    }

    #[test]
    fn what_is_right_is_left_alone_and_others_records_are_not_ours_to_delete() {
        let right = [set(1, 0, &[1, 2], 180), set(1, 1, &[1], 180)];
        let mut held = holding(&right);
        held.insert(DnsName::parse("foreign.example.com").unwrap(), vec![Held { set: set(9, 0, &[9], 5), owner: Owner::Unmarked }]);
        let desired = by_name(&right);
        assert_eq!(diff(&all(&desired, &held), &desired, &held), Diff::default());
    }

    #[test]
    fn ttl_values_and_type_are_corrected_and_duplicates_merged() {
        let desired = by_name(&[set(1, 0, &[1], 180), set(2, 2, &[5], 180), set(3, 0, &[3], 180)]);
        let held = holding(&[set(1, 0, &[1], 60), set(2, 0, &[1], 180), set(3, 0, &[3], 180), set(3, 0, &[3], 90), set(4, 0, &[1], 1)]);
        let out = diff(&all(&desired, &held), &desired, &held);
        let lines: Vec<String> = out.upserts.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "upsert n1.example.com. 180 A 0.0.0.1",
                "delete n2.example.com. A",
                "upsert n2.example.com. 180 CNAME t5.example.com.",
                "upsert n3.example.com. 180 A 0.0.0.3"
            ]
        );
        assert_eq!(out.gone.len(), 1);
    }

    #[test]
    fn the_brake_holds_unexplained_deletions_only() {
        let held = holding(&(0..30).map(|i| set(i, 0, &[1], 1)).collect::<Vec<_>>());
        let out = diff(held.keys(), &BTreeMap::new(), &held);
        let first = |n: &DnsName| n.as_str().starts_with("n1");
        assert_eq!(held_back(&out.gone, |_| true, 0, 30, Brake::default()).len(), 0);
        assert_eq!(held_back(&out.gone, first, 0, 30, Brake::default()).len(), 19);
        let few: BTreeMap<_, _> = out.gone.into_iter().take(5).collect();
        assert_eq!(held_back(&few, |_| false, 0, 30, Brake::default()).len(), 0);
        assert_eq!(held_back(&few, |_| false, 6, 24, Brake::default()).len(), 5, "a drip counts as one");
        assert_eq!(held_back(&few, |_| false, 6, 2400, Brake::default()).len(), 0);
        assert_eq!(held_back(&few, |_| false, 0, 9, Brake::default()).len(), 5, "five of nine are too many in a small zone");
        assert_eq!(held_back(&few, |_| false, 0, 10, Brake::default()).len(), 0, "half is not more than half");
        let three: BTreeMap<_, _> = few.into_iter().take(3).collect();
        assert_eq!(held_back(&three, |_| false, 0, 3, Brake::default()).len(), 0, "three go, were they all");
    }

    fn sets() -> impl Strategy<Value = Vec<RecordSet>> {
        let one = (0usize..5, 0u8..3, prop::collection::vec(0u32..4, 1..3), 1u32..3).prop_map(|(n, k, ips, ttl)| set(n, k, &ips, ttl));
        prop::collection::vec(one, 0..8).prop_map(|sets| {
            let mut seen = BTreeSet::new();
            sets.into_iter().filter(|s| seen.insert((s.name.clone(), s.data.kind()))).collect()
        })
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_what_was_wanted_and_then_there_is_none(want in sets(), have in sets()) {
            let (desired, held) = (by_name(&want), holding(&have));
            let out = diff(&all(&desired, &held), &desired, &held);
            let mut state: BTreeMap<(DnsName, Kind), RecordSet> = have.into_iter().map(|s| ((s.name.clone(), s.data.kind()), s)).collect();
            for change in out.upserts.iter().chain(out.gone.values().flatten()) {
                match change {
                    Change::Upsert(set) => drop(state.insert((set.name.clone(), set.data.kind()), set.clone())),
                    Change::Delete { name, kind } => prop_assert!(state.remove(&(name.clone(), *kind)).is_some(), "deletes what is not there"),
                }
            }
            let after: Vec<RecordSet> = state.into_values().collect();
            prop_assert_eq!(after.iter().collect::<BTreeSet<_>>(), want.iter().collect::<BTreeSet<_>>());
            let held = holding(&after);
            prop_assert_eq!(diff(&all(&desired, &held), &desired, &held), Diff::default());
        }
    }
}
