//! What there is in a zone, as record sets and whose they are. Pure.

use crate::{Data, DnsName, Held, Kind, Owner, RecordSet};

use super::mark::Mark;
use super::plan::record_type;
use super::value::{Set, Value};
use super::view::{Node, View};

/// The sets at or below a name. A mark whose set somebody took away is held as an empty one, so that it is found.
pub(super) fn below(view: &View, under: &DnsName, owner: &str) -> Vec<Held> {
    view.names().filter(|(name, _)| name.is_within(under)).flat_map(|(name, node)| at(name, node, owner)).collect()
}

/// The sets at a name.
pub(super) fn at(name: &DnsName, node: &Node, owner: &str) -> Vec<Held> {
    let mut held = Vec::new();
    let mark = node.mark.as_ref().and_then(Mark::read);
    for kind in Kind::ALL {
        let marked = mark.as_ref().filter(|mark| mark.kinds.contains(&kind));
        let owner = Owner::by_mark(marked.map(|mark| mark.owner.as_str()), owner);
        let (ttl, data) = match node.set(record_type(kind)) {
            Some(set) => match data(set) {
                Some(data) => (set.ttl, data),
                None => continue,
            },
            None if owner == Owner::Ours => (0, Data::A([].into())),
            None => continue,
        };
        held.push(Held { set: RecordSet { name: name.clone(), ttl, data }, owner });
    }
    held
}

fn data(set: &Set) -> Option<Data> {
    match set.values.first()? {
        Value::A(_) => Some(Data::A(set.values.iter().filter_map(|v| if let Value::A(ip) = v { Some(*ip) } else { None }).collect())),
        Value::Aaaa(_) => {
            Some(Data::Aaaa(set.values.iter().filter_map(|v| if let Value::Aaaa(ip) = v { Some(*ip) } else { None }).collect()))
        }
        Value::Alias(target) => Some(Data::Cname(target.clone())),
        Value::Text(_) | Value::Other(_) => None,
    }
}
