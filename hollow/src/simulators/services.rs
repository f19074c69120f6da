//! Services of type LoadBalancer get an address each.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

pub(super) async fn run(client: Client, network: [u8; 3]) {
    let mut given: HashMap<(String, String), Ipv4Addr> = HashMap::new();
    super::objects::for_each(Api::<Service>::all(client.clone()), |service| {
        let key = (service.namespace().unwrap_or_default(), service.name_any());
        let next = u8::try_from(given.len() % 253 + 1).unwrap_or(1);
        let [a, b, c] = network;
        let address = *given.entry(key).or_insert(Ipv4Addr::new(a, b, c, next));
        balance(client.clone(), service, address)
    })
    .await;
}

async fn balance(client: Client, service: Service, address: Ipv4Addr) -> kube::Result<()> {
    let is_balancer = service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("LoadBalancer");
    let current = service.status.as_ref().and_then(|s| s.load_balancer.as_ref()).and_then(|l| l.ingress.as_ref());
    if !is_balancer || current.is_some_and(|ingress| !ingress.is_empty()) {
        return Ok(());
    }
    let api = Api::<Service>::namespaced(client, &service.namespace().unwrap_or_default());
    let status = json!({"loadBalancer": {"ingress": [{"ip": address.to_string()}]}});
    super::objects::set_status(&api, &service.name_any(), &Value::Null, status).await
}
