//! What a member's secret lets us be, and where it may be used.

use std::collections::BTreeMap;

use federation_api::keys;
use k8s_openapi::ByteString;
use kube::config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};

use super::{connect::ConnectError, request::chain};

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

/// Data of a secret.
pub(super) type Data = BTreeMap<String, ByteString>;

/// Credentials of a member and how to know its server, everything inline.
#[derive(Debug)]
pub(super) struct Access {
    cluster: Cluster,
    user: AuthInfo,
    /// The server the credentials are for; empty in secrets of v1, which bind them by `ca.crt` alone.
    recorded: String,
}

impl Access {
    /// No credentials, no check of the server: v1's meaning of a Cluster without secret, here only where it is allowed.
    pub(super) fn anonymous() -> Self {
        let cluster = Cluster { insecure_skip_tls_verify: Some(true), ..Cluster::default() };
        Self { cluster, user: AuthInfo::default(), recorded: String::new() }
    }

    /// v1's rules: `token` with `ca.crt`, else `kubeconfig`. A value that is empty is absent. `secret` is for errors.
    pub(super) fn from_secret(secret: &str, data: &Data) -> Result<Self, ConnectError> {
        let bad = |why: String| ConnectError::BadSecret { secret: secret.to_owned(), why };
        let text = |key: &str| match data.get(key) {
            None => Ok(String::new()),
            Some(value) => std::str::from_utf8(&value.0).map(|v| v.trim().to_owned()).map_err(|_| bad(format!("key {key} is not text"))),
        };
        let recorded = text(keys::SECRET_SERVER)?;
        let (token, ca, kubeconfig) = (text(keys::SECRET_TOKEN)?, text(keys::SECRET_CA)?, text(keys::SECRET_KUBECONFIG)?);
        let insecure = text(keys::SECRET_INSECURE)? == "true";
        match (token.is_empty(), ca.is_empty()) {
            (false, false) => {}
            // The system's roots check the server, and the secret says which one it is.
            (false, true) if !recorded.is_empty() => {}
            (false, true) => return Err(bad("it has key token and lacks ca.crt".to_owned())),
            (true, false) => return Err(bad("it has key ca.crt and lacks token".to_owned())),
            (true, true) if kubeconfig.is_empty() => return Err(bad("it has neither token and ca.crt nor kubeconfig".to_owned())),
            (true, true) => return Self::from_kubeconfig(secret, &kubeconfig, recorded),
        }
        let some = |value: String| Some(value).filter(|v| !v.is_empty());
        if insecure && recorded.is_empty() {
            return Err(bad(format!("it has key {} and lacks {}", keys::SECRET_INSECURE, keys::SECRET_SERVER)));
        }
        let cluster = Cluster {
            // Both at once are a contradiction that clients refuse.
            certificate_authority_data: some(ca).filter(|_| !insecure).map(|ca| base64(ca.as_bytes())),
            insecure_skip_tls_verify: insecure.then_some(true),
            tls_server_name: some(text(keys::SECRET_TLS_SERVER_NAME)?),
            proxy_url: some(text(keys::SECRET_PROXY)?),
            ..Cluster::default()
        };
        Ok(Self { cluster, user: AuthInfo { token: Some(token.into()), ..AuthInfo::default() }, recorded })
    }

