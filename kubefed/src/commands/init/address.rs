//! `init`: where the API server can be reached.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};
use kube::Api;
use kube::api::ListParams;

use crate::connection::Connection;
use crate::error::Failure;
use crate::printer::Printer;
use crate::render::config::{Addresses, ControlPlane, Exposure};
use crate::wait::{Look, Patience, until};

/// Waits until the API server's Service has an address.
///
/// # Errors
/// That it got none in time, and what to use instead.
pub(super) async fn find(printer: &Printer, host: &Connection, plane: &ControlPlane, patience: Patience) -> Result<Addresses, Failure> {
    Ok(Addresses { endpoint: plane.endpoint.clone(), ..of_service(printer, host, plane, patience).await? })
}

async fn of_service(printer: &Printer, host: &Connection, plane: &ControlPlane, patience: Patience) -> Result<Addresses, Failure> {
    let (namespace, name) = (plane.federation.namespace.as_str(), plane.federation.apiserver());
    let service = async || host.get_typed::<Service>(namespace, &name).await;
    let hint = "the host cluster may have no load balancer: use --api-server-service-type=NodePort, or install one such as MetalLB";
    match &plane.service {
        Exposure::LoadBalancer => {
            until(printer, "the address of the federation API server", patience, async || {
                let at = service().await?.map(|s| balanced(&s)).unwrap_or_default();
                let seen = format!("Service {namespace}/{name} of type LoadBalancer has no address");
                Ok(if at == Addresses::default() { Look::missing(seen, hint) } else { Look::Done(at) })
            })
            .await
        }
        Exposure::ClusterIp => {
            until(printer, "the address of the federation API server", patience, async || {
                let ip = service().await?.and_then(|s| s.spec?.cluster_ip?.parse().ok());
                let seen = format!("Service {namespace}/{name} has no cluster address");
                let at = |ip| Look::Done(Addresses { ips: vec![ip], ..Addresses::default() });
                Ok(ip.map_or_else(|| Look::missing(seen, "look at the Service with kubectl describe"), at))
            })
            .await
        }
        Exposure::NodePort { advertise, .. } => {
            let port = until(printer, "the node port of the federation API server", patience, async || {
                let port = service().await?.and_then(|s| s.spec?.ports?.first()?.node_port);
                let seen = format!("Service {namespace}/{name} has no node port");
                Ok(port.map_or_else(|| Look::missing(seen, "choose one with --api-server-port"), Look::Done))
            })
            .await?;
            let ips = match advertise {
                Some(ip) => vec![*ip],
                None => node_addresses(host).await?,
            };
            Ok(Addresses { ips, port: Some(port), ..Addresses::default() })
        }
    }
}

fn balanced(service: &Service) -> Addresses {
    let ingress = service.status.iter().flat_map(|s| &s.load_balancer).flat_map(|l| l.ingress.iter().flatten());
    let (mut ips, mut hostnames): (Vec<IpAddr>, Vec<String>) = (vec![], vec![]);
    for entry in ingress {
        ips.extend(entry.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
        hostnames.extend(entry.hostname.clone().filter(|h| !h.is_empty()));
    }
    Addresses { ips, hostnames, ..Addresses::default() }
}

async fn node_addresses(host: &Connection) -> Result<Vec<IpAddr>, Failure> {
    let hint = "name an address the API server can be reached at with --api-server-advertise-address";
    let nodes = Api::<Node>::all(host.client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map_err(|e| host.failed("listing nodes to find their addresses", &e).hint(hint))?;
    let ips: Vec<IpAddr> = nodes.items.iter().filter_map(node_address).collect();
    if ips.is_empty() { Err(Failure::new(format!("no node of context {} has an address", host.context)).hint(hint)) } else { Ok(ips) }
}

/// The first external address of a node, else its first internal one.
fn node_address(node: &Node) -> Option<IpAddr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let first = |kind: &str| addresses.iter().filter(|a| a.type_ == kind).find_map(|a| a.address.parse().ok());
    first("ExternalIP").or_else(|| first("InternalIP"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn external_addresses_come_before_internal_ones() {
        let node = |addresses| serde_json::from_value::<Node>(json!({"metadata": {}, "status": {"addresses": addresses}})).unwrap();
        let (int, ext) = (json!({"type": "InternalIP", "address": "10.0.0.1"}), json!({"type": "ExternalIP", "address": "198.18.0.1"}));
        assert_eq!(node_address(&node(json!([int, ext]))), "198.18.0.1".parse().ok());
        assert_eq!(node_address(&node(json!([int]))), "10.0.0.1".parse().ok());
        assert_eq!(node_address(&node(json!([{"type": "Hostname", "address": "n1"}]))), None);
    }

    #[test]
    fn a_load_balancer_may_give_addresses_or_names() {
        let service: Service = serde_json::from_value(json!({"metadata": {}, "status": {"loadBalancer": {"ingress": [
            {"ip": "198.18.0.1"}, {"hostname": "lb.example.com"}]}}}))
        .unwrap();
        let at = balanced(&service);
        assert_eq!(at.summary(), "198.18.0.1, lb.example.com");
        assert_eq!(balanced(&Service::default()), Addresses::default());
    }
}
