//! Sets of records as the provider keeps them.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::DnsName;

/// One value of a set. Zones are large and most of what is in them is ours, so addresses take little room.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Alias(DnsName),
    Text(TXT),
    Other(Box<RData>),
}

/// All records of one name and type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Set {
    pub(super) kind: RecordType,
    pub(super) ttl: u32,
    pub(super) values: Vec<Value>,
}

impl From<RData> for Value {
    fn from(data: RData) -> Self {
        match data {
            RData::A(ip) => Value::A(ip.0),
            RData::AAAA(ip) => Value::Aaaa(ip.0),
            RData::TXT(text) => Value::Text(text),
            RData::CNAME(target) => match DnsName::parse(&target.0.to_ascii()) {
                Ok(target) => Value::Alias(target),
                Err(_) => Value::Other(Box::new(RData::CNAME(target))),
            },
            other => Value::Other(Box::new(other)),
        }
    }
}

impl Value {
    /// As it is sent.
    pub(super) fn data(&self) -> RData {
        match self {
            Value::A(ip) => RData::A(A(*ip)),
            Value::Aaaa(ip) => RData::AAAA(AAAA(*ip)),
            Value::Alias(target) => RData::CNAME(CNAME(wire(target))),
            Value::Text(text) => RData::TXT(text.clone()),
            Value::Other(data) => (**data).clone(),
        }
    }

    /// Bytes of it in a message.
    pub(super) fn size(&self) -> usize {
        match self {
            Value::A(_) => 4,
            Value::Aaaa(_) => 16,
            Value::Alias(target) => target.as_str().len() + 1,
            Value::Text(text) => text.txt_data.iter().map(|part| part.len() + 1).sum(),
            // Other values are only read.
            Value::Other(_) => 0,
        }
    }
}

/// A name as messages have it. Every name of ours is one there: its rules are stricter.
pub(super) fn wire(name: &DnsName) -> Name {
    Name::from_labels(name.labels().map(str::as_bytes)).unwrap_or_else(|_| Name::root())
}
