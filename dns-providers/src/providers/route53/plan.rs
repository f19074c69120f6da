//! From the changes of a name and what the zone holds to the changes Route 53 is asked for: pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{LeftAlone, NameChanges};
use crate::mark::{self, Mark};
use crate::{Change, DnsName, Kind, RecordSet};

use super::view::{Node, Set, View, data};

/// Most values of one request, those to delete and those to create.
const MAX_VALUES: usize = 1000;
/// Most characters of them.
const MAX_CHARACTERS: usize = 32_000;

/// One set to delete or to create.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Item {
    pub(super) create: bool,
    pub(super) name: DnsName,
    pub(super) kind: &'static str,
    pub(super) set: Set,
}

/// What one name asks of Route 53: each set as it was read is deleted, which is refused unless it is still so, and the new
/// one created, which is refused if there is any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) name: DnsName,
    pub(super) items: Vec<Item>,
    /// What is at the name afterwards.
    pub(super) after: Node,
}

impl Step {
    fn values(&self) -> usize {
        self.items.iter().map(|item| item.set.values.len()).sum()
    }

    fn characters(&self) -> usize {
        self.items.iter().flat_map(|item| &item.set.values).map(String::len).sum()
    }
}

/// What must be asked for a name; nothing if it already is as wanted.
///
/// # Errors
/// Why the name is left alone.
pub(super) fn step(group: &NameChanges<'_>, view: &View, zone: &DnsName, owner: &str) -> Result<Option<Step>, LeftAlone> {
    let (name, node) = (group.name, view.at(group.name));
    let marked = node.marked();
    let ours = marked.as_ref().filter(|mark| mark.owner == owner);
    let has = |kind: Kind| ours.is_some_and(|mark| mark.kinds.contains(&kind));
    let mut after: BTreeMap<Kind, Option<&RecordSet>> = BTreeMap::new();
    for change in &group.changes {
        match change {
            Change::Upsert(set) => drop(after.insert(set.data.kind(), Some(set))),
            Change::Delete { kind, .. } if has(*kind) => drop(after.insert(*kind, None)),
            Change::Delete { .. } => {}
        }
    }
    if after.values().any(Option::is_some) {
        free(node, marked.as_ref(), owner)?;
        writable(name, view, zone, &after)?;
    } else if ours.is_none() {
        return Ok(None);
    }
    let mark_at = mark::at(name).map_err(|_| "there is no room for _kubefed. before the name".to_owned())?;
    let mut then = node.clone();
    for (kind, wanted) in &after {
        match wanted {
            Some(set) => drop(then.sets.insert(*kind, plain(node.sets.get(kind), set))),
            None => drop(then.sets.remove(kind)),
        }
    }
    let stays = |kind: &Kind| then.sets.contains_key(kind) && (has(*kind) || after.contains_key(kind));
    let kinds: BTreeSet<Kind> = Kind::ALL.into_iter().filter(stays).collect();
    if kinds.is_empty() {
        then.mark = None;
    } else if ours.is_none_or(|mark| mark.kinds != kinds) {
        let ttl = after.values().flatten().next().map_or(0, |set| i64::from(set.ttl));
        let ttl = node.mark.as_ref().map_or(ttl, |mark| mark.ttl);
        then.mark = Some(Set { ttl, values: vec![format!("\"{}\"", Mark { owner: owner.to_owned(), kinds }.text())] });
    }
    let items = items(name, &mark_at, node, &then);
    if items.is_empty() {
        return Ok(None);
    }
    let step = Step { name: name.clone(), items, after: then };
    if step.values() > MAX_VALUES || step.characters() > MAX_CHARACTERS {
        return Err(LeftAlone("it has more values than one request holds".to_owned()));
    }
    Ok(Some(step))
}

/// What marks a name where nothing of it changed since it was read: each set is deleted as it was and created again.
pub(super) fn mark_step(name: &DnsName, node: &Node, marked: &Mark) -> Result<Option<Step>, String> {
    let mark_at = mark::at(name).map_err(|_| "there is no room for _kubefed. before the name".to_owned())?;
    let ttl = node.sets.values().next().map_or(0, |set| set.ttl);
    let after = Node { mark: Some(Set { ttl, values: vec![format!("\"{}\"", marked.text())] }), ..node.clone() };
    let empty = Node { sets: BTreeMap::new(), others: Vec::new(), mark: None };
    let items = items(name, &mark_at, node, &empty).into_iter().chain(items(name, &mark_at, &empty, &after)).collect();
    let step = Step { name: name.clone(), items, after };
    if step.values() > MAX_VALUES || step.characters() > MAX_CHARACTERS {
        return Err("it has more values than one request holds".to_owned());
    }
    Ok(Some(step))
}

