//! Record sets and changes to them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::DnsName;

/// The type of a record set.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// An alias; excludes every other type at its name.
    Cname,
}

impl Kind {
    /// Every type a federation publishes.
    pub const ALL: [Kind; 3] = [Kind::A, Kind::Aaaa, Kind::Cname];
}

/// The values of a record set: sorted and unique by construction, never mixed.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Data {
    /// IPv4 addresses.
    A(BTreeSet<Ipv4Addr>),
    /// IPv6 addresses.
    Aaaa(BTreeSet<Ipv6Addr>),
    /// The name this one stands for.
    Cname(DnsName),
}

/// All records of one name and type.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RecordSet {
    /// Whose records they are.
    pub name: DnsName,
    /// How long a resolver may keep them, in seconds.
    pub ttl: u32,
    /// Their values.
    pub data: Data,
}

/// One step of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// The name shall have exactly this set of this type.
    Upsert(RecordSet),
    /// The name shall have no set of this type.
    Delete {
        /// Whose records.
        name: DnsName,
        /// Of which type.
        kind: Kind,
    },
}

impl Data {
    /// The type of the set.
    pub fn kind(&self) -> Kind {
        match self {
            Data::A(_) => Kind::A,
            Data::Aaaa(_) => Kind::Aaaa,
            Data::Cname(_) => Kind::Cname,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Data::A(set) => set.len(),
            Data::Aaaa(set) => set.len(),
            Data::Cname(_) => 1,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in their usual text form, in order.
    pub fn values(&self) -> Vec<String> {
        match self {
            Data::A(set) => set.iter().map(Ipv4Addr::to_string).collect(),
            Data::Aaaa(set) => set.iter().map(Ipv6Addr::to_string).collect(),
            Data::Cname(target) => vec![target.to_string()],
        }
    }
}

impl Change {
    /// The name that is changed.
    pub fn name(&self) -> &DnsName {
        match self {
            Change::Upsert(set) => &set.name,
            Change::Delete { name, .. } => name,
        }
    }

    /// The type that is changed.
    pub fn kind(&self) -> Kind {
        match self {
            Change::Upsert(set) => set.data.kind(),
            Change::Delete { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Cname => "CNAME",
        })
    }
}

impl fmt::Display for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name, self.ttl, self.data.kind(), self.data.values().join(" "))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Upsert(set) => write!(f, "upsert {set}"),
            Change::Delete { name, kind } => write!(f, "delete {name} {kind}"),
        }
    }
}