    /// The context a kubeconfig is set to, if everything it uses is inline. What it does not use does not matter.
    fn from_kubeconfig(secret: &str, text: &str, recorded: String) -> Result<Self, ConnectError> {
        let bad = |why: String| ConnectError::BadSecret { secret: secret.to_owned(), why: format!("its kubeconfig {why}") };
        let all = Kubeconfig::from_yaml(text).map_err(|e| bad(format!("cannot be read: {}", chain(&e))))?;
        let current = all.current_context.filter(|c| !c.is_empty()).ok_or_else(|| bad("has no current-context".to_owned()))?;
        let context = all.contexts.into_iter().find(|c| c.name == current).and_then(|c| c.context);
        let context = context.ok_or_else(|| bad(format!("has no context \"{current}\"")))?;
        let cluster = all.clusters.into_iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster);
        let cluster = cluster.ok_or_else(|| bad(format!("has no cluster \"{}\"", context.cluster)))?;
        let user_name = context.user.unwrap_or_default();
        let user = match all.auth_infos.into_iter().find(|u| u.name == user_name) {
            Some(found) => found.auth_info.unwrap_or_default(),
            None if user_name.is_empty() => AuthInfo::default(),
            None => return Err(bad(format!("has no user \"{user_name}\""))),
        };
        let given = |value: &Option<String>| value.as_ref().is_some_and(|v| !v.is_empty());
        let outside = [
            ("user", &user_name, "exec", user.exec.is_some()),
            ("user", &user_name, "auth-provider", user.auth_provider.is_some()),
            ("user", &user_name, "tokenFile", given(&user.token_file)),
            ("user", &user_name, "client-certificate", given(&user.client_certificate)),
            ("user", &user_name, "client-key", given(&user.client_key)),
            ("cluster", &context.cluster, "certificate-authority", given(&cluster.certificate_authority)),
        ];
        if let Some((what, name, field, _)) = outside.into_iter().find(|(.., there)| *there) {
            return Err(ConnectError::NotInline { secret: secret.to_owned(), field: format!("{field} (of {what} \"{name}\")") });
        }
        let own = cluster.server.clone().unwrap_or_default();
        let recorded = if recorded.is_empty() { own } else { recorded };
        if recorded.is_empty() {
            return Err(bad(format!("has no server in cluster \"{}\"", context.cluster)));
        }
        Ok(Self { cluster, user, recorded })
    }

    /// Whether these credentials may be sent to `server`: never to another than they are for, whatever a Cluster says,
    /// and in clear text only where both the secret and the Cluster (`insecure`) have it so.
    pub(super) fn may_go_to(&self, secret: &str, server: &str, insecure: bool) -> Result<(), ConnectError> {
        if server.starts_with("http://") && (!insecure || self.recorded.is_empty()) {
            return Err(ConnectError::ClearText { server: server.to_owned() });
        }
        if !self.recorded.is_empty() && !same_server(&self.recorded, server) {
            let (recorded, server) = (self.recorded.clone(), server.to_owned());
            return Err(ConnectError::AnotherServer { secret: secret.to_owned(), recorded, server });
        }
        Ok(())
    }

    /// The client's configuration. Nothing outside of `self` is read.
    pub(super) async fn into_config(self, name: &str, server: &str) -> Result<kube::Config, String> {
        let name = name.to_owned();
        let cluster = Cluster { server: Some(server.to_owned()), ..self.cluster };
        let context = Context { cluster: name.clone(), user: Some(name.clone()), ..Context::default() };
        let kubeconfig = Kubeconfig {
            clusters: vec![NamedCluster { name: name.clone(), cluster: Some(cluster), ..NamedCluster::default() }],
            auth_infos: vec![NamedAuthInfo { name: name.clone(), auth_info: Some(self.user), ..NamedAuthInfo::default() }],
            contexts: vec![NamedContext { name: name.clone(), context: Some(context), ..NamedContext::default() }],
            current_context: Some(name),
            ..Kubeconfig::default()
        };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        config.map_err(|e| format!("the member's credentials: {}", chain(&e)))
    }
}

/// Whether two URLs are the same server to whom credentials go: scheme, host, port and path. What is no URL is nobody.
fn same_server(one: &str, other: &str) -> bool {
    let origin = |url: &str| {
        let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let uri: http::Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        let host = uri.host()?.trim_end_matches('.').to_ascii_lowercase();
        Some((scheme, host, port, uri.path().trim_end_matches('/').to_owned()))
    };
    origin(one).is_some_and(|one| Some(one) == origin(other))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
