//! One node that says where the member stands.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use federation_api::keys::{REGION_LABEL, ZONE_LABEL};

use super::member::Appearance;

pub(super) async fn run(client: Client, name: &str, appearance: &Appearance) {
    let api = Api::<Node>::all(client);
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {REGION_LABEL: appearance.region, ZONE_LABEL: appearance.zone}},
    });
    let status =
        json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Simulated", "message": "a hollow node"}]}});
    let result = async {
        api.patch(name, &PatchParams::apply("hollow").force(), &Patch::Apply(node)).await?;
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await
    };
    if let Err(error) = result.await {
        tracing::warn!(%error, node = name, "a hollow node could not register");
    }
}
