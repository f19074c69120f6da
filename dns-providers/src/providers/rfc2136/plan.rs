//! From the changes of a name and what the zone holds to the sections of an UPDATE message (RFC 2136): pure.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::batch::{LeftAlone, NameChanges};
use crate::{Change, Data, DnsName, Kind, RecordSet};

use super::mark::{self, Mark};
use super::value::{Set, Value, wire};
use super::view::{Node, View};

/// Most bytes of records in one message, counted without compression; 65535 is the protocol's bound.
const MAX_BYTES: usize = 60_000;
/// Bytes of a record beside its name and data.
const FIXED: usize = 12;

/// What one name asks of the server.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: DnsName,
    prerequisites: Vec<Record>,
    updates: Vec<Record>,
    bytes: usize,
}

pub(super) fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
    }
}

/// What must be sent for a name; nothing if it already is as wanted.
///
/// # Errors
/// Why the name is left alone.
pub(super) fn step(group: &NameChanges<'_>, view: &View, zone: &DnsName, owner: &str) -> Result<Option<Step>, LeftAlone> {
    let node = view.at(group.name);
    let there = Ours::read(node, owner);
    let mut after: BTreeMap<Kind, Option<&RecordSet>> = BTreeMap::new();
    for change in &group.changes {
        match change {
            Change::Upsert(set) => drop(after.insert(set.data.kind(), Some(set))),
            Change::Delete { kind, .. } if there.has(*kind) => drop(after.insert(*kind, None)),
            Change::Delete { .. } => {}
        }
    }
    if after.values().any(Option::is_some) {
        free(node, &there)?;
        writable(group.name, view, zone, &after)?;
    } else if there.mark.is_none() {
        return Ok(None);
    }
    let mark_at = mark::at(group.name).map_err(|_| "there is no room for _kubefed. before the name".to_owned())?;
    let mut sections = Sections::default();
    let name = wire(group.name);
    for kind in Kind::ALL.into_iter().filter(|kind| there.may_write(node, *kind)) {
        let set = node.set(record_type(kind));
        sections.expect(&name, record_type(kind), set);
        if let Some(wanted) = after.get(&kind) {
            sections.replace(&name, record_type(kind), set, wanted.map(|wanted| (wanted.ttl, values(&wanted.data))));
        }
    }
    let stays = |kind: &Kind| after.get(kind).map_or_else(|| there.has(*kind) && node.set(record_type(*kind)).is_some(), Option::is_some);
    let kinds: BTreeSet<Kind> = Kind::ALL.into_iter().filter(stays).collect();
    let mark_name = wire(&mark_at);
    sections.expect(&mark_name, RecordType::TXT, node.mark.as_ref());
    let ttl = after.values().flatten().map(|set| set.ttl).next().or(node.mark.as_ref().map(|set| set.ttl)).unwrap_or_default();
    let marked = Mark { owner: owner.to_owned(), kinds };
    if there.mark.as_ref() != Some(&marked) {
        let wanted = (!marked.kinds.is_empty()).then(|| (ttl, vec![marked.write()]));
        sections.replace(&mark_name, RecordType::TXT, node.mark.as_ref(), wanted);
    }
    Ok(sections.step(group.name)?)
}

/// What marks a name where nothing of it changed since it was read.
pub(super) fn mark_step(name: &DnsName, node: &Node, marked: &Mark) -> Result<Option<Step>, String> {
    let mark_at = mark::at(name).map_err(|_| "there is no room for _kubefed. before the name".to_owned())?;
    let mut sections = Sections::default();
    for kind in Kind::ALL.map(record_type) {
        sections.expect(&wire(name), kind, node.set(kind));
    }
    let ttl = Kind::ALL.iter().find_map(|kind| Some(node.set(record_type(*kind))?.ttl)).unwrap_or_default();
    sections.expect(&wire(&mark_at), RecordType::TXT, node.mark.as_ref());
    sections.replace(&wire(&mark_at), RecordType::TXT, node.mark.as_ref(), Some((ttl, vec![marked.write()])));
    sections.step(name)
}

/// What at a name is ours.
struct Ours {
    /// Our mark.
    mark: Option<Mark>,
    /// Whose mark it is, if it is another federation's.
    other: Option<String>,
}

impl Ours {
    fn read(node: &Node, owner: &str) -> Self {
        match node.mark.as_ref().and_then(Mark::read) {
            Some(mark) if mark.owner == owner => Ours { mark: Some(mark), other: None },
            other => Ours { mark: None, other: other.map(|mark| mark.owner) },
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.kinds.contains(&kind))
    }

    /// Whether a set may be written: it is ours, or there is none.
    fn may_write(&self, node: &Node, kind: Kind) -> bool {
        self.has(kind) || node.set(record_type(kind)).is_none()
    }
}

