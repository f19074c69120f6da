//! The provider trait, what a provider is opened with, and finding the zone to publish in.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::{Capabilities, Change, DnsName, Error, RecordSet};

/// What a provider is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the provider, one of [`known`](crate::known).
    pub provider: String,
    /// Its configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// Name of the federation, written into everything as the mark of ownership.
    pub owner: String,
    /// The zone to publish in; the embedded provider serves it when its configuration names no zones.
    pub zone: Option<DnsName>,
    /// The provider's id of it, if one was named.
    pub zone_id: Option<String>,
}

/// One zone of a provider.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Zone {
    /// Its domain.
    pub name: DnsName,
    /// The provider's own identifier of it.
    pub id: String,
    /// What else tells it from others of its name; may be empty.
    pub about: String,
}

/// Who wrote a record set, by its mark of ownership.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// Nobody who marks what is his: a person, another program, or Federation v1.
    Unmarked,
    /// The federation of this name, which is another.
    Federation(String),
    /// This federation.
    Ours,
}

/// A record set a provider holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// The set.
    pub set: RecordSet,
    /// Who wrote it. Sets of others are never changed.
    pub owner: Owner,
}

impl Owner {
    /// What a mark says to the federation `own`; `None` is no mark.
    pub(crate) fn by_mark(mark: Option<&str>, own: &str) -> Self {
        match mark {
            None | Some("") => Owner::Unmarked,
            Some(name) if name == own => Owner::Ours,
            Some(name) => Owner::Federation(name.to_owned()),
        }
    }
}

impl Held {
    /// Whether this federation wrote it.
    pub fn owned(&self) -> bool {
        self.owner == Owner::Ours
    }
}

/// A name of a batch that was left as it is, and why; the rest of the batch was applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// The name.
    pub name: DnsName,
    /// One sentence.
    pub reason: String,
}

/// Where the federation's names are published.
///
/// A provider is opened for one federation and marks what it writes with that federation's name.
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// The name it is registered under.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// All zones it can write to.
    async fn zones(&self) -> Result<Vec<Zone>, Error>;

    /// Every A, AAAA and CNAME set of `zone` at or below `under`, as of one moment.
    ///
    /// A provider that holds several sets of one name and type (others wrote there too) lists each.
    async fn read(&self, zone: &Zone, under: &DnsName) -> Result<Vec<Held>, Error>;

    /// Applies a batch. All changes of one name happen together; names whose change cannot be made
    /// (someone else holds them, or the backend refuses the value) are returned and left as they are.
    ///
    /// # Errors
    /// The backend is away: some names of a large batch may be applied. Applying the same batch again is safe.
    async fn apply(&self, zone: &Zone, batch: &[Change]) -> Result<Vec<Rejected>, Error>;

    /// Marks names as this federation's, with all their sets as they stand: nothing else changes. `sets` are all sets of these
    /// names as they were read. A name that is no longer so is returned and left as it is; so is one of another federation,
    /// unless that is the owner of a set here.
    ///
    /// # Errors
    /// The backend is away: some names may be marked. The same again is safe.
    async fn adopt(&self, zone: &Zone, sets: &[Held]) -> Result<Vec<Rejected>, Error>;

    /// Waits until the provider itself answers no more though nobody stopped it, and says why; for ever where something
    /// else answers.
    async fn ended(&self) -> String {
        std::future::pending().await
    }

    /// Addresses at which the provider itself answers queries; empty if something else does.
    fn addresses(&self) -> Vec<SocketAddr> {
        Vec::new()
    }
}

/// Finds the one zone meant by a name (final dot does not matter), an identifier, or both.
///
/// # Errors
/// [`Error::Zone`] if none or more than one fits, listing the zones there are.
pub fn select_zone(zones: &[Zone], name: &str, id: Option<&str>) -> Result<Zone, Error> {
    let id = id.filter(|id| !id.is_empty());
    let plain = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let fits: Vec<&Zone> = zones
        .iter()
        .filter(|zone| name.is_empty() || plain(zone.name.as_str()) == plain(name))
        // Some write an id as a path, which providers' own tools print.
        .filter(|zone| id.is_none_or(|id| id.rsplit('/').next() == Some(&zone.id)))
        .collect();
    let one = |zone: &Zone| match zone.about.as_str() {
        "" => format!("{} (id {})", zone.name, zone.id),
        about => format!("{} (id {}, {about})", zone.name, zone.id),
    };
    let listed = || zones.iter().map(one).collect::<Vec<_>>().join(", ");
    match fits.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Error::Zone {
            message: format!("no DNS zone matches name \"{name}\" and id \"{}\"", id.unwrap_or_default()),
            hint: if zones.is_empty() {
                "the provider has no zones: name one in its configuration, for example zones = example.com.".to_owned()
            } else {
                format!("the provider has: {}", listed())
            },
        }),
        _ => Err(Error::Zone {
            message: format!("multiple matching DNS zones found for \"{name}\"; please specify the zone's id"),
            hint: format!("the provider has: {}", listed()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str, id: &str) -> Zone {
        Zone { name: DnsName::parse(name).unwrap(), id: id.to_owned(), about: String::new() }
    }

    #[test]
    fn a_zone_is_found_by_name_or_id_and_must_be_the_only_one() {
        let zones = [zone("example.com", "0"), zone("example.com", "1"), zone("example.net", "2")];
        assert_eq!(select_zone(&zones, "Example.NET", None).unwrap().id, "2");
        assert_eq!(select_zone(&zones, "example.com.", Some("1")).unwrap().id, "1");
        assert_eq!(select_zone(&zones, "", Some("0")).unwrap().id, "0");
        assert_eq!(select_zone(&zones, "", Some("/hostedzone/2")).unwrap().id, "2");
        let many = select_zone(&zones, "example.com", None).unwrap_err();
        assert!(many.to_string().contains("multiple matching DNS zones found for \"example.com\""), "{many}");
        let none = select_zone(&zones, "example.org", None).unwrap_err();
        assert!(none.hint().unwrap().contains("example.net. (id 2)"));
        assert!(none.is_configuration());
    }
}
