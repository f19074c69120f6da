//! A zone as of one moment, as far as it decides about names of ours. Pure.

use std::collections::BTreeMap;

use hickory_proto::rr::{DNSClass, Record, RecordType};

use crate::DnsName;

use super::mark;
use super::value::{Set, Value};

/// Types a signing server adds by itself: they hinder nobody.
const OF_SERVER: [RecordType; 4] = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3, RecordType::NSEC3PARAM];

/// What is at a name, and the mark that tells whose it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Node {
    sets: Vec<Set>,
    pub(super) mark: Option<Set>,
}

/// A zone. Names that none of ours can be like (wildcards, escaped characters) and what a signing server adds are left out.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct View {
    pub(super) serial: u32,
    names: BTreeMap<DnsName, Node>,
}

static NOTHING: Node = Node { sets: Vec::new(), mark: None };

impl Node {
    /// The set of a type.
    pub(super) fn set(&self, kind: RecordType) -> Option<&Set> {
        self.sets.iter().find(|set| set.kind == kind)
    }

    /// The types there are.
    pub(super) fn kinds(&self) -> impl Iterator<Item = RecordType> {
        self.sets.iter().map(|set| set.kind)
    }

    fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.mark.is_none()
    }

    fn add(&mut self, kind: RecordType, ttl: u32, value: Value, is_mark: bool) {
        let found = if is_mark { self.mark.as_mut() } else { self.sets.iter_mut().find(|set| set.kind == kind) };
        match found {
            Some(set) => {
                set.ttl = ttl;
                if !set.values.contains(&value) {
                    set.values.push(value);
                }
            }
            None => {
                let set = Set { kind, ttl, values: vec![value] };
                if is_mark { self.mark = Some(set) } else { self.sets.push(set) }
            }
        }
    }

    fn remove(&mut self, kind: RecordType, value: &Value, is_mark: bool) -> bool {
        let found = if is_mark { self.mark.as_mut() } else { self.sets.iter_mut().find(|set| set.kind == kind) };
        let Some((set, place)) = found.and_then(|set| set.values.iter().position(|v| v == value).map(|place| (set, place))) else {
            return false;
        };
        set.values.swap_remove(place);
        self.sets.retain(|set| !set.values.is_empty());
        self.mark.take_if(|mark| mark.values.is_empty());
        true
    }
}

impl View {
    /// What is at a name.
    pub(super) fn at(&self, name: &DnsName) -> &Node {
        self.names.get(name).unwrap_or(&NOTHING)
    }

    /// All names of the zone with what is there.
    pub(super) fn names(&self) -> impl Iterator<Item = (&DnsName, &Node)> {
        self.names.iter()
    }

    /// Takes a record in.
    pub(super) fn add(&mut self, record: Record) {
        if let Some((name, is_mark)) = place(&record) {
            let (kind, ttl) = (record.data.record_type(), record.ttl);
            self.names.entry(name).or_default().add(kind, ttl, record.data.into(), is_mark);
        }
    }

    /// Takes a record out. Whether it was there.
    pub(super) fn remove(&mut self, record: Record) -> bool {
        let Some((name, is_mark)) = place(&record) else { return true };
        let Some(node) = self.names.get_mut(&name) else { return false };
        let there = node.remove(record.data.record_type(), &record.data.into(), is_mark);
        if node.is_empty() {
            self.names.remove(&name);
        }
        there
    }

    /// The name above `name` and below the top of the zone from which on others answer: a delegation or a DNAME.
    pub(super) fn cut_above(&self, name: &DnsName, zone: &DnsName) -> Option<DnsName> {
        let mut above = name.clone();
        while let Some(parent) = above.parent().filter(|parent| parent != zone && parent.is_within(zone)) {
            if self.at(&parent).kinds().any(|kind| matches!(kind, RecordType::NS | RecordType::DNAME)) {
                return Some(parent);
            }
            above = parent;
        }
        None
    }
}

/// The name a record counts for, and whether it is its mark; none where it decides nothing.
fn place(record: &Record) -> Option<(DnsName, bool)> {
    let kind = record.data.record_type();
    if record.dns_class != DNSClass::IN || OF_SERVER.contains(&kind) {
        return None;
    }
    let name = DnsName::parse(&record.name.to_ascii()).ok()?;
    match mark::marked(&name).filter(|_| kind == RecordType::TXT) {
        Some(marked) => Some((marked, true)),
        None => Some((name, false)),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{NS, TXT};
    use hickory_proto::rr::{Name, RData};

    use super::*;

    fn record(at: &str, value: &Value) -> Record {
        Record::from_rdata(Name::from_ascii(at).unwrap(), 60, value.data())
    }

    #[test]
    fn what_is_added_is_there_until_it_is_removed() {
        let (one, other) = (Value::A([192, 0, 2, 1].into()), Value::A([192, 0, 2, 2].into()));
        let mark = Value::Text(TXT::new(vec!["heritage=kubefed".to_owned()]));
        let all = [record("Web.example.com.", &one), record("web.example.com.", &other), record("_kubefed.web.example.com.", &mark)];
        let mut view = View::default();
        all.iter().cloned().for_each(|record| view.add(record));
        let name = DnsName::parse("web.example.com").unwrap();
        assert_eq!(view.at(&name).set(RecordType::A).unwrap().values, [one, other]);
        assert_eq!(view.at(&name).mark.as_ref().unwrap().values, [mark]);
        assert_eq!(view.names().count(), 1, "a mark is no name of its own");
        assert!(all.iter().cloned().all(|record| view.remove(record)));
        assert!(!view.remove(all[0].clone()), "it is gone");
        assert_eq!(view, View::default());
    }

    #[test]
    fn names_that_are_none_and_signatures_count_for_nothing() {
        let mut view = View::default();
        for label in [b"*".as_slice(), b"a.b", "ö".as_bytes()] {
            let name = Name::from_labels([label, b"example", b"com"]).unwrap();
            view.add(Record::from_rdata(name, 60, Value::A([192, 0, 2, 1].into()).data()));
        }
        assert_eq!(view, View::default());
    }

    #[test]
    fn a_name_below_a_delegation_is_known() {
        let mut view = View::default();
        let ns = RData::NS(NS(Name::from_ascii("ns.example.net.").unwrap()));
        for at in ["example.com.", "west.example.com."] {
            view.add(Record::from_rdata(Name::from_ascii(at).unwrap(), 60, ns.clone()));
        }
        let name = |text| DnsName::parse(text).unwrap();
        assert_eq!(view.cut_above(&name("a.b.west.example.com"), &name("example.com")), Some(name("west.example.com")));
        assert_eq!(view.cut_above(&name("a.b.east.example.com"), &name("example.com")), None);
    }
}
