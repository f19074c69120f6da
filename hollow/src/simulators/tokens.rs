//! Secrets that ask for a service account's token get the one the server knows.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::member::Identity;

pub(super) async fn run(client: Client, identity: &Identity) {
    super::objects::for_each(Api::<Secret>::all(client.clone()), |secret| fill(client.clone(), identity, secret)).await;
}

async fn fill(client: Client, identity: &Identity, secret: Secret) -> kube::Result<()> {
    let asks = secret.type_.as_deref() == Some("kubernetes.io/service-account-token");
    if !asks || secret.data.as_ref().is_some_and(|d| d.contains_key("token")) {
        return Ok(());
    }
    let namespace = secret.namespace().unwrap_or_default();
    let data = BTreeMap::from([
        ("token", ByteString(identity.token.clone().into_bytes())),
        ("ca.crt", ByteString(identity.ca.clone())),
        ("namespace", ByteString(namespace.clone().into_bytes())),
    ]);
    let api = Api::<Secret>::namespaced(client, &namespace);
    api.patch(&secret.name_any(), &PatchParams::default(), &Patch::Merge(json!({ "data": data }))).await.map(drop)
}