/// A set as it is to be. Where it says the same as what is there, in other letters or another order, nothing changes.
fn plain(there: Option<&Set>, wanted: &RecordSet) -> Set {
    let set = Set { ttl: i64::from(wanted.ttl), values: wanted.data.values() };
    let same = there.filter(|there| there.ttl == set.ttl && data(wanted.data.kind(), there).as_ref() == Some(&wanted.data));
    same.cloned().unwrap_or(set)
}

/// Whether a name may be written: all its sets of our types, and its mark, are ours or not there.
fn free(node: &Node, marked: Option<&Mark>, owner: &str) -> Result<(), String> {
    let ours = marked.filter(|mark| mark.owner == owner);
    if let Some(other) = marked.filter(|mark| mark.owner != owner) {
        return Err(format!("it belongs to federation {}; it is left alone", other.owner));
    }
    if node.mark.is_some() && ours.is_none() {
        return Err("someone else's TXT record is where its mark would be; it is left alone".to_owned());
    }
    for kind in Kind::ALL {
        if node.others.iter().any(|other| *other == kind.to_string()) {
            return Err(format!("someone else's {kind} record with a routing policy or an AWS alias is there; it is left alone"));
        }
        if node.sets.contains_key(&kind) && !ours.is_some_and(|mark| mark.kinds.contains(&kind)) {
            return Err(format!("someone else's {kind} record is there; it is left alone"));
        }
    }
    Ok(())
}

/// Whether Route 53 would take what is wanted, and answer with it.
fn writable(name: &DnsName, view: &View, zone: &DnsName, after: &BTreeMap<Kind, Option<&RecordSet>>) -> Result<(), String> {
    let alias = after.get(&Kind::Cname).is_some_and(Option::is_some);
    if let Some(kind) = view.at(name).others.iter().find(|kind| alias || *kind == "NS") {
        return Err(format!("someone else's {kind} record is there, which allows no other beside it; it is left alone"));
    }
    if let Some(cut) = view.cut_above(name, zone) {
        return Err(format!("{cut} is delegated, so this zone does not answer for it"));
    }
    Ok(())
}

/// What makes one into the other; what is deleted goes first.
fn items(name: &DnsName, mark_at: &DnsName, before: &Node, after: &Node) -> Vec<Item> {
    let mut pairs: Vec<(&DnsName, &'static str, Option<&Set>, Option<&Set>)> =
        Kind::ALL.into_iter().map(|kind| (name, label(kind), before.sets.get(&kind), after.sets.get(&kind))).collect();
    pairs.push((mark_at, "TXT", before.mark.as_ref(), after.mark.as_ref()));
    pairs.retain(|(_, _, before, after)| before != after);
    let item = |create, (name, kind, set): (&DnsName, &'static str, &Set)| Item { create, name: name.clone(), kind, set: set.clone() };
    let deletes = pairs.iter().filter_map(|(name, kind, before, _)| Some(item(false, (name, kind, (*before)?))));
    let creates = pairs.iter().filter_map(|(name, kind, _, after)| Some(item(true, (name, kind, (*after)?))));
    deletes.chain(creates).collect()
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::A => "A",
        Kind::Aaaa => "AAAA",
        Kind::Cname => "CNAME",
    }
}

/// Puts steps together, each pack for one request; a name is never divided.
pub(super) fn pack(steps: Vec<Step>) -> Vec<Vec<Step>> {
    let mut packs: Vec<Vec<Step>> = Vec::new();
    let (mut values, mut characters) = (0, 0);
    for step in steps {
        (values, characters) = (values + step.values(), characters + step.characters());
        match packs.last_mut() {
            Some(last) if values <= MAX_VALUES && characters <= MAX_CHARACTERS => last.push(step),
            _ => {
                (values, characters) = (step.values(), step.characters());
                packs.push(vec![step]);
            }
        }
    }
    packs
}

/// Divides a pack that was refused: those names that the messages tell from the others, or else in the middle. Messages
/// decide about nothing but this.
pub(super) fn divide(pack: Vec<Step>, messages: &[String]) -> [Vec<Step>; 2] {
    let told: BTreeSet<DnsName> = messages.iter().flat_map(|message| named(message)).collect();
    let names = |step: &Step| step.items.iter().any(|item| told.contains(&item.name));
    let (bad, good): (Vec<Step>, Vec<Step>) = pack.iter().cloned().partition(names);
    if !bad.is_empty() && !good.is_empty() {
        return [good, bad];
    }
    let mut first = pack;
    let second = first.split_off(first.len() / 2);
    [first, second]
}

/// The names in `name='…'` of a message.
fn named(message: &str) -> impl Iterator<Item = DnsName> {
    let texts = message.split("name='").skip(1).filter_map(|rest| rest.split('\'').next());
    texts.filter_map(|text| DnsName::parse(text).ok())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
