//! `init`: what goes into the local kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use federation_client::Kubeconfig;
use federation_client::edit::Entry;
use serde_json::json;

use crate::certs::ADMIN;
use crate::render::config::ControlPlane;
use crate::render::credentials::{Credentials, Pair};

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

/// The entries by name, before anything of them is known: enough to try whether they can be written.
pub(super) fn sketch(plane: &ControlPlane) -> Vec<Entry> {
    entries(&plane.federation.name, "https://unknown", &blank(plane))
}

/// Credentials of which nothing is known yet.
pub(super) fn blank(plane: &ControlPlane) -> Credentials {
    let csv = Some("token,admin,uid".to_owned());
    let (token_csv, basic_csv) = (csv.clone().filter(|_| plane.token_auth), csv.filter(|_| plane.basic_auth));
    let none = || Pair { cert: String::new(), key: String::new() };
    let (ca, server, controller_manager, admin, service_accounts) = (none(), none(), none(), none(), none());
    Credentials { ca, server, controller_manager, admin, service_accounts, token_csv, basic_csv }
}

/// Name of the user entry with a password.
pub fn basic_auth_user(federation: &str) -> String {
    format!("{federation}-basic-auth")
}

/// Whether the entries of this name are of the federation with this authority, and not of another of the same name.
pub fn is_ours(local: &Kubeconfig, federation: &str, ca: &str) -> bool {
    local.clusters.get(federation).is_some_and(|cluster| cluster.certificate_authority_data == ca.as_bytes())
}

/// The server an entry of our name points to, when it is not this federation's.
pub(super) fn foreign_server(local: &Kubeconfig, federation: &str, c: &Credentials, url: &str) -> Option<String> {
    let cluster = local.clusters.get(federation)?;
    (!is_ours(local, federation, &c.ca.cert) && !cluster.server.is_empty() && cluster.server != url).then(|| cluster.server.clone())
}
