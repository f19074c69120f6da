//! Pod specs, alone and inside templates.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::checks::{duplicate, items, not_negative, not_supported, one_of, port_number, text};
use crate::schema::metadata;
use crate::status::FieldError;

/// Which restart policies a pod spec may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Restart {
    /// Pods on their own.
    Any,
    /// Deployments and their like.
    Always,
    /// Jobs.
    NotAlways,
}

/// A `PodTemplateSpec`.
pub(super) fn template(template: &Value, path: &str, restart: Restart, errors: &mut Vec<FieldError>) {
    errors.extend(metadata::labels(template["metadata"].get("labels"), &format!("{path}.metadata.labels")));
    spec(&template["spec"], &format!("{path}.spec"), restart, errors);
}

/// A `PodSpec`.
pub(super) fn spec(spec: &Value, path: &str, restart: Restart, errors: &mut Vec<FieldError>) {
    let volumes = volumes(&spec["volumes"], &format!("{path}.volumes"), errors);
    let containers = format!("{path}.containers");
    if items(&spec["containers"]).next().is_none() {
        errors.push(FieldError::required(containers.as_str(), ""));
    }
    let mut names = BTreeSet::new();
    for (list, path) in [("initContainers", format!("{path}.initContainers")), ("containers", containers)] {
        for (index, item) in items(&spec[list]) {
            let path = format!("{path}[{index}]");
            container(item, &path, &volumes, errors);
            let name = text(&item["name"]);
            if !name.is_empty() && !names.insert(name) {
                errors.push(duplicate(format!("{path}.name"), &item["name"]));
            }
        }
    }
    let policy = text(&spec["restartPolicy"]);
    let allowed: &[&str] = match restart {
        Restart::Any => &["Always", "OnFailure", "Never"],
        Restart::Always => &["Always"],
        Restart::NotAlways => &["OnFailure", "Never"],
    };
    if !allowed.contains(&policy) {
        let path = format!("{path}.restartPolicy");
        errors.push(match restart {
            Restart::NotAlways if matches!(policy, "" | "Always") => FieldError::required(path, "valid values: \"OnFailure\", \"Never\""),
            _ if policy.is_empty() => FieldError::required(path, ""),
            _ => not_supported(&path, policy, allowed),
        });
    }
    one_of(&spec["dnsPolicy"], &format!("{path}.dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    not_negative(&spec["terminationGracePeriodSeconds"], &format!("{path}.terminationGracePeriodSeconds"), errors);
    errors.extend(metadata::labels(spec.get("nodeSelector"), &format!("{path}.nodeSelector")));
    for key in ["serviceAccountName", "nodeName"] {
        let name = text(&spec[key]);
        if !name.is_empty() {
            errors.extend(metadata::dns_subdomain(name).err().map(|why| FieldError::invalid(format!("{path}.{key}"), name, why)));
        }
    }
}

/// Checks volumes and returns their names.
fn volumes<'a>(volumes: &'a Value, path: &str, errors: &mut Vec<FieldError>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in items(volumes) {
        let path = format!("{path}[{index}]");
        let name = text(&volume["name"]);
        if !name.is_empty() {
            errors.extend(metadata::dns_label(name).err().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
            if !names.insert(name) {
                errors.push(duplicate(format!("{path}.name"), &volume["name"]));
            }
        }
        let sources: Vec<&String> = volume.as_object().into_iter().flatten().map(|(k, _)| k).filter(|k| *k != "name").collect();
        for extra in sources.iter().skip(1) {
            errors.push(FieldError::forbidden(format!("{path}.{extra}"), "may not specify more than 1 volume type"));
        }
    }
    names
}

fn container(container: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    let name = text(&container["name"]);
    if !name.is_empty() {
        errors.extend(metadata::dns_label(name).err().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
    }
    let image = text(&container["image"]);
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    one_of(&container["imagePullPolicy"], &format!("{path}.imagePullPolicy"), &["Always", "IfNotPresent", "Never"], errors);
    one_of(&container["terminationMessagePolicy"], &format!("{path}.terminationMessagePolicy"), &["FallbackToLogsOnError", "File"], errors);
    ports(&container["ports"], &format!("{path}.ports"), errors);
    let mut mounts = BTreeMap::new();
    for (index, mount) in items(&container["volumeMounts"]) {
        let path = format!("{path}.volumeMounts[{index}]");
        let name = text(&mount["name"]);
        if !name.is_empty() && !volumes.contains(name) {
            errors.push(FieldError {
                field: format!("{path}.name"),
                kind: crate::status::FieldErrorKind::NotFound,
                value: Some(name.into()),
                detail: String::new(),
            });
        }
        let at = text(&mount["mountPath"]);
        if !at.is_empty() && mounts.insert(at, index).is_some() {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), at, "must be unique"));
        }
    }
    for (index, variable) in items(&container["env"]) {
        let name = text(&variable["name"]);
        if name.contains('=') || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            let detail = "must be printable ASCII without '='";
            errors.push(FieldError::invalid(format!("{path}.env[{index}].name"), name, detail));
        }
        let from = variable.get("valueFrom").and_then(Value::as_object);
        if from.is_some() && !text(&variable["value"]).is_empty() {
            let detail = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(format!("{path}.env[{index}].valueFrom"), "", detail));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[probe].is_object() {
            self::probe(&container[probe], &format!("{path}.{probe}"), probe, errors);
        }
    }
    resources(&container["resources"], &format!("{path}.resources"), errors);
}

