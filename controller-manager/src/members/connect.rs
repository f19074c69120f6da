//! From a Cluster to a client for the member.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use async_trait::async_trait;
use federation_api::{cluster::ClusterSpec, keys};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::config::{AuthInfo, Cluster, Context as KubeContext, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use sha2::{Digest, Sha256};

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;

/// A client for a member.
pub struct Connection {
    /// The client.
    pub client: kube::Client,
    /// Changes whenever the address or the credentials change.
    pub fingerprint: String,
}

/// The member's server could not be told from an impostor, which would receive what the federation writes, Secrets too.
#[derive(Debug, thiserror::Error)]
#[error(
    "spec.secretRef is missing, so the member's server cannot be checked; name a secret, or allow it by annotation {}={ALLOWED}",
    keys::INSECURE
)]
pub struct Insecure;

/// Value of the annotation that allows a member that is not checked.
const ALLOWED: &str = "true";

/// Whether the Cluster's annotations allow to talk to a member whose server is not checked.
pub fn allows_insecure(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(keys::INSECURE).is_some_and(|value| value == ALLOWED)
}

/// Makes clients for members.
#[async_trait]
pub trait MemberConnector: Send + Sync + 'static {
    /// A client for the member, or nothing when the one made before (with the fingerprint `known`) is still right.
    ///
    /// # Errors
    /// [`Insecure`] when nobody said that the member may be talked to unchecked (`insecure`); whatever else is in the way.
    async fn connect(&self, cluster: &str, spec: &ClusterSpec, insecure: bool, known: Option<&str>) -> anyhow::Result<Option<Connection>>;
}

/// Where members' credentials are: a client of the host cluster, and the control plane's namespace there.
#[derive(Clone)]
pub struct HostCredentials {
    /// Client of the host cluster.
    pub client: kube::Client,
    /// The control plane's namespace.
    pub namespace: String,
}

/// Reads credentials from secrets of the host cluster, as v1 did.
pub struct HostConnector {
    host: Option<HostCredentials>,
}

impl HostConnector {
    /// Without a host only members that need no credentials can be reached, if they are allowed.
    pub fn new(host: Option<HostCredentials>) -> Self {
        Self { host }
    }
}

#[async_trait]
impl MemberConnector for HostConnector {
    async fn connect(&self, cluster: &str, spec: &ClusterSpec, insecure: bool, known: Option<&str>) -> anyhow::Result<Option<Connection>> {
        let server = server_url(spec)?;
        if spec.secret_ref.is_none() && !insecure {
            return Err(Insecure.into());
        }
        let data = match &spec.secret_ref {
            None => BTreeMap::new(),
            Some(secret) => {
                let host = self.host.as_ref().context("the host cluster is not known, so no secret can be read: give --host-kubeconfig")?;
                let secrets = kube::Api::<Secret>::namespaced(host.client.clone(), &host.namespace);
                let found = secrets.get(&secret.name).await;
                found.with_context(|| format!("reading secret {}/{}", host.namespace, secret.name))?.data.unwrap_or_default()
            }
        };
        let fingerprint = fingerprint(&server, &data);
        if known == Some(fingerprint.as_str()) {
            return Ok(None);
        }
        let access = if spec.secret_ref.is_some() { Access::from_secret(&data)? } else { Access::Anonymous };
        let config = access.into_config(cluster, &server).await?;
        let client = kube::Client::try_from(config).context("building the member's client")?;
        Ok(Some(Connection { client, fingerprint }))
    }
}

/// The address of the member: the first entry, with `https://` where the scheme is missing.
pub fn server_url(spec: &ClusterSpec) -> anyhow::Result<String> {
    let address = spec.server_address_by_client_cidrs.first().map_or("", |a| a.server_address.as_str());
    if address.is_empty() {
        bail!("spec.serverAddressByClientCIDRs has no address");
    }
    Ok(if address.contains("://") { address.to_owned() } else { format!("https://{address}") })
}

fn fingerprint(server: &str, data: &BTreeMap<String, ByteString>) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(server.as_bytes()).chain(data.iter().flat_map(|(k, v)| [k.as_bytes(), v.0.as_slice()])) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// What a secret lets us be.
#[derive(Debug, PartialEq)]
pub enum Access {
    /// A bearer token, and the certificates the member's server is checked against.
    Token {
        /// The token.
        token: String,
        /// PEM.
        ca: Vec<u8>,
    },
    /// A whole kubeconfig, as text; its server is replaced by the Cluster's.
    Kubeconfig(String),
    /// No credentials, no check of the server: v1's meaning of a Cluster without secret, here only where it is allowed.
    Anonymous,
}

impl Access {
    /// v1's rules: `token` with `ca.crt`, else `kubeconfig`.
    pub fn from_secret(data: &BTreeMap<String, ByteString>) -> anyhow::Result<Self> {
        let text = |key: &str, value: &ByteString| {
            String::from_utf8(value.0.clone()).with_context(|| format!("key {key} of the secret is not text"))
        };
        match (data.get("token"), data.get("ca.crt")) {
            (Some(token), Some(ca)) => Ok(Self::Token { token: text("token", token)?.trim().to_owned(), ca: ca.0.clone() }),
            (Some(_), None) => bail!("the secret has key token and lacks ca.crt"),
            (None, Some(_)) => bail!("the secret has key ca.crt and lacks token"),
            (None, None) => match data.get("kubeconfig") {
                Some(kubeconfig) => Ok(Self::Kubeconfig(text("kubeconfig", kubeconfig)?)),
                None => bail!("the secret has neither token and ca.crt nor kubeconfig"),
            },
        }
    }

    async fn into_config(self, cluster: &str, server: &str) -> anyhow::Result<kube::Config> {
        let mut kubeconfig = match self {
            Self::Kubeconfig(text) => Kubeconfig::from_yaml(&text).context("key kubeconfig of the secret")?,
            Self::Token { token, ca } => {
                let auth = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
                single(cluster, Cluster { certificate_authority_data: Some(base64(&ca)), ..Cluster::default() }, auth)
            }
            Self::Anonymous => single(cluster, Cluster { insecure_skip_tls_verify: Some(true), ..Cluster::default() }, AuthInfo::default()),
        };
        for named in &mut kubeconfig.clusters {
            if let Some(cluster) = &mut named.cluster {
                cluster.server = Some(server.to_owned());
            }
        }
        let mut config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.context("the member's credentials")?;
        config.connect_timeout = Some(std::time::Duration::from_secs(5));
        config.default_retry = false;
        Ok(config)
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn single(name: &str, cluster: Cluster, auth: AuthInfo) -> Kubeconfig {
    let name = name.to_owned();
    let context = KubeContext { cluster: name.clone(), user: Some(name.clone()), ..KubeContext::default() };
    Kubeconfig {
        clusters: vec![NamedCluster { name: name.clone(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: name.clone(), auth_info: Some(auth), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext { name: name.clone(), context: Some(context), ..NamedContext::default() }],
        current_context: Some(name),
        ..Kubeconfig::default()
    }
}
