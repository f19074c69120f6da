//! What the flags of `set-cluster`, `set-credentials` and `set-context` make of an entry's fields. Flags that were not
//! given change nothing, an empty text takes a field away, and unknown fields stay.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// A certificate or key.
#[derive(Clone, Debug)]
pub enum Pem {
    /// In a file, by its absolute path; empty: not any more.
    File(String),
    /// Itself.
    Data(Vec<u8>),
}

/// Changes of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterPatch {
    /// URL of the API server.
    pub server: Option<String>,
    /// Name its certificate has to have.
    pub tls_server_name: Option<String>,
    /// Whether any certificate is taken.
    pub insecure: Option<bool>,
    /// Authorities of its certificate.
    pub authority: Option<Pem>,
    /// URL of the proxy to it.
    pub proxy_url: Option<String>,
    /// Whether answers are to come uncompressed.
    pub disable_compression: Option<bool>,
}

impl ClusterPatch {
    /// Makes the changes.
    pub fn apply(&self, fields: &mut Fields) {
        if self.server.is_some() {
            // A name goes with the server it was given for.
            fields.remove("tls-server-name");
        }
        text(fields, "server", self.server.as_ref());
        text(fields, "tls-server-name", self.tls_server_name.as_ref());
        flag(fields, "insecure-skip-tls-verify", self.insecure);
        if self.insecure == Some(true) {
            fields.remove("certificate-authority");
            fields.remove("certificate-authority-data");
        }
        if let Some(authority) = &self.authority {
            pem(fields, "certificate-authority", authority);
            if !matches!(authority, Pem::File(path) if path.is_empty()) {
                fields.remove("insecure-skip-tls-verify");
            }
        }
        text(fields, "proxy-url", self.proxy_url.as_ref());
        flag(fields, "disable-compression", self.disable_compression);
    }
}

/// Changes of a context.
#[derive(Clone, Debug, Default)]
pub struct ContextPatch {
    /// Its cluster.
    pub cluster: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
}

impl ContextPatch {
    /// Makes the changes.
    pub fn apply(&self, fields: &mut Fields) {
        text(fields, "cluster", self.cluster.as_ref());
        text(fields, "user", self.user.as_ref());
        text(fields, "namespace", self.namespace.as_ref());
    }
}

/// Names with values, and names to take away.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// Set, in this order.
    pub set: Vec<(String, String)>,
    /// Taken away, before that.
    pub remove: Vec<String>,
}

/// Changes of a credential plugin.
#[derive(Clone, Debug, Default)]
pub struct ExecPatch {
    /// What is run; only with it a plugin is made.
    pub command: Option<String>,
    /// The format it speaks.
    pub api_version: Option<String>,
    /// Its arguments, all of them.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Option<Pairs>,
    /// Whether it may ask on a terminal: `Never`, `IfAvailable` or `Always`.
    pub interactive_mode: Option<String>,
    /// Whether it is told of the cluster.
    pub provide_cluster_info: Option<bool>,
}

/// Changes of a user.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// Its certificate.
    pub certificate: Option<Pem>,
    /// The certificate's key.
    pub key: Option<Pem>,
    /// Bearer token.
    pub token: Option<String>,
    /// Name for basic authentication.
    pub username: Option<String>,
    /// Password for basic authentication.
    pub password: Option<String>,
    /// Name of an authentication provider; another name drops the settings of the old one.
    pub provider: Option<String>,
    /// The provider's settings; of a user without one they change nothing.
    pub provider_settings: Pairs,
    /// Its credential plugin.
    pub exec: ExecPatch,
}

impl UserPatch {
    /// Makes the changes.
    pub fn apply(&self, fields: &mut Fields) {
        for (key, value) in [("client-certificate", &self.certificate), ("client-key", &self.key)] {
            if let Some(value) = value {
                pem(fields, key, value);
            }
        }
        text(fields, "token", self.token.as_ref());
        text(fields, "username", self.username.as_ref());
        text(fields, "password", self.password.as_ref());
        self.provider(fields);
        self.exec.apply(fields);
        // A token and a password exclude each other: the one that was given stays.
        let given = |value: &Option<String>| value.as_ref().is_some_and(|v| !v.is_empty());
        if given(&self.token) {
            fields.remove("username");
            fields.remove("password");
        } else if given(&self.username) || given(&self.password) {
            fields.remove("token");
        }
    }

    fn provider(&self, fields: &mut Fields) {
        if let Some(name) = &self.provider
            && fields.get("auth-provider").and_then(|p| p.get("name")) != Some(&json!(name))
        {
            fields.insert("auth-provider".to_owned(), json!({"name": name}));
        }
        let Some(Value::Object(provider)) = fields.get_mut("auth-provider") else { return };
        let Some(settings) = object(provider, "config") else { return };
        self.provider_settings.remove.iter().for_each(|key| drop(settings.remove(key)));
        settings.extend(self.provider_settings.set.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
}

impl ExecPatch {
    fn apply(&self, fields: &mut Fields) {
        if let Some(command) = &self.command
            && let Some(exec) = object(fields, "exec")
        {
            exec.insert("command".to_owned(), json!(command));
            // They were the old command's.
            exec.remove("args");
        }
        let Some(Value::Object(exec)) = fields.get_mut("exec") else { return };
        // The default of the older versions is no default of the newer one: it stays what it was.
        let older = exec.get("apiVersion").and_then(Value::as_str).is_some_and(|v| v.ends_with("/v1beta1") || v.ends_with("/v1alpha1"));
        if older && self.api_version.is_some() {
            exec.entry("interactiveMode").or_insert_with(|| json!("IfAvailable"));
        }
        text(exec, "apiVersion", self.api_version.as_ref());
        if !self.args.is_empty() {
            exec.insert("args".to_owned(), json!(self.args));
        }
        text(exec, "interactiveMode", self.interactive_mode.as_ref());
        flag(exec, "provideClusterInfo", self.provide_cluster_info);
        let Some(pairs) = &self.env else { return };
        let mut env = exec.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
        let named = |item: &Value, name: &str| item.get("name").and_then(Value::as_str).unwrap_or_default() == name;
        env.retain(|item| !pairs.remove.iter().any(|name| named(item, name)));
        for (name, value) in &pairs.set {
            match env.iter_mut().find(|item| named(item, name)) {
                Some(item) => item["value"] = json!(value),
                None => env.push(json!({"name": name, "value": value})),
            }
        }
        exec.insert("env".to_owned(), Value::Array(env));
    }
}

fn text(fields: &mut Fields, key: &str, value: Option<&String>) {
    match value {
        Some(value) if value.is_empty() => drop(fields.remove(key)),
        Some(value) => drop(fields.insert(key.to_owned(), json!(value))),
        None => {}
    }
}

fn flag(fields: &mut Fields, key: &str, value: Option<bool>) {
    match value {
        Some(true) => drop(fields.insert(key.to_owned(), json!(true))),
        Some(false) => drop(fields.remove(key)),
        None => {}
    }
}

/// The file or the data; the other goes.
fn pem(fields: &mut Fields, key: &str, value: &Pem) {
    let data = format!("{key}-data");
    match value {
        Pem::File(path) => {
            if !path.is_empty() {
                fields.remove(&data);
            }
            text(fields, key, Some(path));
        }
        Pem::Data(bytes) => {
            fields.remove(key);
            text(fields, &data, Some(&STANDARD.encode(bytes)));
        }
    }
}

/// The mapping under a key, made where there is none.
fn object<'a>(fields: &'a mut Fields, key: &str) -> Option<&'a mut Fields> {
    let slot = fields.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
}
