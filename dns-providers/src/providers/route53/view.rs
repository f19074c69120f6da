//! What is known of a zone, as far as it decides about names of ours. Pure.

use std::collections::BTreeMap;

use crate::mark::{self, Mark};
use crate::{Data, DnsName, Held, Kind, Owner, RecordSet};

/// A plain set: not by policy, no alias of Amazon's, no health check. Values are as Route 53 told them, since a deletion has
/// to repeat them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Set {
    pub(super) ttl: i64,
    pub(super) values: Vec<String>,
}

/// What is at a name, and the mark that tells whose it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Node {
    pub(super) sets: BTreeMap<Kind, Set>,
    /// Types of everything else.
    pub(super) others: Vec<String>,
    /// The TXT set where the mark stands; none of its values where it is by policy.
    pub(super) mark: Option<Set>,
}

/// A record set as it was read.
#[derive(Clone, Debug)]
pub(super) struct There {
    pub(super) name: String,
    pub(super) kind: String,
    /// None where it is not plain.
    pub(super) set: Option<Set>,
}

/// The part of a zone at and below a name. Names that none of ours can be like (wildcards, escaped characters) are left out.
#[derive(Debug)]
pub(super) struct View {
    pub(super) under: DnsName,
    names: BTreeMap<DnsName, Node>,
}

static NOTHING: Node = Node { sets: BTreeMap::new(), others: Vec::new(), mark: None };

impl Node {
    fn is_empty(&self) -> bool {
        *self == NOTHING
    }

    /// What the mark says, if it is one.
    pub(super) fn marked(&self) -> Option<Mark> {
        let [value] = self.mark.as_ref()?.values.as_slice() else { return None };
        Mark::parse(&unquote(value)?)
    }
}

impl View {
    /// Nothing is known yet of what is at or below a name.
    pub(super) fn new(under: DnsName) -> Self {
        View { under, names: BTreeMap::new() }
    }

    /// What is at a name.
    pub(super) fn at(&self, name: &DnsName) -> &Node {
        self.names.get(name).unwrap_or(&NOTHING)
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Takes a set in.
    pub(super) fn add(&mut self, there: There) {
        let Ok(name) = DnsName::parse(&there.name) else { return };
        if let Some(marked) = mark::marked(&name).filter(|_| there.kind == "TXT") {
            let by_policy = Set { ttl: 0, values: Vec::new() };
            self.names.entry(marked).or_default().mark = Some(there.set.unwrap_or(by_policy));
            return;
        }
        let node = self.names.entry(name).or_default();
        match (Kind::ALL.into_iter().find(|kind| kind.to_string() == there.kind), there.set) {
            (Some(kind), Some(set)) => drop(node.sets.insert(kind, set)),
            _ => node.others.push(there.kind),
        }
    }

    /// Says what is at a name.
    pub(super) fn put(&mut self, name: &DnsName, node: Node) {
        if node.is_empty() {
            self.names.remove(name);
        } else {
            self.names.insert(name.clone(), node);
        }
    }

    /// The name above `name` and below the top of the zone from which on others answer.
    pub(super) fn cut_above(&self, name: &DnsName, zone: &DnsName) -> Option<DnsName> {
        let mut above = name.clone();
        while let Some(parent) = above.parent().filter(|parent| parent != zone && parent.is_within(zone)) {
            if self.at(&parent).others.iter().any(|kind| kind == "NS") {
                return Some(parent);
            }
            above = parent;
        }
        None
    }

    /// The sets at or below a name. A mark whose set somebody took away is held as an empty one, so that it is found.
    pub(super) fn held(&self, under: &DnsName, owner: &str) -> Vec<Held> {
        self.names.iter().filter(|(name, _)| name.is_within(under)).flat_map(|(name, node)| held_at(name, node, owner)).collect()
    }
}

/// The sets at a name.
pub(super) fn held_at(name: &DnsName, node: &Node, owner: &str) -> Vec<Held> {
    let mut held = Vec::new();
    let mark = node.marked();
    for kind in Kind::ALL {
        let marked = mark.as_ref().filter(|mark| mark.kinds.contains(&kind));
        let owner = Owner::by_mark(marked.map(|mark| mark.owner.as_str()), owner);
        let (ttl, data) = match node.sets.get(&kind) {
            Some(set) => match data(kind, set) {
                Some(data) => (u32::try_from(set.ttl).unwrap_or(u32::MAX), data),
                None => continue,
            },
            None if owner == Owner::Ours => (0, Data::A([].into())),
            None => continue,
        };
        held.push(Held { set: RecordSet { name: name.clone(), ttl, data }, owner });
    }
    held
}

/// The values as ours; none where they cannot be (an alias to a name that is none to us).
pub(super) fn data(kind: Kind, set: &Set) -> Option<Data> {
    Some(match kind {
        Kind::A => Data::A(set.values.iter().map(|v| v.parse().ok()).collect::<Option<_>>()?),
        Kind::Aaaa => Data::Aaaa(set.values.iter().map(|v| v.parse().ok()).collect::<Option<_>>()?),
        Kind::Cname => Data::Cname(DnsName::parse(set.values.first()?).ok()?),
    })
}

/// The text of a TXT value: quoted strings that are put together. None of ours has an escape.
fn unquote(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { None } else { Some(inner.replace("\" \"", "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    fn there(at: &str, kind: &str, values: &[&str]) -> There {
        let set = (!values.is_empty()).then(|| Set { ttl: 60, values: values.iter().map(ToString::to_string).collect() });
        There { name: at.to_owned(), kind: kind.to_owned(), set }
    }

    fn view(sets: &[(&str, &str, &[&str])]) -> View {
        let mut view = View::new(name("example.com"));
        sets.iter().for_each(|(at, kind, values)| view.add(there(at, kind, values)));
        view
    }

    #[test]
    fn names_their_marks_and_what_others_hold_are_told_apart() {
        let view = view(&[
            ("web.example.com.", "A", &["192.0.2.1"]),
            ("_kubefed.web.example.com.", "TXT", &["\"heritage=kubefed,v=1,owner=fellow\" \"ship,types=A+CNAME\""]),
            ("elb.example.com.", "A", &[]),
            ("hand.example.com.", "AAAA", &["2001:DB8::1"]),
            ("\\052.example.com.", "A", &["192.0.2.1"]),
            ("_kubefed.other.example.com.", "TXT", &["\"v=spf1\""]),
        ]);
        let told = |owner| view.held(&name("example.com"), owner).iter().map(|h| format!("{} {}", h.set, h.owned())).collect::<Vec<_>>();
        assert_eq!(
            told("fellowship"),
            ["hand.example.com. 60 AAAA 2001:db8::1 false", "web.example.com. 60 A 192.0.2.1 true", "web.example.com. 0 A  true"]
        );
        assert_eq!(told("mordor").len(), 2);
        assert_eq!(view.at(&name("elb.example.com")).others, ["A"]);
        assert!(view.at(&name("other.example.com")).marked().is_none());
    }

    #[test]
    fn a_name_below_a_delegation_is_known() {
        let view = view(&[("example.com.", "NS", &["ns"]), ("west.example.com.", "NS", &["ns"])]);
        assert_eq!(view.cut_above(&name("a.b.west.example.com"), &name("example.com")), Some(name("west.example.com")));
        assert_eq!(view.cut_above(&name("a.b.east.example.com"), &name("example.com")), None);
    }
}
