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

/// One context to where `access` leads, or to another `endpoint` of the same server. Names hold the user's and the server's,
/// so that several can be merged.
pub(super) fn kubeconfig(access: &Access, endpoint: Option<&str>, namespace: Option<&str>, holder: &Holder<'_>) -> Value {
    let (cluster_name, user) = (&access.context, holder.user);
    let name = format!("{user}@{cluster_name}");
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
    let mut context = json!({"cluster": cluster_name, "user": name});
    if let Some(namespace) = namespace {
        context["namespace"] = namespace.into();
    }
    let credentials =
        json!({"client-certificate-data": STANDARD.encode(holder.certificate), "client-key-data": STANDARD.encode(holder.key)});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster_name, "cluster": cluster}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
        "users": [{"name": name, "user": credentials}],
    })
}

/// As a file, with what it is in the first line. Certificates are one line each, as kubectl writes them.
///
/// # Errors
/// It cannot be written as YAML.
pub(super) fn text(config: &Value, holder: &Holder<'_>) -> Result<String, Failure> {
    let plain = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(config, plain).map_err(|e| Failure::new(format!("printing YAML: {e}")))?;
    Ok(format!("# {}\n{yaml}", told(holder)))
}

/// What it is, for people who find it.
pub(super) fn told(holder: &Holder<'_>) -> String {
    let groups = if holder.groups.is_empty() { "no group".to_owned() } else { format!("groups {}", holder.groups.join(", ")) };
    format!("user {}, {groups}, until {}", holder.user, holder.until)
}
