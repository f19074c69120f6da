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
pub(crate) mod proof;
pub(crate) mod revoked;
pub(crate) mod service_account;
#[cfg(test)]
mod tests;
pub(crate) mod used;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use machinery::status::ApiError;
use serde_json::json;

pub(crate) use bootstrap::expired;
pub use certificate::{Peer, PeerIdentity};
pub use file::CredentialFileError;
pub use impersonate::impersonate;
pub(crate) use impersonate::may_act_as;

use super::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, UserInfo};
use crate::registry::Entry;
use bootstrap::BootstrapTokens;
use file::{Credentials, Kind};
use proof::Proof;
use revoked::Revoked;
use service_account::{Claims, ServiceAccounts};
use used::Used;

/// How often credential files are looked at for changes.
pub const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// How long credentials count that may have been taken back in a storage that is away.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

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
    revoked: Arc<Revoked>,
    used: Used,
    /// The credentials that were issued, where that is written down.
    issued: Option<Arc<Entry>>,
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
            revoked: Arc::new(Revoked::new(true)),
            used: Used::default(),
            issued: None,
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

    /// Refuses what was revoked, of the credentials that are issued.
    #[must_use]
    pub(crate) fn with_revoked(self, revoked: Arc<Revoked>, issued: Option<Arc<Entry>>) -> Self {
        Self { revoked, issued, ..self }
    }

    /// What was used.
    pub(crate) fn used(&self) -> &Used {
        &self.used
    }

    /// What was revoked.
    pub(crate) fn revoked(&self) -> &Arc<Revoked> {
        &self.revoked
    }

    /// What makes and takes tokens of service accounts, where that is switched on.
    pub(crate) fn service_accounts(&self) -> Option<&ServiceAccounts> {
        self.service_accounts.as_ref()
    }

    /// Who sent the request.
    ///
    /// # Errors
    /// 401 for wrong credentials, and for none unless anonymous requests are let in; 503 while it is not known what was
    /// revoked or deleted.
    pub fn authenticate(&self, headers: &HeaderMap, peer: &Peer) -> Result<UserInfo, ApiError> {
        self.prove(headers, peer).map(|(user, _)| user)
    }

    /// [`Authentication::authenticate`], and by what it was proved.
    pub(crate) fn prove(&self, headers: &HeaderMap, peer: &Peer) -> Result<(UserInfo, Proof), ApiError> {
        if let Peer::Known(identity) = peer
            && identity.valid_at(Timestamp::now().as_second())
        {
            if !self.revoked.loaded() {
                return Err(unknown("what was revoked"));
            }
            if !self.revoked.has(identity.credential()) {
                if self.lost() && self.issued(identity.credential()) {
                    return Err(unknown("what was revoked meanwhile"));
                }
                return Ok((authenticated(identity.user.clone()), Proof::Certificate));
            }
        }
        let Some(header) = headers.get(AUTHORIZATION) else {
            return if self.anonymous && *peer == Peer::Nobody { Ok((anonymous(), Proof::Nothing)) } else { Err(ApiError::unauthorized()) };
        };
        let (scheme, rest) = header.to_str().ok().and_then(|h| h.trim().split_once(' ')).ok_or_else(ApiError::unauthorized)?;
        let found = if scheme.eq_ignore_ascii_case("bearer") {
            self.authenticate_token(rest.trim(), header)?
        } else if scheme.eq_ignore_ascii_case("basic") {
            let user = basic::decode(rest.trim()).and_then(|(name, password)| self.passwords.as_ref()?.by_password(&name, &password));
            user.map(|user| (user, Proof::Header(header.clone())))
        } else {
            None
        };
        found.map(|(user, proof)| (authenticated(user), proof)).ok_or_else(ApiError::unauthorized)
    }

    /// Whether what was proved before still holds at `now` (seconds since the epoch).
    pub(crate) fn still(&self, user: &UserInfo, proof: &Proof, peer: &Peer, now: i64) -> bool {
        match proof {
            Proof::Nothing => true,
            Proof::Certificate => {
                let Peer::Known(identity) = peer else { return false };
                let name = identity.credential();
                identity.valid_at(now) && !self.revoked.has(name) && !(self.lost() && self.issued(name))
            }
            Proof::Account(claims) => {
                let accounts = self.service_accounts.as_ref();
                !self.lost() && accounts.is_some_and(|accounts| accounts.holds(claims, accounts.audiences(), now).is_some())
            }
            Proof::Header(header) => {
                let headers = HeaderMap::from_iter([(AUTHORIZATION, header.clone())]);
                self.prove(&headers, &Peer::Nobody).is_ok_and(|(now, _)| now == *user)
            }
        }
    }

    /// Whether a credential is one that was issued here.
    fn issued(&self, name: &str) -> bool {
        self.issued.as_ref().is_some_and(|entry| entry.store().cached(None, name).is_ok_and(|found| found.is_some()))
    }

    /// Whether the storage has been away for so long that what is known of it may be worth nothing any more.
    fn lost(&self) -> bool {
        let accounts = self.service_accounts.as_ref().and_then(|accounts| accounts.of(service_account::Kind::Secret));
        let entry = self.issued.as_ref().or(self.bootstrap.as_ref().map(|tokens| &tokens.0)).or(accounts);
        entry.and_then(|entry| entry.store().lost_for()).is_some_and(|since| since >= TRUSTED_FOR)
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
        let file = self.tokens.as_ref().and_then(|tokens| tokens.by_token(token));
        let (user, audiences) = match file {
            Some(user) => (user, Vec::new()),
            None if self.lost() || !self.revoked.loaded() => return None,
            None => match self.bootstrap.as_ref().and_then(|tokens| tokens.by_token(token, Timestamp::now())) {
                Some(user) => (user, Vec::new()),
                None => self.of_account(token, audiences).map(|(user, audiences, _)| (user, audiences))?,
            },
        };
        Some((authenticated(user), audiences))
    }

    fn authenticate_token(&self, token: &str, header: &HeaderValue) -> Result<Option<(UserInfo, Proof)>, ApiError> {
        let stored = |user| (user, Proof::Header(header.clone()));
        if let Some(user) = self.tokens.as_ref().and_then(|tokens| tokens.by_token(token)) {
            return Ok(Some(stored(user)));
        }
        // What else there is may have been deleted or revoked, and only the storage knows.
        if (self.bootstrap.is_some() || self.service_accounts.is_some()) && (self.lost() || !self.revoked.loaded()) {
            return Err(unknown("whether the token still holds"));
        }
        if let Some(user) = self.bootstrap.as_ref().and_then(|tokens| tokens.by_token(token, Timestamp::now())) {
            return Ok(Some(stored(user)));
        }
        Ok(self.of_account(token, &[]).map(|(user, _, claims)| (user, Proof::Account(Box::new(claims)))))
    }

    fn of_account(&self, token: &str, audiences: &[String]) -> Option<(UserInfo, Vec<String>, Claims)> {
        let accounts = self.service_accounts.as_ref()?;
        let audiences = if audiences.is_empty() { accounts.audiences() } else { audiences };
        accounts.by_token(token, audiences, Timestamp::now().as_second())
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

/// 503 while the storage does not say what has to be known.
fn unknown(what: &str) -> ApiError {
    let e = ApiError::new(503, "ServiceUnavailable", format!("the storage cannot be asked {what}; try again later"));
    ApiError { details: json!({"retryAfterSeconds": 1}), ..e }
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
