//! `federation`: our own kinds.

use std::net::IpAddr;

use serde_json::Value;

use super::{items, text};
use crate::status::FieldError;

/// Rules of a Cluster: at least one address, each for everybody or for a CIDR.
pub fn cluster(object: &Value, errors: &mut Vec<FieldError>) {
    let addresses = &object["spec"]["serverAddressByClientCIDRs"];
    if items(addresses).next().is_none() {
        errors.push(FieldError::required("spec.serverAddressByClientCIDRs", ""));
    }
    for (index, address) in items(addresses) {
        let cidr = text(&address["clientCIDR"]);
        if !cidr.is_empty() && !is_cidr(cidr) {
            let path = format!("spec.serverAddressByClientCIDRs[{index}].clientCIDR");
            errors.push(FieldError::invalid(path, cidr, format!("must be a valid CIDR: invalid CIDR address: {cidr}")));
        }
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let digits = !bits.is_empty() && bits.bytes().all(|c| c.is_ascii_digit());
    digits && bits.parse::<u8>().is_ok_and(|bits| bits <= if address.is_ipv4() { 32 } else { 128 })
}
