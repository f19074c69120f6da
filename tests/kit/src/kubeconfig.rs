//! Kubeconfig files for tests.

use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine;
use serde_json::{Value, json};

fn base64(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

/// One user of one cluster, named alike: a context of that name.
#[derive(Clone, Debug)]
pub struct Context {
    /// Name of cluster, user and context.
    pub name: String,
    /// `https://host:port`.
    pub server: String,
    /// CA in PEM; `None` leaves the server unchecked.
    pub ca: Option<Vec<u8>>,
    /// How to log in.
    pub login: Login,
}

/// Credentials of a context.
#[derive(Clone, Debug)]
pub enum Login {
    /// Bearer token.
    Token(String),
    /// Certificate and key in PEM.
    Certificate(Vec<u8>, Vec<u8>),
}

/// The kubeconfig with these contexts; the first one is current. JSON, which is YAML too.
pub fn render(contexts: &[Context]) -> Value {
    let cluster = |c: &Context| match &c.ca {
        Some(ca) => json!({"server": c.server, "certificate-authority-data": base64(ca)}),
        None => json!({"server": c.server, "insecure-skip-tls-verify": true}),
    };
    let user = |c: &Context| match &c.login {
        Login::Token(token) => json!({"token": token}),
        Login::Certificate(cert, key) => json!({"client-certificate-data": base64(cert), "client-key-data": base64(key)}),
    };
    json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": contexts.iter().map(|c| json!({"name": c.name, "cluster": cluster(c)})).collect::<Vec<_>>(),
        "users": contexts.iter().map(|c| json!({"name": c.name, "user": user(c)})).collect::<Vec<_>>(),
        "contexts": contexts.iter().map(|c| json!({"name": c.name, "context": {"cluster": c.name, "user": c.name}})).collect::<Vec<_>>(),
        "current-context": contexts.first().map_or("", |c| &c.name),
    })
}

/// Writes it, readable by its owner only.
pub fn write(contexts: &[Context], path: &Path) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let text = serde_json::to_string_pretty(&render(contexts))?;
    let mut options = std::fs::File::options();
    options.create(true).write(true).truncate(true).mode(0o600);
    let mut file = options.open(path).with_context(|| format!("writing {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
