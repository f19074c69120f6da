//! What providers can do, where they differ. Users read it as a table in `docs/dns.md`, made from these records.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Change, RecordSet, mark};

/// Longest time to live, in seconds (RFC 2181 8).
pub const MAX_TTL: u32 = i32::MAX as u32;

/// What one provider can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// How much is changed together or not at all, in words; all changes of one name always are.
    pub together: &'static str,
    /// A change is refused where somebody else changed its name since that was read.
    pub guarded: bool,
    /// How the federation's records are told from those of others.
    pub marks: Marks,
    /// What a TTL may be, in seconds; a name with another is refused before anything is sent.
    pub ttl: RangeInclusive<u32>,
    /// Most values of one set, where the provider has such a bound for all its backends; as `ttl`.
    pub values: Option<usize>,
    /// Who asks for a name follows an alias out of the zone, so a load balancer that has a host name is published by it.
    /// Where members' DNS forwards to a server that answers for its own zones only, nobody would.
    pub aliases_out: bool,
    /// For so long a reading may be answered from memory: what others change is found that much later.
    pub remembers: Duration,
}

/// How ownership is marked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marks {
    /// A TXT record at `_kubefed.<name>`.
    Text,
    /// A field of the record itself.
    Field,
    /// Not at all: the zone is the federation's.
    Zone,
}

impl Capabilities {
    /// Why the provider could not hold what a change asks for.
    pub(crate) fn refuses(&self, change: &Change) -> Option<String> {
        let Change::Upsert(set) = change else { return None };
        let RecordSet { name, ttl, data } = set;
        if self.marks == Marks::Text && mark::marked(name).is_some() {
            return Some("names that begin with _kubefed are those of marks".to_owned());
        }
        if !self.ttl.contains(ttl) {
            return Some(format!("its TTL is {ttl}; a TTL is {} to {} seconds", self.ttl.start(), self.ttl.end()));
        }
        match (data.len(), self.values) {
            (0, _) => Some(format!("its {} set is empty", data.kind())),
            (count, Some(most)) if count > most => Some(format!("its {} set has {count} values; {most} are the most", data.kind())),
            _ => None,
        }
    }
}

/// A provider without bounds.
#[cfg(test)]
pub(crate) const ANY: Capabilities = Capabilities {
    together: "",
    guarded: true,
    marks: Marks::Field,
    ttl: 0..=MAX_TTL,
    values: None,
    aliases_out: false,
    remembers: Duration::ZERO,
};
