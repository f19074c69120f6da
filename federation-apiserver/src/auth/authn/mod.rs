//! Authentication: from credentials to a [`UserInfo`].
//!
//! Client certificate, then bearer token, then basic auth; the first that proves an identity wins.
//! Credentials that prove nothing are refused, they never fall back to anonymous.

mod basic;
mod bootstrap;
mod certificate;
pub mod csv;
mod file;
mod impersonate;
pub(crate) mod service_account;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use machinery::status::ApiError;

pub(crate) use bootstrap::expired;
pub use certificate::{Peer, PeerIdentity};
pub use file::CredentialFileError;
pub use impersonate::impersonate;

use super::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, UserInfo};
use crate::registry::Entry;
use bootstrap::BootstrapTokens;
use file::{Credentials, Kind};
use service_account::ServiceAccounts;

/// How often credential files are looked at for changes.
pub const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// Which ways of proving an identity are open.
#[derive(Clone, Debug, Default)]
pub struct AuthnConfig {
    /// CSV file of `token,user,uid,"group1,group2"` (`--token-auth-file`).
    pub token_auth_file: Option<PathBuf>,
    /// CSV file of `password,user,uid,"group1,group2"` (`--basic-auth-file`).
    pub basic_auth_file: Option<PathBuf>,
    /// Requests without credentials are let in as `system:anonymous` (`--anonymous-auth`).
    pub anonymous: bool,
}

/// The authenticator; cheap to share behind an `Arc`, never blocks.
#[derive(Debug)]
pub struct Authentication {
    tokens: Option<Credentials>,
    passwords: Option<Credentials>,
    bootstrap: Option<BootstrapTokens>,
    service_accounts: Option<ServiceAccounts>,
    anonymous: bool,
}

impl Authentication {
    /// Reads the credential files.
    ///
    /// # Errors
    /// A file that cannot be read or has a bad line; the message names file and line.
    pub fn load(config: &AuthnConfig) -> Result<Self, CredentialFileError> {
        Ok(Self {
            tokens: config.token_auth_file.as_deref().map(|p| Credentials::load(p, Kind::Token)).transpose()?,
            passwords: config.basic_auth_file.as_deref().map(|p| Credentials::load(p, Kind::Password)).transpose()?,
            bootstrap: None,
            service_accounts: None,
            anonymous: config.anonymous,
        })
    }

    /// Takes bootstrap tokens as well, of these secrets.
    #[must_use]
    pub(crate) fn with_bootstrap_tokens(self, secrets: Arc<Entry>) -> Self {
        Self { bootstrap: Some(BootstrapTokens(secrets)), ..self }
    }

    /// Takes tokens of service accounts as well, where there are some.
    #[must_use]
    pub(crate) fn with_service_accounts(self, accounts: Option<ServiceAccounts>) -> Self {
        Self { service_accounts: accounts, ..self }
    }

    /// What makes and takes tokens of service accounts, where that is switched on.
    pub(crate) fn service_accounts(&self) -> Option<&ServiceAccounts> {
        self.service_accounts.as_ref()
    }

    /// Who sent the request.
    ///
    /// # Errors
    /// 401 for wrong credentials, and for none unless anonymous requests are let in.
    pub fn authenticate(&self, headers: &HeaderMap, peer: &Peer) -> Result<UserInfo, ApiError> {
        if let Peer::Known(identity) = peer
            && identity.valid_at(Timestamp::now().as_second())
        {
            return Ok(authenticated(identity.user.clone()));
        }
        let Some(header) = headers.get(AUTHORIZATION) else {
            return if self.anonymous && *peer == Peer::Nobody { Ok(anonymous()) } else { Err(ApiError::unauthorized()) };
        };
        let (scheme, rest) = header.to_str().ok().and_then(|h| h.trim().split_once(' ')).ok_or_else(ApiError::unauthorized)?;
        let found = if scheme.eq_ignore_ascii_case("bearer") {
            self.authenticate_token(rest.trim())
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic::decode(rest.trim()).and_then(|(name, password)| self.passwords.as_ref()?.by_password(&name, &password))
        } else {
            None
        };
        found.map(authenticated).ok_or_else(ApiError::unauthorized)
    }

    /// Who shows no credentials at all, for what is there for those who have none yet; nobody where bootstrap tokens are not
    /// taken. Rights count as for anybody.
    pub(crate) fn stranger(&self, headers: &HeaderMap, peer: &Peer) -> Option<UserInfo> {
        let shows_nothing = *peer == Peer::Nobody && !headers.contains_key(AUTHORIZATION);
        (self.bootstrap.is_some() && shows_nothing).then(anonymous)
    }

    /// The user a bearer token stands for, as TokenReview tells it; and for which of `audiences`, or of the server's own
    /// where there are none, if it is a token for audiences.
    pub fn review_token(&self, token: &str, audiences: &[String]) -> Option<(UserInfo, Vec<String>)> {
        let (user, audiences) = match self.authenticate_stored(token) {
            Some(user) => (user, Vec::new()),
            None => self.of_account(token, audiences)?,
        };
        Some((authenticated(user), audiences))
    }

    fn authenticate_token(&self, token: &str) -> Option<UserInfo> {
        self.authenticate_stored(token).or_else(|| Some(self.of_account(token, &[])?.0))
    }

    fn of_account(&self, token: &str, audiences: &[String]) -> Option<(UserInfo, Vec<String>)> {
        let accounts = self.service_accounts.as_ref()?;
        let audiences = if audiences.is_empty() { accounts.audiences() } else { audiences };
        accounts.by_token(token, audiences, Timestamp::now().as_second())
    }

    fn authenticate_stored(&self, token: &str) -> Option<UserInfo> {
        let of_file = self.tokens.as_ref().and_then(|tokens| tokens.by_token(token));
        of_file.or_else(|| self.bootstrap.as_ref()?.by_token(token, Timestamp::now()))
    }

    /// Reads the credential files again where they changed. A file that went bad is reported and its
    /// last good state kept, so that a slip of the editor locks nobody out.
    ///
    /// # Errors
    /// The first file that could not be taken over.
    pub fn reload(&self) -> Result<(), CredentialFileError> {
        for file in [&self.tokens, &self.passwords].into_iter().flatten() {
            file.reload()?;
        }
        Ok(())
    }

    /// Follows the credential files for ever; to be spawned once.
    pub async fn follow_files(self: Arc<Self>) {
        let mut last = String::new();
        loop {
            tokio::time::sleep(RELOAD_EVERY).await;
            let keys = self.service_accounts.as_ref().map(ServiceAccounts::reload);
            let keys = keys.and_then(|reloaded| reloaded.err()).map(|e| e.to_string());
            let said = self.reload().err().map(|e| e.to_string()).or(keys).unwrap_or_default();
            if !said.is_empty() && said != last {
                tracing::error!("credentials not reloaded, the last good ones stay: {said}");
            }
            last = said;
        }
    }
}

/// Adds the group of everybody who proved an identity.
fn authenticated(mut user: UserInfo) -> UserInfo {
    if !user.in_group(AUTHENTICATED) && !user.in_group(UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

fn anonymous() -> UserInfo {
    UserInfo { name: ANONYMOUS.to_owned(), uid: String::new(), groups: vec![UNAUTHENTICATED.to_owned()] }
}
