//! A kubeconfig that needs nothing besides itself. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation_client::Access;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::Failure;

/// Whom it is for, and with what.
pub(super) struct Holder<'a> {
    pub(super) user: &'a str,
    pub(super) groups: &'a [String],
    /// PEM.
    pub(super) certificate: &'a [u8],
    /// PEM.
    pub(super) key: &'a str,
    /// When the certificate ends.
    pub(super) until: Timestamp,
}

/// What its entries are called.
pub(super) struct Names<'a> {
    pub(super) cluster: &'a str,
    pub(super) user: &'a str,
    pub(super) context: &'a str,
}

impl<'a> Names<'a> {
    /// As the tutorials and kubeadm call them: one file has one context, and the file's name says whose it is.
    pub(super) fn of_component(user: &'a str) -> Self {
        Self { cluster: "kubernetes", user, context: "default" }
    }
}

/// The cluster entry of where `access` leads, or of another `endpoint` of the same server.
pub(super) fn cluster_of(access: &Access, endpoint: Option<&str>) -> Value {
    let mut cluster = json!({"server": endpoint.map_or_else(|| access.url(), str::to_owned)});
    if access.insecure {
        cluster["insecure-skip-tls-verify"] = true.into();
    } else if let Some(authorities) = &access.authorities {
        cluster["certificate-authority-data"] = STANDARD.encode(authorities).into();
    }
    if let Some(server_name) = access.tls_server_name.as_ref().filter(|_| endpoint.is_none()) {
        cluster["tls-server-name"] = server_name.as_str().into();
    }
    if let Some(proxy) = &access.proxy {
        // A name and a password there are the issuer's own.
        cluster["proxy-url"] = proxy.bare_url().into();
    }
    cluster
}

/// The cluster entry of a server and its authorities, in PEM.
pub(super) fn cluster(server: &str, authorities: &str) -> Value {
    json!({"certificate-authority-data": STANDARD.encode(authorities), "server": server})
}

/// The user entry of a certificate's holder.
pub(super) fn by_certificate(holder: &Holder<'_>) -> Value {
    json!({"client-certificate-data": STANDARD.encode(holder.certificate), "client-key-data": STANDARD.encode(holder.key)})
}

/// The user entry of a token's holder.
pub(super) fn by_token(token: &str) -> Value {
    json!({"token": token})
}

/// One context, the current one.
pub(super) fn kubeconfig(names: &Names<'_>, cluster: &Value, user: &Value, namespace: Option<&str>) -> Value {
    let mut context = json!({"cluster": names.cluster, "user": names.user});
    if let Some(namespace) = namespace {
        context["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": names.cluster, "cluster": cluster}],
        "contexts": [{"name": names.context, "context": context}],
        "current-context": names.context,
        "users": [{"name": names.user, "user": user}],
    })
}

/// As a file, with what it is in the first line. Certificates are one line each, as kubectl writes them.
///
/// # Errors
/// It cannot be written as YAML.
pub(super) fn text(config: &Value, told: &str) -> Result<String, Failure> {
    let plain = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(config, plain).map_err(|e| Failure::new(format!("printing YAML: {e}")))?;
    Ok(format!("# {told}\n{yaml}"))
}

/// What it is, for people who find it.
pub(super) fn told(holder: &Holder<'_>) -> String {
    let groups = if holder.groups.is_empty() { "no group".to_owned() } else { format!("groups {}", holder.groups.join(", ")) };
    format!("user {}, {groups}, until {}", holder.user, holder.until)
}
