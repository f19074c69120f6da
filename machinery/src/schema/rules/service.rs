//! Services.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checks::{duplicate, items, not_supported, one_of, port_number, text};
use super::pod;
use crate::schema::metadata;
use crate::status::FieldError;

/// Rules of a Service.
pub fn service(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let kind = text(&spec["type"]);
    one_of(&spec["type"], "spec.type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], errors);
    one_of(&spec["sessionAffinity"], "spec.sessionAffinity", &["ClientIP", "None"], errors);
    one_of(&spec["externalTrafficPolicy"], "spec.externalTrafficPolicy", &["Cluster", "Local"], errors);
    one_of(&spec["internalTrafficPolicy"], "spec.internalTrafficPolicy", &["Cluster", "Local"], errors);
    errors.extend(metadata::labels(spec.get("selector"), "spec.selector"));
    let headless = text(&spec["clusterIP"]) == "None";
    if kind == "ExternalName" {
        let name = text(&spec["externalName"]);
        let bare = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            errors.push(FieldError::required("spec.externalName", ""));
        } else if let Err(why) = metadata::dns_subdomain(bare) {
            errors.push(FieldError::invalid("spec.externalName", name, why));
        }
    } else if items(&spec["ports"]).next().is_none() && !headless {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if headless && matches!(kind, "NodePort" | "LoadBalancer") {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", "None", detail));
    }
    ports(&spec["ports"], kind, errors);
    let needs_external = !matches!(kind, "NodePort" | "LoadBalancer") && items(&spec["externalIPs"]).next().is_none();
    if needs_external && !text(&spec["externalTrafficPolicy"]).is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid("spec.externalTrafficPolicy", spec["externalTrafficPolicy"].clone(), detail));
    }
}

fn ports(ports: &Value, kind: &str, errors: &mut Vec<FieldError>) {
    let several = items(ports).count() > 1;
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in items(ports) {
        let path = format!("spec.ports[{index}]");
        let name = text(&port["name"]);
        if several && name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            errors.extend(metadata::dns_label(name).err().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
            if !names.insert(name) {
                errors.push(duplicate(format!("{path}.name"), &port["name"]));
            }
        }
        port_number(&port["port"], &format!("{path}.port"), errors);
        let protocol = text(&port["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            errors.push(not_supported(&format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        if !port["targetPort"].is_null() {
            pod::target_port(&port["targetPort"], &format!("{path}.targetPort"), errors);
        }
        let node_port = port["nodePort"].as_i64().unwrap_or_default();
        if node_port != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
            let detail = format!("may not be used when `type` is '{kind}'");
            errors.push(FieldError::forbidden(format!("{path}.nodePort"), detail));
        }
        if !seen.insert((port["port"].as_i64(), protocol)) {
            let mut shown = serde_json::Map::new();
            shown.insert("port".into(), port["port"].clone());
            shown.insert("protocol".into(), port["protocol"].clone());
            errors.push(duplicate(path, &Value::Object(shown)));
        }
    }
}

/// A cluster address that was given stays, unless the Service becomes an ExternalName.
pub fn update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (is, was) = (text(&new["spec"]["clusterIP"]), text(&old["spec"]["clusterIP"]));
    let external = |object: &Value| text(&object["spec"]["type"]) == "ExternalName";
    if !was.is_empty() && is != was && !external(new) && !external(old) {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", is, "may not change once set"));
    }
    let (is, was) = (&new["spec"]["loadBalancerClass"], &old["spec"]["loadBalancerClass"]);
    if !was.is_null() && is != was && text(&new["spec"]["type"]) == "LoadBalancer" {
        errors.push(FieldError::invalid("spec.loadBalancerClass", is.clone(), "may not change once set"));
    }
}
