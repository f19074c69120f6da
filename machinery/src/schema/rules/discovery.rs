//! `discovery.k8s.io`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::checks::{duplicate, items, not_supported, text};
use crate::schema::metadata;
use crate::status::{FieldError, FieldErrorKind};

/// Most endpoints of a slice.
const MAX_ENDPOINTS: usize = 1000;
/// Most addresses of one endpoint.
const MAX_ADDRESSES: usize = 100;

/// Rules of an EndpointSlice: addresses of one type, and ports with names of their own.
pub fn endpoint_slice(object: &Value, errors: &mut Vec<FieldError>) {
    let kind = text(&object["addressType"]);
    match kind {
        "" => errors.push(FieldError::required("addressType", "")),
        "FQDN" | "IPv4" | "IPv6" => {}
        other => errors.push(not_supported("addressType", other, &["FQDN", "IPv4", "IPv6"])),
    }
    too_many(&object["endpoints"], "endpoints", MAX_ENDPOINTS, errors);
    for (index, endpoint) in items(&object["endpoints"]) {
        let path = format!("endpoints[{index}].addresses");
        if items(&endpoint["addresses"]).next().is_none() {
            errors.push(FieldError::required(path.as_str(), "must contain at least 1 address"));
        }
        too_many(&endpoint["addresses"], &path, MAX_ADDRESSES, errors);
        for (at, address) in items(&endpoint["addresses"]) {
            if let Some(why) = unfit(kind, text(address)) {
                errors.push(FieldError::invalid(format!("{path}[{at}]"), address.clone(), why));
            }
        }
    }
    let mut names = BTreeSet::new();
    for (index, port) in items(&object["ports"]) {
        let (path, name) = (format!("ports[{index}].name"), text(&port["name"]));
        if !name.is_empty() {
            errors.extend(metadata::dns_label(name).err().map(|why| FieldError::invalid(path.as_str(), name, why)));
        }
        if !names.insert(name) {
            errors.push(duplicate(path, &name.into()));
        }
    }
}

/// Why an address is none of its type.
fn unfit(kind: &str, address: &str) -> Option<String> {
    match kind {
        "IPv4" if address.parse::<Ipv4Addr>().is_err() => Some("must be an IPv4 address".into()),
        "IPv6" if address.parse::<Ipv6Addr>().is_err() => Some("must be an IPv6 address".into()),
        "FQDN" => metadata::dns_subdomain(address.strip_suffix('.').unwrap_or(address)).err().map(String::from),
        _ => None,
    }
}

fn too_many(list: &Value, path: &str, most: usize, errors: &mut Vec<FieldError>) {
    if items(list).count() > most {
        let detail = format!("must have at most {most} items");
        errors.push(FieldError { field: path.into(), kind: FieldErrorKind::TooMany, value: None, detail });
    }
}
