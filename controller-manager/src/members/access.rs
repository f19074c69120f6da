//! What a member's secret lets us be, and where it may be used.

use std::collections::BTreeMap;

use federation_api::keys;
use federation_client::connect::Timeouts;
use federation_client::{self as client, Cluster, Environment, Kubeconfig, Source, Target, User};
use k8s_openapi::ByteString;

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

/// Data of a secret.
pub(super) type Data = BTreeMap<String, ByteString>;

/// Why there is no client for a member. Each says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The Cluster has no address.
    #[error("spec.serverAddressByClientCIDRs has no address; name the URL of the member's API server there")]
    NoAddress,
    /// The Cluster's address is none.
    #[error("spec.serverAddressByClientCIDRs: \"{address}\" {why}; it has to be a URL such as https://10.0.0.1:6443")]
    BadAddress {
        /// As it stands in the Cluster.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The member's server could not be told from an impostor, which would receive what the federation writes, Secrets too.
    #[error(
        "spec.secretRef is missing, so the member's server cannot be checked; name a secret, or allow it by annotation {}={ALLOWED}",
        keys::INSECURE
    )]
    Insecure,
    /// Credentials would leave in clear text.
    #[error(
        "credentials are not sent in clear text to {server}; give an https address, or allow it by annotation {}={ALLOWED}",
        keys::INSECURE
    )]
    ClearText {
        /// The Cluster's address.
        server: String,
    },
    /// The credentials are for another server than the Cluster names.
    #[error(
        "secret {secret} is for {recorded} and not for {server}: its credentials are not sent there; join the cluster again with \
         kubefed join --replace, or correct spec.serverAddressByClientCIDRs"
    )]
    AnotherServer {
        /// Name of the secret.
        secret: String,
        /// The server the secret names.
        recorded: String,
        /// The Cluster's address.
        server: String,
    },
    /// There is no host to read secrets from.
    #[error("the host cluster is not known, so no secret can be read; give --host-kubeconfig")]
    NoHost,
    /// The secret is not there.
    #[error("there is no secret {secret}; join the cluster again with kubefed join")]
    NoSecret {
        /// Namespace and name.
        secret: String,
    },
    /// The secret cannot be read now.
    #[error("secret {secret} cannot be read: {why}")]
    Unreadable {
        /// Namespace and name.
        secret: String,
        /// What the host answered.
        why: String,
    },
    /// The secret does not hold credentials.
    #[error("secret {secret}: {why}")]
    BadSecret {
        /// Namespace and name.
        secret: String,
        /// What is missing or wrong.
        why: String,
    },
    /// The secret's kubeconfig would run a program or read a file of the controller manager's machine.
    #[error(
        "secret {secret}: its kubeconfig has {field}, which would run or read something on the controller manager's machine; only what is \
         inline counts: token, client-certificate-data with client-key-data, certificate-authority-data"
    )]
    NotInline {
        /// Namespace and name.
        secret: String,
        /// The entry and the field.
        field: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl ConnectError {
    /// One word for conditions and Events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAddress | Self::BadAddress { .. } => "InvalidAddress",
            Self::Insecure | Self::ClearText { .. } => "ServerNotVerified",
            Self::AnotherServer { .. } => "CredentialsForAnotherServer",
            Self::NotInline { .. } => "CredentialsRefused",
            Self::NoSecret { .. } => "CredentialsNotFound",
            Self::NoHost | Self::Unreadable { .. } => "CredentialsUnreadable",
            Self::BadSecret { .. } => "CredentialsInvalid",
            Self::Other(_) => "NoClient",
        }
    }

    /// Whether a client made before may not be used any more either.
    pub fn forbids(&self) -> bool {
        matches!(
            self,
            Self::NoAddress
                | Self::BadAddress { .. }
                | Self::Insecure
                | Self::ClearText { .. }
                | Self::AnotherServer { .. }
                | Self::NotInline { .. }
        )
    }
}

/// Value of the annotation that allows a member that is not checked.
pub(super) const ALLOWED: &str = "true";

/// Credentials of a member and how to know its server, everything inline.
#[derive(Debug)]
pub(super) struct Access {
    cluster: Cluster,
    user: User,
    /// The server the credentials are for; empty in secrets of v1, which bind them by `ca.crt` alone.
    recorded: String,
}

impl Access {
    /// No credentials, no check of the server: v1's meaning of a Cluster without secret, here only where it is allowed.
    pub(super) fn anonymous() -> Self {
        let cluster = Cluster { insecure_skip_tls_verify: true, ..Cluster::default() };
        Self { cluster, user: User::default(), recorded: String::new() }
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
        if insecure && recorded.is_empty() {
            return Err(bad(format!("it has key {} and lacks {}", keys::SECRET_INSECURE, keys::SECRET_SERVER)));
        }
        let cluster = Cluster {
            // Both at once are a contradiction that clients refuse.
            certificate_authority_data: if insecure { Vec::new() } else { ca.into_bytes() },
            insecure_skip_tls_verify: insecure,
            tls_server_name: text(keys::SECRET_TLS_SERVER_NAME)?,
            proxy_url: text(keys::SECRET_PROXY)?,
            ..Cluster::default()
        };
        Ok(Self { cluster, user: User { token, ..User::default() }, recorded })
    }

    /// The context a kubeconfig is set to, if everything it uses is inline. What it does not use does not matter.
    fn from_kubeconfig(secret: &str, text: &str, recorded: String) -> Result<Self, ConnectError> {
        let bad = |why: String| ConnectError::BadSecret { secret: secret.to_owned(), why: format!("its kubeconfig {why}") };
        let all = Kubeconfig::read(text.as_bytes(), Source::Secret("in it")).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let current = Some(all.current_context).filter(|c| !c.is_empty()).ok_or_else(|| bad("has no current-context".to_owned()))?;
        let context = all.contexts.get(&current).ok_or_else(|| bad(format!("has no context \"{current}\"")))?;
        let cluster = all.clusters.get(&context.cluster).ok_or_else(|| bad(format!("has no cluster \"{}\"", context.cluster)))?;
        let user = match all.users.get(&context.user) {
            Some(found) => found.clone(),
            None if context.user.is_empty() => User::default(),
            None => return Err(bad(format!("has no user \"{}\"", context.user))),
        };
        let of_user = user.outside().map(|field| ("user", &context.user, field));
        if let Some((what, name, field)) = of_user.or_else(|| cluster.outside().map(|field| ("cluster", &context.cluster, field))) {
            return Err(ConnectError::NotInline { secret: secret.to_owned(), field: format!("{field} (of {what} \"{name}\")") });
        }
        let (cluster, own) = (cluster.clone(), cluster.server.clone());
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

    /// The token it shows; empty where it shows none.
    pub(super) fn token(&self) -> &str {
        &self.user.token
    }

    /// What a client is made of. Nothing outside of `self` is read; credentials go over http too, if [`Access::may_go_to`]
    /// let them.
    pub(super) fn resolve(self, name: &str, server: &str, timeouts: Timeouts) -> Result<client::Access, client::Error> {
        let config = Kubeconfig::single(name, Cluster { server: server.to_owned(), ..self.cluster }, self.user);
        let config = Kubeconfig { inline: true, ..config };
        let target = Target { in_clear: true, timeouts, ..Target::default() };
        client::Access::resolve(&config, &target, &Environment::of_process())
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
