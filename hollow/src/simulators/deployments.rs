//! Deployments become ready a moment after they are asked for.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

/// As long as a quick pod takes, shortened so that a story stays short.
const START: Duration = Duration::from_millis(100);

pub(super) async fn run(client: Client) {
    super::objects::for_each(Api::<Deployment>::all(client.clone()), |deployment| ready(client.clone(), deployment)).await;
}

async fn ready(client: Client, deployment: Deployment) -> kube::Result<()> {
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let running = |n: Option<i32>| n.unwrap_or(0) == wanted;
    if running(status.replicas) && running(status.ready_replicas) && status.observed_generation == deployment.metadata.generation {
        return Ok(());
    }
    tokio::time::sleep(START).await;
    let api = Api::<Deployment>::namespaced(client, &deployment.namespace().unwrap_or_default());
    let wished = json!({
        "observedGeneration": deployment.metadata.generation, "replicas": wanted, "updatedReplicas": wanted,
        "readyReplicas": wanted, "availableReplicas": wanted,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "simulated"}],
    });
    super::objects::set_status(&api, &deployment.name_any(), &serde_json::to_value(&status).unwrap_or_default(), wished).await
}
