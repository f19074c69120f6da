//! `networking.k8s.io`.

use std::net::IpAddr;

use serde_json::Value;

use super::checks::{items, one_of, port_number, text};
use super::{pod, selector};
use crate::schema::metadata;
use crate::status::FieldError;

/// Rules of an Ingress.
pub fn ingress(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    if items(&spec["rules"]).next().is_none() && spec["defaultBackend"].is_null() {
        errors.push(FieldError::invalid("spec", Value::Null, "either `defaultBackend` or `rules` must be specified"));
    }
    if spec["defaultBackend"].is_object() {
        backend(&spec["defaultBackend"], "spec.defaultBackend", errors);
    }
    for (index, rule) in items(&spec["rules"]) {
        let path = format!("spec.rules[{index}]");
        let host = text(&rule["host"]);
        if !host.is_empty()
            && let Err(why) = metadata::dns_subdomain(host.strip_prefix("*.").unwrap_or(host))
        {
            errors.push(FieldError::invalid(format!("{path}.host"), host, why));
        }
        if rule["http"].is_object() && items(&rule["http"]["paths"]).next().is_none() {
            errors.push(FieldError::required(format!("{path}.http.paths"), ""));
        }
        for (index, http) in items(&rule["http"]["paths"]) {
            let path = format!("{path}.http.paths[{index}]");
            http_path(http, &path, errors);
        }
    }
    let class = text(&spec["ingressClassName"]);
    if !class.is_empty() {
        errors.extend(metadata::dns_subdomain(class).err().map(|why| FieldError::invalid("spec.ingressClassName", class, why)));
    }
}

fn http_path(http: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (kind, value) = (text(&http["pathType"]), text(&http["path"]));
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
        return;
    }
    one_of(&http["pathType"], &format!("{path}.pathType"), &["Exact", "ImplementationSpecific", "Prefix"], errors);
    let absolute = value.starts_with('/') || kind == "ImplementationSpecific" && value.is_empty();
    if !absolute {
        errors.push(FieldError::invalid(format!("{path}.path"), value, "must be an absolute path"));
    }
    backend(&http["backend"], &format!("{path}.backend"), errors);
}

fn backend(backend: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match (&backend["service"], &backend["resource"]) {
        (Value::Null, Value::Null) => errors.push(FieldError::required(path, "port name or number is required")),
        (Value::Object(_), Value::Object(_)) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (service @ Value::Object(_), _) => {
            let (name, number) = (text(&service["port"]["name"]), &service["port"]["number"]);
            match (name.is_empty(), number.as_i64().unwrap_or_default()) {
                (true, 0) => errors.push(FieldError::required(path, "port name or number is required")),
                (true, _) => port_number(number, &format!("{path}.service.port.number"), errors),
                (false, 0) => {}
                (false, _) => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
            }
        }
        _ => {}
    }
}

/// Rules of a NetworkPolicy.
pub fn network_policy(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    selector::syntax(&spec["podSelector"], "spec.podSelector", errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[direction]) {
            let path = format!("spec.{direction}[{index}]");
            for (index, port) in items(&rule["ports"]) {
                policy_port(port, &format!("{path}.ports[{index}]"), errors);
            }
            for (index, peer) in items(&rule[peers]) {
                policy_peer(peer, &format!("{path}.{peers}[{index}]"), errors);
            }
        }
    }
    if items(&spec["policyTypes"]).count() > 2 {
        errors.push(FieldError::invalid("spec.policyTypes", spec["policyTypes"].clone(), "may not specify more than two policyTypes"));
        return;
    }
    for (index, kind) in items(&spec["policyTypes"]) {
        one_of(kind, &format!("spec.policyTypes[{index}]"), &["Ingress", "Egress"], errors);
    }
}

fn policy_port(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    one_of(&port["protocol"], &format!("{path}.protocol"), &["TCP", "UDP", "SCTP"], errors);
    let (end, end_path) = (&port["endPort"], format!("{path}.endPort"));
    match &port["port"] {
        Value::Null if !end.is_null() => {
            errors.push(FieldError::invalid(end_path, end.clone(), "may not be specified when `port` is not specified"))
        }
        Value::Null => {}
        Value::String(name) => {
            if !end.is_null() {
                errors.push(FieldError::invalid(end_path, end.clone(), "may not be specified when `port` is non-numeric"));
            }
            pod::port_name(name, &format!("{path}.port"), errors);
        }
        first => {
            port_number(first, &format!("{path}.port"), errors);
            if !end.is_null() {
                if end.as_i64() < first.as_i64() {
                    errors.push(FieldError::invalid(end_path.clone(), first.clone(), "must be greater than or equal to `port`"));
                }
                port_number(end, &end_path, errors);
            }
        }
    }
}

fn policy_peer(peer: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let selectors = ["podSelector", "namespaceSelector"].map(|key| (key, &peer[key]));
    for (key, value) in selectors.iter().filter(|(_, value)| value.is_object()) {
        selector::syntax(value, &format!("{path}.{key}"), errors);
    }
    let (block, any) = (&peer["ipBlock"], selectors.iter().any(|(_, value)| value.is_object()));
    if block.is_object() {
        ip_block(block, &format!("{path}.ipBlock"), errors);
    }
    match (block.is_object(), any) {
        (false, false) => errors.push(FieldError::required(path, "must specify a peer")),
        (true, true) => errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer")),
        _ => {}
    }
}

fn ip_block(block: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let whole = text(&block["cidr"]);
    if whole.is_empty() {
        errors.push(FieldError::required(format!("{path}.cidr"), ""));
        return;
    }
    let Some(outer) = cidr(whole) else {
        errors.push(FieldError::invalid(format!("{path}.cidr"), whole, NO_CIDR));
        return;
    };
    for (index, except) in items(&block["except"]) {
        let (path, except) = (format!("{path}.except[{index}]"), text(except));
        match cidr(except) {
            None => errors.push(FieldError::invalid(path, except, NO_CIDR)),
            Some(inner) if !within(inner, outer) => errors.push(FieldError::invalid(path, except, "must be a strict subset of `cidr`")),
            Some(_) => {}
        }
    }
}

const NO_CIDR: &str = "must be an address and the length of its prefix, such as 10.9.8.0/24 or 2001:db8::/64";

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// Whether a range of addresses is a part of another, and not all of it.
fn within((inner, length): (IpAddr, u8), (outer, whole): (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let same = (bits(inner) ^ bits(outer)).leading_zeros() >= u32::from(whole);
    inner.is_ipv4() == outer.is_ipv4() && length > whole && same
}
