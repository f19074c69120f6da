//! Services have endpoints as long as Deployments that they select have ready replicas.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

pub(super) async fn run(client: Client) {
    let services = super::objects::for_each(Api::<Service>::all(client.clone()), |service| publish(client.clone(), service));
    let deployments = super::objects::for_each(Api::<Deployment>::all(client.clone()), |deployment| {
        let client = client.clone();
        async move {
            let api = Api::<Service>::namespaced(client.clone(), &deployment.namespace().unwrap_or_default());
            for service in api.list(&ListParams::default()).await? {
                publish(client.clone(), service).await?;
            }
            Ok(())
        }
    });
    tokio::join!(services, deployments);
}

/// Writes the one EndpointSlice of a Service.
async fn publish(client: Client, service: Service) -> kube::Result<()> {
    let Some(selector) = service.spec.as_ref().and_then(|s| s.selector.clone()).filter(|s| !s.is_empty()) else { return Ok(()) };
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await?;
    let ready: i32 =
        deployments.iter().filter(|d| selects(&selector, d)).map(|d| d.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0)).sum();
    let address = |i: i32| format!("10.0.{}.{}", i / 250, i % 250 + 1);
    let endpoints: Vec<_> = (0..ready).map(|i| json!({"addresses": [address(i)], "conditions": {"ready": true}})).collect();
    // As Kubernetes does: a slice has the labels of its Service.
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert("kubernetes.io/service-name".into(), name.clone());
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-simulated"), "namespace": namespace, "labels": labels},
        "endpoints": endpoints, "ports": [],
    });
    let kind = ApiResource {
        group: "discovery.k8s.io".into(),
        version: "v1".into(),
        api_version: "discovery.k8s.io/v1".into(),
        kind: "EndpointSlice".into(),
        plural: "endpointslices".into(),
    };
    let api = Api::<DynamicObject>::namespaced_with(client, &namespace, &kind);
    api.patch(&format!("{name}-simulated"), &PatchParams::apply("hollow").force(), &Patch::Apply(slice)).await.map(drop)
}

fn selects(selector: &BTreeMap<String, String>, deployment: &Deployment) -> bool {
    let template = deployment.spec.as_ref().and_then(|s| s.template.metadata.as_ref());
    let labels = template.and_then(|m| m.labels.clone()).unwrap_or_default();
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
