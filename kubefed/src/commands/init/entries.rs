//! `init`: what goes into the local kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::config::Kubeconfig;
use serde_json::json;

use crate::certs::ADMIN;
use crate::kubeconfig::Entry;
use crate::render::credentials::Credentials;

/// Cluster, user and context named after the federation; a second user where passwords are on.
pub(super) fn entries(federation: &str, url: &str, c: &Credentials) -> Vec<Entry> {
    let entry = |list: &'static str, name: &str, value| Entry { list, name: name.to_owned(), value };
    let mut user = json!({"client-certificate-data": BASE64.encode(&c.admin.cert), "client-key-data": BASE64.encode(&c.admin.key)});
    if let Some(token) = c.token() {
        user["token"] = json!(token);
    }
    let mut all = vec![
        entry("clusters", federation, json!({"server": url, "certificate-authority-data": BASE64.encode(&c.ca.cert)})),
        entry("users", federation, user),
        entry("contexts", federation, json!({"cluster": federation, "user": federation})),
    ];
    if let Some(password) = c.password() {
        all.push(entry("users", &basic_auth_user(federation), json!({"username": ADMIN, "password": password})));
    }
    all
}

/// Name of the user entry with a password.
pub fn basic_auth_user(federation: &str) -> String {
    format!("{federation}-basic-auth")
}

/// The server an entry of our name points to, when it is not this federation's.
pub(super) fn foreign_server(local: &Kubeconfig, federation: &str, c: &Credentials, url: &str) -> Option<String> {
    let cluster = local.clusters.iter().find(|k| k.name == federation)?.cluster.as_ref()?;
    let ours = cluster.certificate_authority_data.as_deref() == Some(BASE64.encode(&c.ca.cert).as_str());
    cluster.server.clone().filter(|server| !ours && server != url)
}
