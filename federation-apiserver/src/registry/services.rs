//! Services: addresses and node ports outlive updates that do not mention them.

use machinery::schema::metadata::{self, NameRule};
use serde_json::Value;

use super::resource::{Change, Strategy};

/// Services. Cluster addresses and node ports are given out in members, not here.
pub(super) struct Services;

impl Strategy for Services {
    fn prepare_update(&self, new: &mut Value, old: &Value, _: Change<'_>) {
        // As in Kubernetes, an update that says nothing about addresses keeps them.
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            let external = new["spec"]["type"] == "ExternalName";
            if !external && new["spec"].get(field).is_none() && old["spec"].get(field).is_some() {
                new["spec"][field] = old["spec"][field].clone();
            }
        }
        keep_node_ports(new, old);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_keeps_addresses_it_does_not_mention() {
        let old =
            json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        Services.prepare_update(&mut new, &old, Change { part: None, now: "" });
        assert_eq!(new["spec"]["clusterIP"], "10.0.0.1");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    }
}
