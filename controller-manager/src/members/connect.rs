//! From a Cluster to a client for the member.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use federation_api::{cluster::ClusterSpec, keys, member_token::TokenTerms};
use federation_client::connect::Timeouts;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use sha2::{Digest, Sha256};

pub use super::{access::ConnectError, credential::StoreError};
use super::{
    access::{ALLOWED, Access, Data},
    credential::{Credential, Stored, Tenure},
};
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
    /// The token it shows, where it shows one that is of a secret.
    pub credential: Option<Box<Credential>>,
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

    /// Puts another token of the member into the secret that the one in use came from, if nobody changed it since.
    ///
    /// # Errors
    /// What is in the way; nothing is changed then.
    async fn store(&self, stored: &Stored, token: &str, terms: &TokenTerms) -> Result<(), StoreError> {
        let _ = (stored, token, terms);
        Err(StoreError::NoHost)
    }
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

    /// The secret's namespace and name, its data, and which one it is.
    async fn read(&self, name: &str) -> Result<(String, Data, Stored), ConnectError> {
        let host = self.host.as_ref().ok_or(ConnectError::NoHost)?;
        let secret = format!("{}/{name}", host.namespace);
        match kube::Api::<Secret>::namespaced(host.client.clone(), &host.namespace).get(name).await {
            Ok(found) => {
                let (uid, version) = (found.metadata.uid.unwrap_or_default(), found.metadata.resource_version.unwrap_or_default());
                Ok((secret, found.data.unwrap_or_default(), Stored { name: name.to_owned(), uid, version }))
            }
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
        let (access, mut data, stored) = match &spec.secret_ref {
            None if insecure => (Access::anonymous(), Data::new(), None),
            None => return Err(ConnectError::Insecure),
            Some(secret) => {
                let (secret, data, stored) = self.read(&secret.name).await?;
                let access = Access::from_secret(&secret, &data)?;
                access.may_go_to(&secret, &server, insecure)?;
                (access, data, Some(stored))
            }
        };
        let fingerprint = self::fingerprint(&server, &data);
        if known == Some(fingerprint.as_str()) {
            return Ok(None);
        }
        let timeouts = Timeouts { connect: CONNECT_TIMEOUT, ..Timeouts::default() };
        let unusable = |e| ConnectError::Other(format!("no client can be made: {e}"));
        let token = access.token().to_owned();
        let mut resolved = access.resolve(cluster, &server, timeouts).map_err(unusable)?;
        let bearer = resolved.share_token();
        let client = resolved.client().await.map_err(unusable)?;
        let credential = bearer.zip(stored).map(|(bearer, stored)| {
            // What stands beside a token is said of that token, and not of one in a kubeconfig.
            let of_token = data.remove(keys::SECRET_TOKEN).is_some_and(|value| !value.0.is_empty());
            let terms = data.remove(keys::SECRET_TOKEN_TERMS).filter(|_| of_token).and_then(|text| TokenTerms::parse(&text.0));
            let (tenure, way) = (Tenure::of(&token, terms), self::fingerprint(&server, &data));
            Box::new(Credential { way, token, bearer, access: resolved, stored, tenure })
        });
        Ok(Some(Connection { client, fingerprint, credential }))
    }

    async fn store(&self, stored: &Stored, token: &str, terms: &TokenTerms) -> Result<(), StoreError> {
        let host = self.host.as_ref().ok_or(StoreError::NoHost)?;
        let secret = format!("{}/{}", host.namespace, stored.name);
        let api = kube::Api::<Secret>::namespaced(host.client.clone(), &host.namespace);
        match api.patch(&stored.name, &PatchParams::default(), &Patch::Merge(stored.patch(token, terms))).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(StoreError::Changed(secret)),
            Err(error) => Err(StoreError::Refused { secret, why: chain(&error) }),
        }
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
