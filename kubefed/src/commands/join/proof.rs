//! `join`: trying what the federation will use, before it is stored.

use std::error::Error;
use std::time::Duration;

use federation_api::member_token::TokenTerms;
use federation_client::Target;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Error as KubeError, ResourceExt};

use crate::commands::Session;
use crate::commands::identity::ANCHOR;
use crate::connection::{Change, Connection};
use crate::error::Failure;
use crate::render::access::{Access, STORED};
use crate::wait::{Look, Patience, until};

/// A token and the rights it has are known to all of a member's API servers within seconds.
const SOON: Duration = Duration::from_secs(30);

/// A token of the account.
pub(super) struct Token {
    pub(super) token: Vec<u8>,
    /// The member's own idea of the authority of its serving certificate.
    pub(super) ca: Option<Vec<u8>>,
    /// By which the next is made; none for a token without an end.
    pub(super) terms: Option<TokenTerms>,
    /// Whether anything was made for it.
    pub(super) change: Change,
}

/// The ways to check the member's server, best first. A context that names no authority, or asks for no check, says less than
/// the member itself: its own authority is tried before.
fn candidates(access: Access, token: &Token) -> Vec<Access> {
    let access = Access { token: Some(token.token.clone()), terms: token.terms.clone(), ..access };
    match (&access.ca, &token.ca) {
        (None, Some(own)) => vec![Access { ca: Some(own.clone()), insecure: false, ..access.clone() }, access],
        _ => vec![access],
    }
}

/// What the federation will use.
pub(super) struct Proven {
    pub(super) access: Access,
    /// Whether the member took it; it may not be reached from here.
    pub(super) tried: bool,
}

/// What an attempt shows.
enum Outcome {
    /// The member took the token and is the cluster it should be.
    Good,
    /// The server's certificate does not stand the check.
    Untrusted(Failure),
    /// There is no way to it from here.
    Unreachable(Failure),
    /// It answered, and not as it should: that may pass.
    NotYet(Failure),
    /// Another cluster answers there.
    Another(String),
}

/// Goes the federation's way: the new token, over a connection checked as the federation will check it, to a member that has
/// to be the cluster `uid`. `elsewhere` says that the address is the federation's and need not be reachable from here.
///
/// # Errors
/// Why the federation could not use it; nothing was stored then.
pub(super) async fn prove(
    session: &Session,
    access: Access,
    token: &Token,
    uid: &str,
    elsewhere: bool,
    patience: Patience,
) -> Result<Proven, Failure> {
    let (server, mut refused) = (access.server.clone(), None);
    let patience = Patience { limit: patience.limit.min(SOON), ..patience };
    for candidate in candidates(access, token) {
        let outcome = until(&session.printer, &format!("{server} to take the account's token"), patience, async || {
            Ok(match attempt(session, &candidate, uid).await? {
                Outcome::NotYet(failure) => Look::missing(failure.message, failure.hint.unwrap_or_default()),
                Outcome::Unreachable(failure) if !elsewhere => Look::missing(failure.message, failure.hint.unwrap_or_default()),
                outcome => Look::Done(outcome),
            })
        })
        .await?;
        match outcome {
            Outcome::Good => {
                if candidate.insecure {
                    session.printer.warn(&format!(
                        "the certificate of {server} is not checked, as in the context: whoever is between gets the federation's token; \
                         name its authority in the context and join again"
                    ));
                }
                return Ok(Proven { access: candidate, tried: true });
            }
            Outcome::Another(found) => {
                return Err(Failure::new(format!("{server} is not the cluster of the context (uid {uid}) but another (uid {found})"))
                    .hint("check --cluster-server; nothing was stored"));
            }
            Outcome::Unreachable(failure) | Outcome::NotYet(failure) => {
                session.printer.warn(&format!("the credentials are stored untried, since {server} cannot be reached from here: {failure}"));
                return Ok(Proven { access: candidate, tried: false });
            }
            Outcome::Untrusted(failure) => refused = Some(failure),
        }
    }
    let failure = refused.unwrap_or_else(|| Failure::new(format!("{server} cannot be checked")));
    Err(failure.during("trying the federation's way").hint(
        "the federation could not use it, so nothing was stored: name in the context the certificate-authority of this server, \
         and with tls-server-name a name that stands in its certificate",
    ))
}

/// Whether credentials that are stored are still good for this cluster, as far as can be told from here.
///
/// # Errors
/// What in them cannot be used.
pub(super) async fn stands(session: &Session, access: &Access, uid: &str) -> Result<bool, Failure> {
    Ok(match attempt(session, access, uid).await? {
        Outcome::Good | Outcome::Untrusted(_) | Outcome::Unreachable(_) => true,
        Outcome::NotYet(_) | Outcome::Another(_) => false,
    })
}

async fn attempt(session: &Session, access: &Access, uid: &str) -> Result<Outcome, Failure> {
    // As the account itself: nobody is impersonated.
    let target = Target { timeouts: session.target(None).timeouts, ..Target::context(Some(STORED)) };
    let connection = Connection::open(&access.kubeconfig(), &target).await?;
    let answer = Api::<Namespace>::all(connection.client.clone()).get(ANCHOR).await;
    let failed = |e: &KubeError| connection.failed("asking with the account's token", e);
    Ok(match answer {
        Ok(namespace) => match namespace.uid().unwrap_or_default() {
            found if found == uid => Outcome::Good,
            found => Outcome::Another(found),
        },
        Err(e @ KubeError::Api(_)) => Outcome::NotYet(failed(&e)),
        Err(e) if is_about_trust(&e) => Outcome::Untrusted(failed(&e)),
        Err(e) => Outcome::Unreachable(failed(&e)),
    })
}

/// Whether TLS said no, somewhere among the causes.
fn is_about_trust(error: &KubeError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(e) = next {
        if e.is::<rustls::Error>() || e.is::<rustls::pki_types::InvalidDnsNameError>() {
            return true;
        }
        // An io::Error's source is that of the error in it.
        next = e.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()).map(|e| e as &(dyn Error + 'static)).or_else(|| e.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue7_case_14_the_members_own_authority_is_tried_before_none() {
        let token = |ca: Option<&[u8]>| Token { token: b"t".to_vec(), ca: ca.map(<[u8]>::to_vec), terms: None, change: Change::Unchanged };
        let access = |ca: Option<&[u8]>, insecure| Access {
            server: "https://gondor".into(),
            ca: ca.map(<[u8]>::to_vec),
            insecure,
            token: Some(b"t".to_vec()),
            ..Access::default()
        };
        let tried = |from: Access, own: Option<&[u8]>| candidates(Access { token: None, ..from }, &token(own));
        assert_eq!(tried(access(None, true), Some(b"own")), [access(Some(b"own"), false), access(None, true)]);
        assert_eq!(tried(access(None, false), Some(b"own")), [access(Some(b"own"), false), access(None, false)]);
        assert_eq!(tried(access(Some(b"theirs"), false), Some(b"own")), [access(Some(b"theirs"), false)]);
        assert_eq!(tried(access(None, true), None), [access(None, true)]);
    }
}
