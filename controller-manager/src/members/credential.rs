//! A member's token while it is in use: when it ends, and what the next one is made of.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use federation_api::{
    keys::{SECRET_TOKEN, SECRET_TOKEN_TERMS},
    member_token::TokenTerms,
};
use federation_client::{Access, Bearer};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// The token a member is reached with, and the secret of the host it came from.
pub struct Credential {
    /// Changes whenever anything but the token changes: the address, or how its server is known.
    pub(super) way: String,
    pub(super) token: String,
    /// Where the client has it from.
    pub(super) bearer: Bearer,
    /// How the client is made.
    pub(super) access: Access,
    pub(super) stored: Stored,
    /// Until when it holds.
    pub(crate) tenure: Tenure,
}

/// The secret of the host, as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version: it is changed only if nobody else did.
    pub version: String,
}

impl Stored {
    /// A merge patch that puts a token into the secret, if it is still the one that was read.
    pub(super) fn patch(&self, token: &str, terms: &TokenTerms) -> Value {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        json!({
            "metadata": {"uid": self.uid, "resourceVersion": self.version},
            "data": {SECRET_TOKEN: bytes(token), SECRET_TOKEN_TERMS: bytes(&terms.text())},
        })
    }
}

/// Why a token is not in the host's secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no host to write to.
    #[error("the host cluster is not known; give --host-kubeconfig")]
    NoHost,
    /// The secret is another one by now.
    #[error("somebody changed secret {0} at the same time")]
    Changed(String),
    /// The host does not let it happen, or was not reached.
    #[error("secret {secret}: {why}; join the cluster again with kubefed join, which gives the controller manager the right to change it")]
    Refused {
        /// Namespace and name.
        secret: String,
        /// What the host answered.
        why: String,
    },
}

/// Until when a token holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Tenure {
    /// It can be renewed by these.
    Terms(TokenTerms),
    /// It says when it ends, and nobody renews it.
    Ends(Timestamp),
    /// It says no end.
    Endless,
}

impl Tenure {
    /// What a secret's terms say, or the token itself.
    pub(super) fn of(token: &str, terms: Option<TokenTerms>) -> Self {
        terms.map(Self::Terms).or_else(|| end(token).map(Self::Ends)).unwrap_or(Self::Endless)
    }

    /// When it ends.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Terms(terms) => Timestamp::from_second(terms.expires).ok(),
            Self::Ends(end) => Some(*end),
            Self::Endless => None,
        }
    }
}

impl Credential {
    /// Takes a newer token of the same way into the client that is in use: its connections and watches stay. Whether it did;
    /// otherwise another client is to be made.
    pub(crate) fn take(&mut self, newer: &Self) -> bool {
        if self.way != newer.way || self.bearer.set(&newer.token).is_err() {
            return false;
        }
        self.token.clone_from(&newer.token);
        self.stored.clone_from(&newer.stored);
        self.tenure.clone_from(&newer.tenure);
        true
    }
}

/// The end a JSON web token says (RFC 7519, `exp`); its signature is the member's affair.
fn end(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims["exp"].as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_terms_count_before_what_the_token_says() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(Tenure::of(&token(r#"{"exp":1800000000}"#), None), Tenure::Ends(at(1_800_000_000)));
        for endless in ["opaque", "a.b.c", &token("{}"), &token(r#"{"exp":"soon"}"#)] {
            assert_eq!((Tenure::of(endless, None), Tenure::of(endless, None).end()), (Tenure::Endless, None), "{endless}");
        }
        let terms =
            TokenTerms { namespace: "n".into(), account: "a".into(), bound_to: "b".into(), seconds: 600, issued: 1_000, expires: 1_600 };
        assert_eq!(Tenure::of(&token(r#"{"exp":1800000000}"#), Some(terms)).end(), Some(at(1_600)));
    }
}
