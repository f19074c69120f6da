//! Services: ports with names, types and the fields each type may have.

use std::collections::HashSet;

use machinery::schema::metadata::{self, NameRule};
use machinery::status::FieldError;
use serde_json::Value;

use super::resource::Strategy;

/// Rules of services. Cluster addresses and node ports are given out in members, not here.
pub(super) struct Services;

impl Strategy for Services {
    fn prepare_update(&self, new: &mut Value, old: &Value) {
        // As in Kubernetes, an update that says nothing about addresses keeps them.
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            let external = new["spec"]["type"] == "ExternalName";
            if !external && new["spec"].get(field).is_none() && old["spec"].get(field).is_some() {
                new["spec"][field] = old["spec"][field].clone();
            }
        }
        keep_node_ports(new, old);
    }

    fn validate(&self, new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
        let spec = &new["spec"];
        let mut errors = Vec::new();
        let kind = spec["type"].as_str().unwrap_or("ClusterIP");
        let types = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
        if !types.contains(&kind) {
            errors.push(not_supported("spec.type", kind, &types));
        }
        let external_name = spec["externalName"].as_str().unwrap_or_default();
        if kind == "ExternalName" && metadata::dns_subdomain(external_name.trim_end_matches('.')).is_err() {
            errors.push(FieldError::invalid("spec.externalName", external_name, "must be a DNS name"));
        }
        let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let headless = spec["clusterIP"] == "None";
        if ports.is_empty() && kind != "ExternalName" && !headless {
            errors.push(FieldError::required("spec.ports", ""));
        }
        validate_ports(ports, &mut errors);
        let affinity = spec["sessionAffinity"].as_str().unwrap_or("None");
        if !["None", "ClientIP"].contains(&affinity) {
            errors.push(not_supported("spec.sessionAffinity", affinity, &["ClientIP", "None"]));
        }
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(metadata::dns_label)
    }
}

fn keep_node_ports(new: &mut Value, old: &Value) {
    let old_ports = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let with_node_ports = matches!(new["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    for port in new["spec"]["ports"].as_array_mut().into_iter().flatten().filter(|_| with_node_ports) {
        if port["nodePort"].as_i64().unwrap_or(0) == 0
            && let Some(same) = old_ports.iter().find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"])
            && !same["nodePort"].is_null()
        {
            port["nodePort"] = same["nodePort"].clone();
        }
    }
}

fn validate_ports(ports: &[Value], errors: &mut Vec<FieldError>) {
    let mut names = HashSet::new();
    let mut seen = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{i}].{field}");
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(at("name"), ""));
        } else if !name.is_empty() {
            if let Err(words) = metadata::dns_label(name) {
                errors.push(FieldError::invalid(at("name"), name, words));
            } else if !names.insert(name) {
                errors.push(duplicate(at("name"), name.into()));
            }
        }
        let number = port["port"].as_i64().unwrap_or(0);
        if !(1..=65535).contains(&number) {
            errors.push(FieldError::invalid(at("port"), number, "must be between 1 and 65535"));
        }
        if let Some(target) = port["targetPort"].as_i64().filter(|t| !(1..=65535).contains(t)) {
            errors.push(FieldError::invalid(at("targetPort"), target, "must be between 1 and 65535"));
        }
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            errors.push(not_supported(&at("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        if !seen.insert((number, protocol)) {
            errors.push(duplicate(format!("spec.ports[{i}]"), port.clone()));
        }
    }
}

pub(super) fn not_supported(field: &str, value: &str, known: &[&str]) -> FieldError {
    let quoted: Vec<String> = known.iter().map(|k| format!("\"{k}\"")).collect();
    FieldError {
        kind: machinery::status::FieldErrorKind::NotSupported,
        ..FieldError::invalid(field, value, format!("supported values: {}", quoted.join(", ")))
    }
}

fn duplicate(field: String, value: Value) -> FieldError {
    FieldError { kind: machinery::status::FieldErrorKind::Duplicate, ..FieldError::invalid(field, value, "") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(spec: &Value) -> Vec<String> {
        Services.validate(&json!({ "spec": spec }), None).into_iter().map(|e| e.field).collect()
    }

    #[test]
    fn ports_are_checked() {
        assert_eq!(fields(&json!({"ports": [{"port": 80}]})), Vec::<String>::new());
        assert_eq!(fields(&json!({})), ["spec.ports"]);
        assert_eq!(fields(&json!({"ports": [{"port": 80}, {"port": 0, "name": "a"}]})), ["spec.ports[0].name", "spec.ports[1].port"]);
        assert_eq!(fields(&json!({"type": "X", "ports": [{"port": 80, "protocol": "tcp"}]})), ["spec.type", "spec.ports[0].protocol"]);
    }

    #[test]
    fn an_update_keeps_addresses_it_does_not_mention() {
        let old =
            json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        Services.prepare_update(&mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], "10.0.0.1");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    }
}
