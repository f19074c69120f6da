//! From what is known of a Service to the record sets its names should have. Pure.
//!
//! Names and levels are Federation v1's: a name for each zone and region that holds the Service, and the
//! global one; a zone or region without addresses of its own is an alias of the next level up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns_providers::{Data, DnsName, RecordSet};

use super::site::{ServiceKey, Worth};

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;

/// How long resolvers keep our answers, in seconds; v1's value.
pub const TTL: u32 = 180;

/// Addresses, the two families apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// IPv4.
    pub v4: BTreeSet<Ipv4Addr>,
    /// IPv6.
    pub v6: BTreeSet<Ipv6Addr>,
}

impl Addresses {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl Extend<IpAddr> for Addresses {
    fn extend<T: IntoIterator<Item = IpAddr>>(&mut self, addresses: T) {
        for address in addresses {
            match address {
                IpAddr::V4(ip) => drop(self.v4.insert(ip)),
                IpAddr::V6(ip) => drop(self.v6.insert(ip)),
            }
        }
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        let mut all = Addresses::default();
        all.extend(addresses);
        all
    }
}

/// A Service in one cluster, its host names resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Region of the cluster; empty if unknown.
    pub region: String,
    /// Zones of the cluster.
    pub zones: Vec<String>,
    /// The load balancer's addresses.
    pub addresses: Addresses,
    /// The host name by which alone the load balancer is known, where a name may be an alias of it.
    pub host: Option<DnsName>,
    /// What they are worth.
    pub worth: Worth,
}

impl Place {
    /// Whether there is anything to publish of it.
    fn is_known(&self) -> bool {
        !self.addresses.is_empty() || self.host.is_some()
    }
}

/// What one name answers with.
#[derive(Default)]
struct Level {
    addresses: Addresses,
    /// Host names of the load balancers; one of them none where a load balancer has addresses of its own.
    hosts: BTreeSet<Option<DnsName>>,
    up: Option<DnsName>,
}

/// Where the federation's names hang.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tree {
    /// Name of the federation.
    pub federation: String,
    /// Suffix of every name, usually the zone's name.
    pub suffix: DnsName,
    /// TTL of every record, in seconds.
    pub ttl: u32,
    /// A name may be an alias of a load balancer's host name.
    pub aliases_out: bool,
}

impl Tree {
    /// `<service>.<namespace>.<federation>.svc[.<level>].<suffix>`.
    ///
    /// # Errors
    /// The name breaks a rule of DNS, with the rule.
    pub fn name(&self, service: &ServiceKey, level: &str) -> Result<DnsName, dns_providers::InvalidDnsName> {
        let dot = if level.is_empty() { "" } else { "." };
        DnsName::parse(&format!("{}.{}.{}.svc{dot}{level}.{}", service.name, service.namespace, self.federation, self.suffix))
    }

    /// The Service a name of this federation belongs to; `None` for every other name.
    pub fn service_of(&self, name: &DnsName) -> Option<ServiceKey> {
        if !name.is_within(&self.suffix) {
            return None;
        }
        let rest = name.as_str().strip_suffix(self.suffix.as_str())?;
        let mut labels = rest.split('.');
        let (service, namespace) = (labels.next()?, labels.next()?);
        let below = labels.collect::<Vec<_>>().join(".");
        let mark = format!("{}.svc.", self.federation.to_ascii_lowercase());
        below.starts_with(&mark).then(|| ServiceKey { namespace: namespace.to_owned(), name: service.to_owned() })
    }

    /// The domain under which the names of a region, or of a zone of it, end.
    pub fn level(&self, region: &str, zone: Option<&str>) -> Option<DnsName> {
        let level = zone.map_or_else(|| region.to_owned(), |zone| format!("{zone}.{region}"));
        DnsName::parse(&format!("{level}.{}", self.suffix)).ok()
    }
}

/// What a Service should have, and what cannot be had.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Desired {
    /// All sets of all its names.
    pub sets: Vec<RecordSet>,
    /// Names that break a rule of DNS; the others are published.
    pub problems: Vec<String>,
}

/// The record sets of a Service that is in these places.
///
/// The places of the highest worth are published, so an answer never becomes empty while an address is
/// known: if every cluster is away, what was last known stays.
pub fn desired(tree: &Tree, service: &ServiceKey, places: &[Place]) -> Desired {
    let mut out = Desired::default();
    let Some(best) = places.iter().filter(|p| p.is_known()).map(|p| p.worth).max() else { return out };
    let mut levels: BTreeMap<DnsName, Level> = BTreeMap::new();
    let mut problems = BTreeSet::new();
    let mut named = |level: &str| match tree.name(service, level) {
        Ok(name) => Some(name),
        Err(invalid) => {
            problems.insert(invalid.to_string());
            None
        }
    };
    let Some(global) = named("") else {
        out.problems.extend(problems);
        return out;
    };
    for place in places {
        let region = Some(&place.region).filter(|r| !r.is_empty()).and_then(|region| named(region));
        let up = region.clone().unwrap_or_else(|| global.clone());
        let mut names = vec![(global.clone(), None)];
        names.extend(region.map(|region| (region, Some(global.clone()))));
        if !place.region.is_empty() {
            let zones = place.zones.iter().filter(|zone| !zone.is_empty());
            names.extend(zones.filter_map(|zone| Some((named(&format!("{zone}.{}", place.region))?, Some(up.clone())))));
        }
        for (name, up) in names {
            let level = levels.entry(name).or_insert_with(|| Level { up, ..Level::default() });
            if place.worth == best && place.is_known() {
                level.addresses.v4.extend(&place.addresses.v4);
                level.addresses.v6.extend(&place.addresses.v6);
                level.hosts.insert(place.host.clone());
            }
        }
    }
    for (name, Level { addresses, hosts, up }) in levels {
        let mut push = |data| out.sets.push(RecordSet { name: name.clone(), ttl: tree.ttl, data });
        // An alias excludes everything else at its name, so it stands for one load balancer only.
        let host = hosts.iter().flatten().next().filter(|_| hosts.len() == 1);
        match (host, up) {
            (Some(host), _) => push(Data::Cname(host.clone())),
            (None, Some(up)) if addresses.is_empty() => push(Data::Cname(up)),
            _ => {
                if !addresses.v4.is_empty() {
                    push(Data::A(addresses.v4));
                }
                if !addresses.v6.is_empty() {
                    push(Data::Aaaa(addresses.v6));
                }
            }
        }
    }
    out.problems.extend(problems);
    out
}
