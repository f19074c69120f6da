//! What Route 53 refuses of a batch of changes and moto takes: a model of hosted zones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::xml;

/// Most values of a set where a zone says nothing else.
pub const VALUES: usize = 400;
/// Most values of a request, and their characters.
const REQUEST: (usize, usize) = (1000, 32_000);

/// A set as it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    pub name: String,
    pub kind: String,
    pub identifier: String,
    ttl: Option<String>,
    values: BTreeSet<String>,
    count: usize,
    alias: bool,
}

impl Set {
    pub fn parse(text: &str) -> Self {
        let values = xml::texts(text, "Value");
        Set {
            name: xml::text(text, "Name").unwrap_or_default().to_ascii_lowercase().trim_end_matches('.').to_owned() + ".",
            kind: xml::text(text, "Type").unwrap_or_default(),
            identifier: xml::text(text, "SetIdentifier").unwrap_or_default(),
            ttl: xml::text(text, "TTL"),
            count: values.len(),
            values: values.into_iter().collect(),
            alias: text.contains("<AliasTarget>"),
        }
    }

    fn key(&self) -> (String, String, String) {
        (self.name.clone(), self.kind.clone(), self.identifier.clone())
    }

    fn told(&self) -> String {
        format!("resource record set [name='{}', type='{}']", self.name, self.kind)
    }

    /// What is wrong with it whatever else there is.
    fn wrong(&self, zone: &str, most: usize) -> Option<String> {
        let (name, kind) = (&self.name, &self.kind);
        if name != zone && !name.ends_with(&format!(".{zone}")) {
            return Some(format!("RRSet with DNS name {name} is not permitted in zone {zone}"));
        }
        if name.trim_end_matches('.').split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Some(format!("FATAL problem: DomainLabelEmpty or DomainLabelTooLong encountered with '{name}'"));
        }
        if self.alias {
            return None;
        }
        if !self.ttl.as_ref().is_some_and(|ttl| ttl.parse::<u32>().is_ok_and(|ttl| ttl <= 2_147_483_647)) {
            return Some(format!("Invalid TTL {:?} of {name}", self.ttl));
        }
        let fits = |value: &String| match kind.as_str() {
            "A" => value.parse::<Ipv4Addr>().is_ok(),
            "AAAA" => value.parse::<Ipv6Addr>().is_ok(),
            "TXT" => value.starts_with('"') && value.ends_with('"') && value.len() > 2,
            "CNAME" => !value.is_empty() && self.count == 1 && name != zone,
            _ => true,
        };
        match self.values.iter().find(|value| !fits(value)) {
            Some(value) => Some(format!("Invalid Resource Record: FATAL problem: {kind} encountered with '{value}' at {name}")),
            None if self.count == 0 || self.count > most => Some(format!("{} has {} values", self.told(), self.count)),
            None if self.count != self.values.len() => Some(format!("Duplicate Resource Record in {}", self.told())),
            None => None,
        }
    }
}

/// One zone.
#[derive(Clone, Debug)]
pub struct Hosted {
    pub name: String,
    /// Most values of a set.
    pub most: usize,
    /// Most sets.
    pub room: usize,
    pub sets: BTreeMap<(String, String, String), Set>,
}

impl Hosted {
    /// The zone after a batch, and how many values were in it.
    ///
    /// # Errors
    /// What Route 53 would say; nothing of the batch happens then.
    pub fn after(&self, batch: &str) -> Result<(Self, usize), Vec<String>> {
        let (mut zone, mut messages, mut done) = (self.clone(), Vec::new(), BTreeSet::new());
        let (mut values, mut characters) = (0, 0);
        for change in xml::all(batch, "Change") {
            let (action, set) = (xml::text(change, "Action").unwrap_or_default(), Set::parse(change));
            let times = if action == "UPSERT" { 2 } else { 1 };
            values += times * set.count;
            characters += times * set.values.iter().map(String::len).sum::<usize>();
            messages.extend(set.wrong(&self.name, self.most));
            if !done.insert((action.clone(), set.key())) {
                messages.push(format!("The request contains an invalid set of changes for a {}", set.told()));
            }
            let (there, told) = (zone.sets.get(&set.key()), set.told());
            match (action.as_str(), there) {
                ("CREATE", Some(_)) => messages.push(format!("Tried to create {told} but it already exists")),
                ("DELETE", None) => messages.push(format!("Tried to delete {told} but it was not found")),
                ("DELETE", Some(there)) if *there != set => {
                    messages.push(format!("Tried to delete {told} but the values provided do not match the current values"));
                }
                ("DELETE", Some(_)) => drop(zone.sets.remove(&set.key())),
                _ => drop(zone.sets.insert(set.key(), set)),
            }
        }
        if values > REQUEST.0 || characters > REQUEST.1 {
            messages.push(format!("Number of records limit of {} or length of values limit of {} exceeded", REQUEST.0, REQUEST.1));
        }
        if zone.sets.len() > self.room {
            messages.push(format!("Limits Exceeded: MAX_RRSETS_BY_ZONE is {}", self.room));
        }
        for set in zone.sets.values() {
            let beside = |what: &dyn Fn(&&Set) -> bool| zone.sets.values().filter(|other| other.name == set.name).any(|other| what(&other));
            if set.kind == "CNAME" && beside(&|other| other.kind != "CNAME") {
                messages
                    .push(format!("RRSet of type CNAME with DNS name {} is not permitted as it conflicts with other records", set.name));
            }
            if set.identifier.is_empty() && beside(&|other| other.kind == set.kind && !other.identifier.is_empty()) {
                messages.push(format!("{} without and with a set identifier", set.told()));
            }
        }
        if messages.is_empty() { Ok((zone, values)) } else { Err(messages) }
    }
}
