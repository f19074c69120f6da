//! By what somebody proved who he is, so that it can be asked later whether that still holds.

use http::HeaderValue;

use federation_api::credential;

use super::certificate::Peer;
use super::service_account::Claims;
use super::used::{Use, Used};

/// By what an identity was proved.
#[derive(Clone)]
pub(crate) enum Proof {
    /// There was nothing to prove.
    Nothing,
    /// The certificate of the connection.
    Certificate,
    /// What a token of a service account says, which was verified.
    Account(Box<Claims>),
    /// Another token or a password, as it was sent.
    Header(HeaderValue),
}

impl Proof {
    /// Notes that the credential was used which it is, where it is one that may have been issued here.
    pub(crate) fn note(&self, used: &Used, peer: &Peer, new: Use) {
        match (self, peer) {
            (Self::Certificate, Peer::Known(identity)) => used.note(identity.credential(), new),
            (Self::Account(claims), _) => used.note(&credential::of_token(claims.id()), new),
            _ => {}
        }
    }
}
