//! The mark of ownership: one TXT record per name, at `_kubefed.<name>`, that lists the types that are ours.

use std::collections::BTreeSet;

use hickory_proto::rr::rdata::TXT;

use crate::{DnsName, InvalidDnsName, Kind};

use super::value::{Set, Value};

const LABEL: &str = "_kubefed.";
const HERITAGE: &str = "heritage=kubefed";
/// The types a federation publishes.
pub(super) const KINDS: [Kind; 3] = [Kind::A, Kind::Aaaa, Kind::Cname];

/// What a mark says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    pub(super) owner: String,
    pub(super) kinds: BTreeSet<Kind>,
}

/// Where the mark of a name stands.
///
/// # Errors
/// The name is too long for it.
pub(super) fn at(name: &DnsName) -> Result<DnsName, InvalidDnsName> {
    DnsName::parse(&format!("{LABEL}{name}"))
}

/// The name whose mark would stand there.
pub(super) fn marked(at: &DnsName) -> Option<DnsName> {
    at.as_str().strip_prefix(LABEL).and_then(|name| DnsName::parse(name).ok())
}

impl Mark {
    /// Reads a TXT set; it is a mark if it has one value and that is one.
    pub(super) fn read(set: &Set) -> Option<Self> {
        let [Value::Text(text)] = set.values.as_slice() else { return None };
        let text = String::from_utf8(text.txt_data.concat()).ok()?;
        let mut parts = text.split(',');
        if parts.next()? != HERITAGE {
            return None;
        }
        let mut mark = Mark { owner: String::new(), kinds: BTreeSet::new() };
        // Unknown keys are of a later version.
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "owner" => value.clone_into(&mut mark.owner),
                "types" => mark.kinds = KINDS.into_iter().filter(|kind| value.split('+').any(|v| v == kind.to_string())).collect(),
                _ => {}
            }
        }
        Some(mark)
    }

    pub(super) fn write(&self) -> Value {
        let kinds: Vec<String> = self.kinds.iter().map(Kind::to_string).collect();
        Value::Text(TXT::new(vec![format!("{HERITAGE},v=1,owner={},types={}", self.owner, kinds.join("+"))]))
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;

    use super::*;

    fn read(values: &[Value]) -> Option<Mark> {
        Mark::read(&Set { kind: RecordType::TXT, ttl: 60, values: values.to_vec() })
    }

    #[test]
    fn what_is_written_is_read_and_other_texts_are_none() {
        let mark = Mark { owner: "fellowship".to_owned(), kinds: [Kind::A, Kind::Aaaa].into() };
        assert_eq!(mark.write().data().to_string(), "heritage=kubefed,v=1,owner=fellowship,types=A+AAAA");
        assert_eq!(read(&[mark.write()]), Some(mark.clone()));
        let text = |parts: &[&str]| Value::Text(TXT::new(parts.iter().map(ToString::to_string).collect()));
        assert_eq!(read(&[text(&["heritage=kubefed,v=2,owner=fellow", "ship,new=1,types=A+AAAA+HTTPS"])]), Some(mark.clone()));
        assert_eq!(read(&[text(&["heritage=external-dns,external-dns/owner=x"])]), None);
        assert_eq!(read(&[mark.write(), text(&["v=spf1"])]), None);
    }

    #[test]
    fn the_place_of_a_mark_tells_its_name() {
        let name = DnsName::parse("web.example.com").unwrap();
        assert_eq!(marked(&at(&name).unwrap()), Some(name.clone()));
        assert_eq!(marked(&name), None);
        assert!(at(&DnsName::parse(&format!("{}.com", ["abcdefg"; 31].join("."))).unwrap()).is_err());
    }
}