fn ports(ports: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut names = BTreeSet::new();
    for (index, port) in items(ports) {
        let path = format!("{path}[{index}]");
        let number = &port["containerPort"];
        if number.as_i64().unwrap_or_default() == 0 {
            errors.push(FieldError::required(format!("{path}.containerPort"), ""));
        } else {
            port_number(number, &format!("{path}.containerPort"), errors);
        }
        if port["hostPort"].as_i64().unwrap_or_default() != 0 {
            port_number(&port["hostPort"], &format!("{path}.hostPort"), errors);
        }
        one_of(&port["protocol"], &format!("{path}.protocol"), &["SCTP", "TCP", "UDP"], errors);
        let name = text(&port["name"]);
        if !name.is_empty() {
            port_name(name, &format!("{path}.name"), errors);
            if !names.insert(name) {
                errors.push(duplicate(format!("{path}.name"), &port["name"]));
            }
        }
    }
}

/// IANA service names: at most 15 lower-case letters, digits and single inner dashes, with a letter.
pub(super) fn port_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |why: &str| errors.push(FieldError::invalid(path, name, why));
    if name.len() > 15 {
        refuse("must be no more than 15 characters");
    }
    if !name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-') {
        refuse("must be lower case letters, digits and '-'");
    }
    if !name.bytes().any(|c| c.is_ascii_lowercase()) {
        refuse("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        refuse("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        refuse("must not begin or end with a hyphen");
    }
}

fn probe(probe: &Value, path: &str, which: &str, errors: &mut Vec<FieldError>) {
    let handlers: Vec<&str> = ["exec", "httpGet", "tcpSocket", "grpc"].into_iter().filter(|h| probe[*h].is_object()).collect();
    match handlers.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a handler type")),
        [_, rest @ ..] => {
            for extra in rest {
                errors.push(FieldError::forbidden(format!("{path}.{extra}"), "may not specify more than 1 handler type"));
            }
        }
    }
    for key in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(&probe[key], &format!("{path}.{key}"), errors);
    }
    let successes = &probe["successThreshold"];
    if which != "readinessProbe" && successes.as_i64().is_some_and(|n| n != 1) {
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), successes.clone(), "must be 1"));
    }
    for handler in ["httpGet", "tcpSocket"] {
        if probe[handler].is_object() {
            target_port(&probe[handler]["port"], &format!("{path}.{handler}.port"), errors);
        }
    }
    if probe["grpc"].is_object() {
        port_number(&probe["grpc"]["port"], &format!("{path}.grpc.port"), errors);
    }
}

/// A port by number or by name.
pub(super) fn target_port(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match port.as_str() {
        Some(name) => port_name(name, path, errors),
        None => port_number(port, path, errors),
    }
}

fn resources(resources: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for list in ["limits", "requests"] {
        for (name, quantity) in resources[list].as_object().into_iter().flatten() {
            let amount = text(quantity);
            if amount.starts_with('-') {
                errors.push(FieldError::invalid(format!("{path}.{list}[{name}]"), amount, "must be greater than or equal to 0"));
            }
            let standard = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
            if !standard && !name.contains('/') {
                for detail in ["must be a standard resource type or fully qualified", "must be a standard resource for containers"] {
                    errors.push(FieldError::invalid(format!("{path}.{list}[{name}]"), name.as_str(), detail));
                }
            }
        }
    }
}
