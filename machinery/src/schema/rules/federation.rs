//! `federation`: our own kinds.

use std::net::IpAddr;

use serde_json::Value;

use super::checks::{items, text};
use crate::schema::metadata;
use crate::status::FieldError;

/// Rules of a Cluster: at least one address, each for everybody or for a CIDR, and a name that a
/// secret can have.
pub fn cluster(object: &Value, errors: &mut Vec<FieldError>) {
    let addresses = &object["spec"]["serverAddressByClientCIDRs"];
    if items(addresses).next().is_none() {
        errors.push(FieldError::required("spec.serverAddressByClientCIDRs", ""));
    }
    for (index, address) in items(addresses) {
        if text(&address["serverAddress"]).is_empty() {
            errors.push(FieldError::required(format!("spec.serverAddressByClientCIDRs[{index}].serverAddress"), ""));
        }
        let cidr = text(&address["clientCIDR"]);
        if !cidr.is_empty() && !is_cidr(cidr) {
            let path = format!("spec.serverAddressByClientCIDRs[{index}].clientCIDR");
            errors.push(FieldError::invalid(path, cidr, "must be a CIDR such as 10.0.0.0/8"));
        }
    }
    let secret = text(&object["spec"]["secretRef"]["name"]);
    if !secret.is_empty() {
        errors.extend(metadata::dns_subdomain(secret).err().map(|why| FieldError::invalid("spec.secretRef.name", secret, why)));
    }
}

/// Longest reason of a revocation, in characters.
const LONGEST_REASON: usize = 1024;

/// Rules of a Credential: it is of a type that is known, and a reason is no book.
pub fn credential(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let type_ = text(&spec["type"]);
    if !matches!(type_, "Certificate" | "Token") {
        errors.push(FieldError::invalid("spec.type", type_, "must be Certificate or Token"));
    }
    let reason = text(&object["status"]["revoked"]["reason"]);
    if reason.chars().count() > LONGEST_REASON {
        errors.push(FieldError::invalid("status.revoked.reason", "<reason>", "must be no more than 1024 characters"));
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let digits = !bits.is_empty() && bits.bytes().all(|c| c.is_ascii_digit());
    digits && bits.parse::<u8>().is_ok_and(|bits| bits <= if address.is_ipv4() { 32 } else { 128 })
}
