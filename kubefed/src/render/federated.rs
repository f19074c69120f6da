//! The Cluster object `join` creates in the federation.

use federation_api::cluster::{ClusterSpec, SecretRef, ServerAddressByClientCidr};
use federation_api::keys;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use crate::render::member::Member;
use crate::render::object::Object;

/// The resource of Clusters.
pub fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(keys::GROUP, keys::VERSION, "Cluster"), "clusters")
}

/// The Cluster of a member that is reached at `server`. `uid` is the member's; `credentials` changes with the secret in the
/// host, so that the controller manager reads it at once.
pub fn cluster(member: &Member, server: &str, uid: Option<&str>, credentials: Option<&str>) -> Object {
    let spec = ClusterSpec {
        server_address_by_client_cidrs: vec![ServerAddressByClientCidr {
            client_cidr: "0.0.0.0/0".to_owned(),
            server_address: server.to_owned(),
        }],
        secret_ref: Some(SecretRef { name: member.secret.clone() }),
    };
    let value = json!({
        "apiVersion": keys::API_VERSION,
        "kind": "Cluster",
        "metadata": {
            "name": member.cluster,
            "annotations": {
                keys::SERVICE_ACCOUNT_NAME: member.account(),
                keys::CLUSTER_ROLE_NAME: member.role(),
                keys::CLUSTER_UID: uid,
                keys::CREDENTIALS: credentials,
            },
        },
        "spec": spec,
    });
    Object::of(resource(), None, member.cluster.clone(), value)
}
