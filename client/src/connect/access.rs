//! Everything a client is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::bearer::Bearer;
use super::exec;
use super::proxy::Proxy;

/// How long a client waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// For a connection, its proxy's and TLS's part included.
    pub connect: Duration,
    /// For the next byte of an answer, by HTTP/1 then: with HTTP/2 an answer to another request would count as well. None: for
    /// ever.
    pub read: Option<Duration>,
    /// With HTTP/2: how long nothing comes before the server is asked whether it is there; it has three times as long to say
    /// so. A connection that something on the way forgot is noticed within both, by watches too, which may wait for minutes.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), read: None, silence: Duration::from_secs(5) }
    }
}

/// Everything a client is made of, checked.
#[derive(Clone)]
pub struct Access {
    /// Name of the context, the current one resolved.
    pub context: String,
    /// Namespace where none is named.
    pub namespace: String,
    /// URL of the API server.
    pub server: http::Uri,
    /// Authorities of its certificate, PEM; none: the system's.
    pub authorities: Option<Vec<u8>>,
    /// Name its certificate has to have, where it is not the server's.
    pub tls_server_name: Option<String>,
    /// Take any certificate.
    pub insecure: bool,
    /// The proxy the cluster entry names.
    pub proxy: Option<Proxy>,
    /// The file `authorities` are read from again, in a pod.
    pub(super) authorities_file: Option<PathBuf>,
    /// The proxy to use, the environment's if the entry names none.
    pub(super) route: Option<Proxy>,
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) login: Login,
    pub(super) impersonate: Impersonate,
    pub(super) timeouts: Timeouts,
}

/// How requests say who they come from.
#[derive(Clone)]
pub(super) enum Login {
    /// Not at all, or by certificate alone.
    None,
    Token(String),
    /// A token that is changed while the client is in use.
    Shared(Bearer),
    /// A file with a token, and the token to use while it cannot be read.
    TokenFile(PathBuf, Option<String>),
    Basic(String, String),
    Exec(Box<exec::Call>),
}

impl Access {
    /// What stands in the entries, or in files they name, and says who asks: the client certificate, PEM, and the token.
    pub fn presented(&self) -> (Option<&[u8]>, Option<&str>) {
        let token = match &self.login {
            Login::Token(token) | Login::TokenFile(_, Some(token)) => Some(token.as_str()),
            _ => None,
        };
        (self.identity.as_ref().map(|(certificate, _)| certificate.as_slice()), token)
    }

    /// Makes the token one that can be changed while clients of this access are in use: their connections stay. Nothing where no
    /// token says who asks, or it comes from elsewhere than the entry.
    pub fn share_token(&mut self) -> Option<Bearer> {
        let Login::Token(token) = &self.login else { return None };
        let bearer = Bearer::new(token).ok()?;
        self.login = Login::Shared(bearer.clone());
        Some(bearer)
    }

    /// The same way with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { login: Login::Token(token.to_owned()), ..self.clone() }
    }
}

#[derive(Clone, Default)]
pub(super) struct Impersonate {
    pub(super) user: String,
    pub(super) uid: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}
