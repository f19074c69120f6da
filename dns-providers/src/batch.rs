//! A batch of changes, put together by name: what every provider that writes elsewhere begins with. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::mark::Mark;
use crate::{Capabilities, Change, DnsName, Held, Kind, Owner, Rejected};

/// All changes of a batch to one name.
pub(crate) struct NameChanges<'a> {
    pub(crate) name: &'a DnsName,
    pub(crate) changes: Vec<&'a Change>,
}

/// Puts the changes of each name together. Where a batch must be split, addresses come first, then
/// aliases, then deletions, so that an alias never points at a name that is not there yet. A name that has a change the
/// provider cannot make is left out as a whole.
pub(crate) fn group<'a>(batch: &'a [Change], zone: &DnsName, can: &Capabilities) -> (Vec<NameChanges<'a>>, Vec<Rejected>) {
    let mut by_name: BTreeMap<&DnsName, Vec<&Change>> = BTreeMap::new();
    let mut refused: BTreeMap<&DnsName, String> = BTreeMap::new();
    for change in batch {
        if change.name() == zone || !change.name().is_within(zone) {
            refused.insert(change.name(), format!("the name is not below the zone {zone}"));
        } else if let Some(reason) = can.refuses(change) {
            refused.insert(change.name(), reason);
        } else {
            by_name.entry(change.name()).or_default().push(change);
        }
    }
    by_name.retain(|name, _| !refused.contains_key(*name));
    let rejected = refused.into_iter().map(|(name, reason)| Rejected { name: name.clone(), reason }).collect();
    let mut grouped: Vec<NameChanges<'a>> = by_name.into_iter().map(|(name, changes)| NameChanges { name, changes }).collect();
    grouped.sort_by_key(|group| {
        let upserts = |alias: bool| group.changes.iter().any(|c| matches!(c, Change::Upsert(s) if (s.data.kind() == Kind::Cname) == alias));
        if upserts(false) { 0 } else { 2 - u8::from(upserts(true)) }
    });
    (grouped, rejected)
}

/// Why a name is left alone: the reason of its [`Rejected`].
#[derive(Debug)]
pub(crate) struct LeftAlone(pub(crate) String);

impl From<String> for LeftAlone {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

/// Why a name is not marked that is no longer as it was read.
pub(crate) const CHANGED: &str = "its records changed since they were read; look at them again";

/// All sets of a name that is to be marked as this federation's.
pub(crate) struct Adoption<'a> {
    pub(crate) name: &'a DnsName,
    sets: Vec<&'a Held>,
}

impl Adoption<'_> {
    /// Whether nothing changed since the sets were read; a name that did is left alone for [`CHANGED`].
    pub(crate) fn is_unchanged(&self, now: &[Held]) -> bool {
        now.len() == self.sets.len() && now.iter().all(|one| self.sets.contains(&one))
    }

    /// The mark of this federation for the sets, where marks are TXT records; nothing where it is there already. `marked` is
    /// what stands in its place, with what it says if it is a mark, and `now` are the sets as they are now.
    pub(crate) fn mark(&self, marked: Option<Option<Mark>>, now: &[Held], owner: &str) -> Result<Option<Mark>, LeftAlone> {
        let wanted = Mark { owner: owner.to_owned(), kinds: self.kinds() };
        if marked.as_ref().is_some_and(|there| there.as_ref() == Some(&wanted)) {
            return Ok(None);
        }
        if !self.is_unchanged(now) {
            return Err(LeftAlone(CHANGED.to_owned()));
        }
        match marked {
            Some(None) => Err(LeftAlone("someone else's TXT record is where its mark would be; it is left alone".to_owned())),
            Some(Some(other)) if other.owner != owner && Some(other.owner.as_str()) != self.from() => {
                Err(LeftAlone(format!("it belongs to federation {}; it is left alone", other.owner)))
            }
            _ => Ok(Some(wanted)),
        }
    }

    /// The other federation that the sets are taken from, if they are of one.
    fn from(&self) -> Option<&str> {
        self.sets.iter().find_map(|held| if let Owner::Federation(name) = &held.owner { Some(name.as_str()) } else { None })
    }

    /// The types of the sets. An empty one stands for a mark whose set somebody took away.
    fn kinds(&self) -> BTreeSet<Kind> {
        self.sets.iter().filter(|held| !held.set.data.is_empty()).map(|held| held.set.data.kind()).collect()
    }
}

