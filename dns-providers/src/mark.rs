//! The mark of ownership of providers that have no field for it: one TXT record per name, at `_kubefed.<name>`, that lists
//! the types that are ours. Pure.

use std::collections::BTreeSet;

use crate::{DnsName, InvalidDnsName, Kind};

const LABEL: &str = "_kubefed.";
const HERITAGE: &str = "heritage=kubefed";

/// What a mark says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) owner: String,
    pub(crate) kinds: BTreeSet<Kind>,
}

/// Where the mark of a name stands.
///
/// # Errors
/// The name is too long for it.
pub(crate) fn at(name: &DnsName) -> Result<DnsName, InvalidDnsName> {
    DnsName::parse(&format!("{LABEL}{name}"))
}

/// The name whose mark would stand there.
pub(crate) fn marked(at: &DnsName) -> Option<DnsName> {
    at.as_str().strip_prefix(LABEL).and_then(|name| DnsName::parse(name).ok())
}

impl Mark {
    /// Reads the text of a TXT record, if it is a mark.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        if parts.next()? != HERITAGE {
            return None;
        }
        let mut mark = Mark { owner: String::new(), kinds: BTreeSet::new() };
        // Unknown keys are of a later version.
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "owner" => value.clone_into(&mut mark.owner),
                "types" => mark.kinds = Kind::ALL.into_iter().filter(|kind| value.split('+').any(|v| v == kind.to_string())).collect(),
                _ => {}
            }
        }
        Some(mark)
    }

    /// The text of the TXT record.
    pub(crate) fn text(&self) -> String {
        let kinds: Vec<String> = self.kinds.iter().map(Kind::to_string).collect();
        format!("{HERITAGE},v=1,owner={},types={}", self.owner, kinds.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_texts_are_none() {
        let mark = Mark { owner: "fellowship".to_owned(), kinds: [Kind::A, Kind::Aaaa].into() };
        assert_eq!(mark.text(), "heritage=kubefed,v=1,owner=fellowship,types=A+AAAA");
        assert_eq!(Mark::parse(&mark.text()), Some(mark.clone()));
        assert_eq!(Mark::parse("heritage=kubefed,v=2,owner=fellowship,new=1,types=A+AAAA+HTTPS"), Some(mark));
        assert_eq!(Mark::parse("heritage=external-dns,external-dns/owner=x"), None);
    }

    #[test]
    fn the_place_of_a_mark_tells_its_name() {
        let name = DnsName::parse("web.example.com").unwrap();
        assert_eq!(marked(&at(&name).unwrap()), Some(name.clone()));
        assert_eq!(marked(&name), None);
        assert!(at(&DnsName::parse(&format!("{}.com", ["abcdefg"; 31].join("."))).unwrap()).is_err());
    }
}
