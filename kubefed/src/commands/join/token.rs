//! The token of the federation's account in a member.

use k8s_openapi::api::core::v1::Secret;

use crate::commands::Session;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::member::Member;
use crate::wait::{Look, Patience, until};

/// What the member fills into the secret of the account's token.
pub(super) struct Token {
    pub(super) token: Vec<u8>,
    /// The member's own idea of the authority of its serving certificate.
    pub(super) ca: Option<Vec<u8>>,
}

/// Waits until the member has filled in the account's token.
pub(super) async fn account_token(session: &Session, cluster: &Connection, member: &Member, patience: Patience) -> Result<Token, Failure> {
    let (namespace, name) = (member.federation.namespace.as_str(), member.token_secret());
    until(&session.printer, "the account's token", patience, async || {
        let data = cluster.get_typed::<Secret>(namespace, &name).await?.and_then(|s| s.data).unwrap_or_default();
        let value = |key: &str| data.get(key).map(|v| v.0.clone()).filter(|v| !v.is_empty());
        Ok(match value("token") {
            Some(token) => Look::Done(Token { token, ca: value("ca.crt") }),
            None => Look::missing(
                format!("secret {namespace}/{name} of context {} has no token", cluster.context),
                "kube-controller-manager of that cluster fills it in: check that it runs",
            ),
        })
    })
    .await
}
