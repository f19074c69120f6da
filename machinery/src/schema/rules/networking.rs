//! `networking.k8s.io`.

use serde_json::Value;

use super::{items, one_of, port_number, selector, text};
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
    for (index, kind) in items(&spec["policyTypes"]) {
        one_of(kind, &format!("spec.policyTypes[{index}]"), &["Ingress", "Egress"], errors);
    }
}
