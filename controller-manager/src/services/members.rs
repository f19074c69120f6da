//! Reading a Service out of a member. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;

use super::aggregate::Seen;
use super::ingress::Ingress;

/// Whether a Service is of type `LoadBalancer`; only those have addresses to publish.
pub(super) fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

/// The addresses of a Service's load balancer: sorted, unique.
pub(super) fn addresses(service: &Service) -> BTreeSet<Ingress> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    ingress.map(Ingress::from).filter(|i| !i.ip.is_empty() || !i.hostname.is_empty()).collect()
}

/// The Service as it is in a member.
pub(super) fn seen(service: Option<&Service>, answers: bool) -> Seen {
    match service {
        Some(service) if is_load_balancer(service) => Seen { present: true, ingress: addresses(service).into_iter().collect(), answers },
        _ => Seen::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_service_is_read() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "s"},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2", "ipMode": "VIP"}, {"hostname": "lb.example.net"}, {"ip": "192.0.2.1"}, {}]}}
        }))
        .unwrap();
        let seen = seen(Some(&service), true);
        let texts: Vec<String> = seen.ingress.iter().map(|i| format!("{}{}", i.ip, i.hostname)).collect();
        assert_eq!(texts, ["lb.example.net", "192.0.2.1", "192.0.2.2"]);
        let mut internal = service;
        internal.spec.as_mut().unwrap().type_ = Some("ClusterIP".into());
        assert_eq!(super::seen(Some(&internal), true), Seen::default());
    }
}
