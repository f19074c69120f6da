//! `federation/v1beta1` Cluster: one member of the federation.

use serde::{Deserialize, Serialize};

/// How to reach a member and how it is doing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSpec {
    /// Addresses of the member's API server; the first entry is used. Required, not empty.
    #[serde(rename = "serverAddressByClientCIDRs")]
    pub server_address_by_client_cidrs: Vec<ServerAddressByClientCidr>,
    /// Secret with the member's credentials, in the control plane's namespace of the host cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// One address of a member and the clients it is for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerAddressByClientCidr {
    /// Clients within this CIDR use the address.
    #[serde(rename = "clientCIDR")]
    pub client_cidr: String,
    /// URL of the API server; `https://` is assumed where the scheme is missing.
    pub server_address: String,
}

/// Name of a secret in the control plane's namespace.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct SecretRef {
    /// Name of the secret.
    pub name: String,
}

/// What the cluster controller last saw.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// `Ready` and `Offline`, as v1 wrote them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ClusterCondition>,
    /// Zones of the member's nodes: sorted, unique. Kept while the member is away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Region of the member's nodes. Kept while the member is away.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
}

/// One condition of a Cluster.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterCondition {
    /// `Ready` or `Offline`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// RFC 3339, when the member was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<String>,
    /// RFC 3339, when the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl ClusterStatus {
    /// Whether the condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
    }
}
