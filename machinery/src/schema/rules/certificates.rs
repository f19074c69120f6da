//! `certificates.k8s.io`. The request itself is a matter of cryptography, which this crate has none of.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checks::{duplicate, items, not_supported, text};
use crate::schema::metadata;
use crate::status::FieldError;

/// Shortest life of a certificate that may be asked for, in seconds.
const SHORTEST: i64 = 600;
/// Longest name of a signer: a subdomain, a slash and as much again.
const LONGEST_SIGNER: usize = 571;
/// The signer of requests from before signers had names.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";

/// What a certificate may be for, in order.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Rules of a CertificateSigningRequest.
pub fn request(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    if items(&spec["usages"]).next().is_none() {
        errors.push(FieldError::required("spec.usages", ""));
    }
    let mut seen = BTreeSet::new();
    for (index, usage) in items(&spec["usages"]) {
        let path = format!("spec.usages[{index}]");
        if !USAGES.contains(&text(usage)) {
            errors.push(not_supported(&path, text(usage), &USAGES));
        }
        if !seen.insert(text(usage)) {
            errors.push(duplicate(path, usage));
        }
    }
    signer(text(&spec["signerName"]), errors);
    if spec["expirationSeconds"].as_i64().is_some_and(|seconds| seconds < SHORTEST) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", spec["expirationSeconds"].clone(), why));
    }
    conditions(&object["status"]["conditions"], errors);
}

fn signer(name: &str, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.signerName";
    let mut refuse = |why: &str| errors.push(FieldError::invalid(PATH, name, why));
    if name == LEGACY_SIGNER {
        return refuse("the legacy signerName is not allowed via this API version");
    }
    if name.is_empty() {
        return errors.push(FieldError::required(PATH, ""));
    }
    let Some((domain, path)) = name.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        return refuse("must be a fully qualified domain and path of the form 'example.com/signer-name'");
    };
    if !domain.contains('.') {
        refuse("should be a domain with at least two segments separated by dots");
    }
    for part in [domain, path] {
        if let Err(why) = metadata::dns_subdomain(part) {
            refuse(&why.to_string());
        }
    }
    if name.len() > LONGEST_SIGNER {
        refuse(&format!("must have at most {LONGEST_SIGNER} bytes"));
    }
}

fn conditions(list: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, condition) in items(list) {
        let (kind, status) = (text(&condition["type"]), text(&condition["status"]));
        let path = |field: &str| format!("status.conditions[{index}].{field}");
        if kind.is_empty() {
            errors.push(FieldError::required(path("type"), ""));
        }
        let decided = matches!(kind, "Approved" | "Denied" | "Failed");
        let allowed: &[&str] = if decided { &["True"] } else { &["False", "True", "Unknown"] };
        if status.is_empty() {
            errors.push(FieldError::required(path("status"), ""));
        } else if !allowed.contains(&status) {
            errors.push(not_supported(&path("status"), status, allowed));
        }
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if seen.contains(other) {
            errors.push(FieldError::invalid("status.conditions", kind, "Approved and Denied conditions are mutually exclusive"));
        }
        if !seen.insert(kind) {
            errors.push(duplicate(path("type"), &condition["type"]));
        }
    }
}

/// What no update takes away or writes over.
pub fn update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    for kind in ["Approved", "Denied", "Failed"] {
        if of_type(new, kind).len() < of_type(old, kind).len() {
            let why = format!("updates may not remove a condition of type {kind:?}");
            errors.push(FieldError::forbidden("status.conditions", why));
        }
    }
    let (is, was) = (text(&new["status"]["certificate"]), text(&old["status"]["certificate"]));
    if is != was && !was.is_empty() {
        errors.push(FieldError::forbidden("status.certificate", "updates may not modify existing certificate content"));
    }
}

/// What an update of the status may not change besides: who signs does not approve.
pub fn status_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let added = |kind: &&str| of_type(new, kind).len() > of_type(old, kind).len();
    let refused = ["Approved", "Denied"].into_iter().filter(added);
    refused.map(|kind| FieldError::forbidden("status.conditions", format!("updates may not add a condition of type {kind:?}"))).collect()
}

/// The conditions of a type.
pub fn of_type<'a>(object: &'a Value, kind: &str) -> Vec<&'a Value> {
    items(&object["status"]["conditions"]).map(|(_, condition)| condition).filter(|condition| condition["type"] == kind).collect()
}
