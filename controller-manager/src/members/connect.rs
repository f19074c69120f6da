//! From a Cluster to a client for the member.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use federation_api::{cluster::ClusterSpec, keys};
use federation_client::connect::Timeouts;
use k8s_openapi::api::core::v1::Secret;
use sha2::{Digest, Sha256};

pub use super::access::ConnectError;
use super::access::{ALLOWED, Access, Data};
use crate::request::chain;

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;

/// Longest wait for a connection to a member.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for a member.
pub struct Connection {
    /// The client.
    pub client: kube::Client,
    /// Changes whenever the address or the credentials change.
    pub fingerprint: String,
}

/// Whether the Cluster's annotations allow to talk to a member whose server is not checked.
pub fn allows_insecure(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(keys::INSECURE).is_some_and(|value| value == ALLOWED)
}

/// Makes clients for members.
#[async_trait]
pub trait MemberConnector: Send + Sync + 'static {
    /// A client for the member, or nothing when the one made before (with the fingerprint `known`) is still right.
    /// `insecure` is whether somebody said that the member may be talked to unchecked.
    ///
    /// # Errors
    /// What is in the way.
    async fn connect(
        &self,
        cluster: &str,
        spec: &ClusterSpec,
        insecure: bool,
        known: Option<&str>,
    ) -> Result<Option<Connection>, ConnectError>;
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

    async fn read(&self, name: &str) -> Result<(String, Data), ConnectError> {
        let host = self.host.as_ref().ok_or(ConnectError::NoHost)?;
        let secret = format!("{}/{name}", host.namespace);
        match kube::Api::<Secret>::namespaced(host.client.clone(), &host.namespace).get(name).await {
            Ok(found) => Ok((secret, found.data.unwrap_or_default())),
            Err(kube::Error::Api(status)) if status.reason == "NotFound" => Err(ConnectError::NoSecret { secret }),
            Err(error) => Err(ConnectError::Unreadable { secret, why: chain(&error) }),
        }
    }
}

#[async_trait]
impl MemberConnector for HostConnector {
    async fn connect(
        &self,
        cluster: &str,
        spec: &ClusterSpec,
        insecure: bool,
        known: Option<&str>,
    ) -> Result<Option<Connection>, ConnectError> {
        let server = server_url(spec)?;
        let (access, fingerprint) = match &spec.secret_ref {
            None if insecure => (Access::anonymous(), fingerprint(&server, &Data::new())),
            None => return Err(ConnectError::Insecure),
            Some(secret) => {
                let (secret, data) = self.read(&secret.name).await?;
                let access = Access::from_secret(&secret, &data)?;
                access.may_go_to(&secret, &server, insecure)?;
                (access, fingerprint(&server, &data))
            }
        };
        if known == Some(fingerprint.as_str()) {
            return Ok(None);
        }
        let timeouts = Timeouts { connect: CONNECT_TIMEOUT, ..Timeouts::default() };
        let made = async { access.resolve(cluster, &server, timeouts)?.client().await };
        let client = made.await.map_err(|e| ConnectError::Other(format!("no client can be made: {e}")))?;
        Ok(Some(Connection { client, fingerprint }))
    }
}

/// The address of the member: the first entry, with `https://` where the scheme is missing.
///
/// # Errors
/// There is none, or it is not the address of an HTTP server.
pub fn server_url(spec: &ClusterSpec) -> Result<String, ConnectError> {
    let address = spec.server_address_by_client_cidrs.first().map_or("", |a| a.server_address.trim());
    if address.is_empty() {
        return Err(ConnectError::NoAddress);
    }
    let bad = |why| ConnectError::BadAddress { address: address.to_owned(), why };
    let url = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let uri: http::Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(bad("has another scheme than https"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(bad("names no host"));
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(bad("has a user in it"));
    }
    if uri.query().is_some() {
        return Err(bad("has a query in it"));
    }
    Ok(url)
}

fn fingerprint(server: &str, data: &Data) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(server.as_bytes()).chain(data.iter().flat_map(|(k, v)| [k.as_bytes(), v.0.as_slice()])) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}
