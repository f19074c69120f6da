//! From where a Service is to what can be published of it: host names of load balancers become addresses, or an alias. Pure.

use std::collections::BTreeSet;

use dns_providers::DnsName;

use super::records::{Addresses, Place, Tree};
use super::resolve::Resolved;
use super::site::{Site, Target};

/// The place a site is. Host names without a known address are added to `unresolved`.
pub fn place(tree: &Tree, site: &Site, resolved: &Resolved, unresolved: &mut BTreeSet<String>) -> Place {
    let mut addresses = Addresses::default();
    for target in &site.targets {
        match target {
            Target::Address(ip) => addresses.extend([*ip]),
            Target::Host(host) => match resolved.get(host) {
                Some(known) => {
                    addresses.v4.extend(&known.v4);
                    addresses.v6.extend(&known.v6);
                }
                None => drop(unresolved.insert(host.clone())),
            },
        }
    }
    let host = match site.targets.as_slice() {
        [Target::Host(name)] if tree.aliases_out => DnsName::parse(name).ok(),
        _ => None,
    };
    Place { region: site.region.clone(), zones: site.zones.clone(), addresses, host, worth: site.worth }
}