/// Puts the sets of each name together.
pub(crate) fn adoptions(sets: &[Held]) -> Vec<Adoption<'_>> {
    let mut by_name: BTreeMap<&DnsName, Vec<&Held>> = BTreeMap::new();
    for held in sets {
        by_name.entry(&held.set.name).or_default().push(held);
    }
    by_name.into_iter().map(|(name, sets)| Adoption { name, sets }).collect()
}

/// What is left to ask, by a provider's plan of one name: names that are as wanted are done, and of those that are to be left
/// alone `rejected` has the reason.
pub(crate) fn left<G, S>(
    todo: &mut Vec<G>,
    rejected: &mut Vec<Rejected>,
    name: impl Fn(&G) -> &DnsName,
    plan: impl Fn(&G) -> Result<Option<S>, LeftAlone>,
) -> Vec<S> {
    let mut steps = Vec::new();
    todo.retain(|group| match plan(group) {
        Ok(step) => {
            let is_left = step.is_some();
            steps.extend(step);
            is_left
        }
        Err(LeftAlone(reason)) => {
            rejected.push(Rejected { name: name(group).clone(), reason });
            false
        }
    });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capabilities::ANY;
    use crate::{Data, Marks, RecordSet};

    const CAN: Capabilities = Capabilities { marks: Marks::Text, ttl: 1..=3600, values: Some(2), ..ANY };

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    fn a(at: &str, ips: impl IntoIterator<Item = u32>) -> Change {
        Change::Upsert(RecordSet { name: name(at), ttl: 180, data: Data::A(ips.into_iter().map(Into::into).collect()) })
    }

    #[test]
    fn addresses_come_before_aliases_and_deletions_last() {
        let alias = Change::Upsert(RecordSet { name: name("a.example.com"), ttl: 1, data: Data::Cname(name("z.example.com")) });
        let batch = [Change::Delete { name: name("0.example.com"), kind: Kind::A }, alias, a("z.example.com", [1])];
        let (grouped, _) = group(&batch, &name("example.com"), &CAN);
        assert_eq!(grouped.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["z.example.com.", "a.example.com.", "0.example.com."]);
    }

    #[test]
    fn names_outside_the_zone_and_the_zone_itself_are_refused() {
        let batch = [a("www.example.net", [1]), a("example.com", [1]), a("www.example.com", [1])];
        let (grouped, rejected) = group(&batch, &name("example.com"), &CAN);
        assert_eq!((grouped.len(), rejected.len()), (1, 2));
    }

    #[test]
    fn what_the_provider_cannot_hold_costs_its_whole_name() {
        let ttl = |ttl| Change::Upsert(RecordSet { name: name("t.example.com"), ttl, data: Data::A([[192, 0, 2, 1].into()].into()) });
        let aaaa = |count: u128| {
            let data = Data::Aaaa((0..count).map(Into::into).collect());
            Change::Upsert(RecordSet { name: name("t.example.com"), ttl: 60, data })
        };
        for (bad, want) in [
            (ttl(0), "its TTL is 0; a TTL is 1 to 3600 seconds"),
            (ttl(3601), "its TTL is 3601"),
            (aaaa(0), "its AAAA set is empty"),
            (aaaa(3), "its AAAA set has 3 values; 2 are the most"),
            (a("_kubefed.t.example.com", [1]), "names that begin with _kubefed"),
        ] {
            let batch = [a("t.example.com", [1]), bad, a("u.example.com", [1])];
            let (grouped, rejected) = group(&batch, &name("example.com"), &CAN);
            assert_eq!(grouped.last().unwrap().name.as_str(), "u.example.com.");
            assert_eq!(rejected.len(), 1);
            assert!(rejected[0].reason.starts_with(want), "{rejected:?}");
        }
        let marks = Capabilities { marks: Marks::Field, ..CAN };
        assert!(group(&[a("_kubefed.t.example.com", [1])], &name("example.com"), &marks).1.is_empty());
    }
}