/// Whether a name may be written: all its sets of our types, and its mark, are ours or not there.
fn free(node: &Node, there: &Ours) -> Result<(), String> {
    if let Some(other) = &there.other {
        return Err(format!("it belongs to federation {other}; it is left alone"));
    }
    if node.mark.is_some() && there.mark.is_none() {
        return Err("someone else's TXT record is where its mark would be; it is left alone".to_owned());
    }
    match Kind::ALL.into_iter().find(|kind| !there.may_write(node, *kind)) {
        Some(kind) => Err(format!("someone else's {kind} record is there; it is left alone")),
        None => Ok(()),
    }
}

/// Whether a server would take what is wanted, and answer with it: most pass over in silence what they do not take.
fn writable(name: &DnsName, view: &View, zone: &DnsName, after: &BTreeMap<Kind, Option<&RecordSet>>) -> Result<(), String> {
    let mut foreign = view.at(name).kinds().filter(|kind| !Kind::ALL.iter().any(|k| record_type(*k) == *kind));
    let alias = after.get(&Kind::Cname).is_some_and(Option::is_some);
    if let Some(kind) = foreign.find(|kind| alias || *kind == RecordType::NS) {
        return Err(format!("someone else's {kind} record is there, which allows no other beside it; it is left alone"));
    }
    if let Some(cut) = view.cut_above(name, zone) {
        return Err(format!("{cut} is delegated or renamed, so this zone does not answer for it"));
    }
    Ok(())
}

/// The sections of a message, for one name.
#[derive(Default)]
struct Sections {
    prerequisites: Vec<Record>,
    deletes: Vec<Record>,
    adds: Vec<Record>,
    bytes: usize,
}

impl Sections {
    /// A set is exactly as it was read (RFC 2136 2.4.2, 2.4.3).
    fn expect(&mut self, name: &Name, kind: RecordType, set: Option<&Set>) {
        match set {
            None => self.prerequisites.push(special(name, DNSClass::NONE, kind)),
            Some(set) => self.prerequisites.extend(set.values.iter().map(|value| Record::from_rdata(name.clone(), 0, value.data()))),
        }
        self.bytes += size(name, set.map_or(&[], |set| &set.values));
    }

    /// A set shall be another one, or none (RFC 2136 2.5.1, 2.5.2). What is deleted goes first: to what is added beside
    /// what excludes it servers pay no attention.
    fn replace(&mut self, name: &Name, kind: RecordType, set: Option<&Set>, wanted: Option<(u32, Vec<Value>)>) {
        if let (Some(set), Some((ttl, values))) = (set, &wanted)
            && set.ttl == *ttl
            && set.values.len() == values.len()
            && values.iter().all(|value| set.values.contains(value))
        {
            return;
        }
        if set.is_some() {
            self.deletes.push(special(name, DNSClass::ANY, kind));
            self.bytes += size(name, &[]);
        }
        if let Some((ttl, values)) = wanted {
            self.adds.extend(values.iter().map(|value| Record::from_rdata(name.clone(), ttl, value.data())));
            self.bytes += size(name, &values);
        }
    }

    fn step(mut self, name: &DnsName) -> Result<Option<Step>, String> {
        if self.deletes.is_empty() && self.adds.is_empty() {
            return Ok(None);
        }
        if self.bytes > MAX_BYTES {
            return Err("it has more values than one message holds".to_owned());
        }
        self.deletes.append(&mut self.adds);
        Ok(Some(Step { name: name.clone(), prerequisites: self.prerequisites, updates: self.deletes, bytes: self.bytes }))
    }
}

/// Puts steps together, each pack for one message; a name is never divided.
pub(super) fn pack(steps: Vec<Step>) -> Vec<Vec<Step>> {
    let (mut packs, mut bytes): (Vec<Vec<Step>>, usize) = (Vec::new(), 0);
    for step in steps {
        bytes += step.bytes;
        match packs.last_mut() {
            Some(last) if bytes <= MAX_BYTES => last.push(step),
            _ => {
                bytes = step.bytes;
                packs.push(vec![step]);
            }
        }
    }
    packs
}

/// The message that asks for all steps, or none, to be taken.
pub(super) fn message(zone: &Name, steps: &[Step]) -> Message {
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Update);
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    for step in steps {
        message.add_answers(step.prerequisites.iter().cloned());
        message.add_authorities(step.updates.iter().cloned());
    }
    message
}

/// A record without data, whose class says what is meant.
fn special(name: &Name, class: DNSClass, kind: RecordType) -> Record {
    let mut record = Record::from_rdata(name.clone(), 0, RData::Update0(kind));
    record.dns_class = class;
    record
}

fn values(data: &Data) -> Vec<Value> {
    match data {
        Data::A(set) => set.iter().copied().map(Value::A).collect(),
        Data::Aaaa(set) => set.iter().copied().map(Value::Aaaa).collect(),
        Data::Cname(target) => vec![Value::Alias(target.clone())],
    }
}

/// Bytes of a set in a message; of one without data where there are no values.
fn size(name: &Name, values: &[Value]) -> usize {
    (name.len() + 1 + FIXED) * values.len().max(1) + values.iter().map(Value::size).sum::<usize>()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
