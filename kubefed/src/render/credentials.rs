//! The secrets of a control plane.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use federation_api::keys;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::render::config::{ControlPlane, Storage};
use crate::render::names::Federation;
use crate::render::object::Object;

/// A certificate and its key, both PEM.
#[derive(Clone, Eq, PartialEq)]
pub struct Pair {
    /// Certificate.
    pub cert: String,
    /// Private key.
    pub key: String,
}

/// Everything the control plane and its first administrator authenticate with.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The federation's own authority.
    pub ca: Pair,
    /// The API server's serving certificate.
    pub server: Pair,
    /// The controller manager's client certificate.
    pub controller_manager: Pair,
    /// The administrator's client certificate; kept only in the local kubeconfig.
    pub admin: Pair,
    /// The key that signs tokens of service accounts, and the public keys that verify them, its own first.
    pub service_accounts: Pair,
    /// Line of the token file: `token,user,uid[,groups]`.
    pub token_csv: Option<String>,
    /// Line of the password file: `password,user,uid[,groups]`.
    pub basic_csv: Option<String>,
}

impl Credentials {
    /// The administrator's token.
    pub fn token(&self) -> Option<&str> {
        self.token_csv.as_deref().and_then(|line| line.split(',').next())
    }

    /// The administrator's password.
    pub fn password(&self) -> Option<&str> {
        self.basic_csv.as_deref().and_then(|line| line.split(',').next())
    }
}

/// Key of the authority's and the server's CA certificate.
pub const CA_CERT: &str = "ca.crt";
/// Key of the authority's private key.
pub const CA_KEY: &str = "ca.key";
/// Key of the serving certificate.
pub const SERVER_CERT: &str = "server.crt";
/// Key of the serving certificate's private key.
pub const SERVER_KEY: &str = "server.key";
/// Key of the public keys that verify tokens of service accounts.
pub const SERVICE_ACCOUNT_CERT: &str = "service-accounts.pub";
/// Key of the private key that signs tokens of service accounts.
pub const SERVICE_ACCOUNT_KEY: &str = "service-accounts.key";
/// What the API server reads again by itself when it changes.
pub const RELOADED: [&str; 4] = [SERVER_CERT, SERVER_KEY, SERVICE_ACCOUNT_CERT, SERVICE_ACCOUNT_KEY];
/// Key of the token file.
pub const TOKEN_FILE: &str = "token.csv";
/// Key of the password file.
pub const BASIC_FILE: &str = "basicauth.csv";
/// Key of the controller manager's kubeconfig.
pub const KUBECONFIG: &str = "kubeconfig";
/// Key, and file name, of the DNS provider's configuration.
pub const DNS_PROVIDER_CONF: &str = "federation-dns-provider.conf";

fn secret<'a>(federation: &Federation, name: String, data: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Object {
    let data = data.into_iter().filter_map(|(k, v)| Some((k.to_owned(), ByteString(v?.as_bytes().to_vec())))).collect();
    Object::new(&Secret { metadata: federation.meta(name), type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() })
}

/// The authority, so that certificates can be renewed and `init` repeated.
pub fn ca(plane: &ControlPlane, c: &Credentials) -> Object {
    secret(&plane.federation, plane.federation.ca(), [(CA_CERT, Some(c.ca.cert.as_str())), (CA_KEY, Some(c.ca.key.as_str()))])
}

/// What the API server reads.
pub fn apiserver(plane: &ControlPlane, c: &Credentials) -> Object {
    let own = [
        (CA_CERT, Some(c.ca.cert.as_str())),
        (SERVER_CERT, Some(c.server.cert.as_str())),
        (SERVER_KEY, Some(c.server.key.as_str())),
        (SERVICE_ACCOUNT_CERT, Some(c.service_accounts.cert.as_str())),
        (SERVICE_ACCOUNT_KEY, Some(c.service_accounts.key.as_str())),
        (TOKEN_FILE, c.token_csv.as_deref()),
        (BASIC_FILE, c.basic_csv.as_deref()),
    ];
    let etcd = match &plane.storage {
        Storage::External { files, .. } => files.as_slice(),
        Storage::Pod { .. } | Storage::Embedded { .. } => &[],
    };
    let etcd = etcd.iter().map(|(_, file)| (file.name, Some(file.content.as_str())));
    secret(&plane.federation, plane.federation.apiserver_credentials(), own.into_iter().chain(etcd))
}

/// What the controller manager reaches the federation with.
pub fn controller_manager(federation: &Federation, ca: &Pair, client: &Pair) -> Object {
    let text = controller_manager_kubeconfig(federation, ca, client);
    secret(federation, federation.controller_manager_kubeconfig(), [(KUBECONFIG, Some(text.as_str()))])
}

/// What the API server reads, as it is but for another serving certificate.
pub fn with_serving(federation: &Federation, existing: Secret, server: &Pair) -> Object {
    let mut data = existing.data.unwrap_or_default();
    for (key, text) in [(SERVER_CERT, &server.cert), (SERVER_KEY, &server.key)] {
        data.insert(key.to_owned(), ByteString(text.clone().into_bytes()));
    }
    let metadata = federation.meta(federation.apiserver_credentials());
    Object::new(&Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() })
}

/// The DNS provider's configuration, where there is one, and the files it names.
pub fn dns_provider(plane: &ControlPlane) -> Option<Object> {
    let conf = (DNS_PROVIDER_CONF, Some(plane.dns.needs.config.as_deref()?));
    let files = plane.dns.needs.files.iter().map(|file| (file.name, Some(file.content.as_str())));
    Some(secret(&plane.federation, plane.federation.dns_provider_conf(), std::iter::once(conf).chain(files)))
}

/// A kubeconfig for the controller manager; JSON is YAML.
fn controller_manager_kubeconfig(federation: &Federation, ca: &Pair, client: &Pair) -> String {
    let (user, cluster) = (keys::CONTROLLER_MANAGER_USER, &federation.name);
    let context = format!("{user}@{cluster}");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {
            "server": format!("https://{}", federation.apiserver()),
            "certificate-authority-data": BASE64.encode(&ca.cert),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": BASE64.encode(&client.cert),
            "client-key-data": BASE64.encode(&client.key),
        }}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
        "current-context": context,
    });
    serde_json::to_string_pretty(&config).expect("a JSON value prints")
}

/// Digest of a secret's content but for `reloaded` keys, for a pod template: pods are replaced when what they read
/// only at start changes.
pub fn digest(object: &Object, reloaded: &[&str]) -> String {
    digest_of(&object.value()["data"], reloaded)
}

/// As [`digest`] of the data of a secret that was read.
pub fn digest_of(data: &Value, reloaded: &[&str]) -> String {
    let mut data = data.clone();
    if let Some(map) = data.as_object_mut() {
        map.retain(|key, _| !reloaded.contains(&key.as_str()));
    }
    // JSON objects print their keys sorted, so the same content always gives the same digest.
    let hash = Sha256::digest(data.to_string());
    hash.iter().take(12).map(|b| format!("{b:02x}")).collect()
}
