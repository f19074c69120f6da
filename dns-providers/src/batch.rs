//! A batch of changes, put together by name: what every provider that writes elsewhere begins with. Pure.

use std::collections::BTreeMap;

use crate::{Change, DnsName, Kind, Rejected};

/// All changes of a batch to one name.
pub(crate) struct NameChanges<'a> {
    pub(crate) name: &'a DnsName,
    pub(crate) changes: Vec<&'a Change>,
}

/// Puts the changes of each name together. Where a batch must be split, addresses come first, then
/// aliases, then deletions, so that an alias never points at a name that is not there yet.
pub(crate) fn group<'a>(batch: &'a [Change], zone: &DnsName) -> (Vec<NameChanges<'a>>, Vec<Rejected>) {
    let mut by_name: BTreeMap<&DnsName, Vec<&Change>> = BTreeMap::new();
    let mut rejected = Vec::new();
    for change in batch {
        if change.name().is_within(zone) && change.name() != zone {
            by_name.entry(change.name()).or_default().push(change);
        } else {
            rejected.push(Rejected { name: change.name().clone(), reason: format!("the name is not below the zone {zone}") });
        }
    }
    let mut grouped: Vec<NameChanges<'a>> = by_name.into_iter().map(|(name, changes)| NameChanges { name, changes }).collect();
    grouped.sort_by_key(|group| {
        let upserts = |alias: bool| group.changes.iter().any(|c| matches!(c, Change::Upsert(s) if (s.data.kind() == Kind::Cname) == alias));
        if upserts(false) { 0 } else { 2 - u8::from(upserts(true)) }
    });
    (grouped, rejected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, RecordSet};

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
        let (grouped, _) = group(&batch, &name("example.com"));
        assert_eq!(grouped.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["z.example.com.", "a.example.com.", "0.example.com."]);
    }

    #[test]
    fn names_outside_the_zone_and_the_zone_itself_are_refused() {
        let batch = [a("www.example.net", [1]), a("example.com", [1]), a("www.example.com", [1])];
        let (grouped, rejected) = group(&batch, &name("example.com"));
        assert_eq!((grouped.len(), rejected.len()), (1, 2));
    }
}
