//! The next token of a member: asked for with the last one, proven by a request, and only then stored. The last one is neither
//! taken back nor shortened: it holds until its own end.

use std::time::Duration;

use federation_api::member_token::TokenTerms;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    connect::MemberConnector,
    credential::{Credential, StoreError, Tenure},
};
use crate::request::{Call, CallError, JSON};

/// What shows that a member takes a token, and which cluster it is.
const PROOF: &str = "/api/v1/namespaces/kube-system";

/// Why there is no next token. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewalError {
    #[error("the token has no terms by which another could be made")]
    NoTerms,
    #[error("asking for a token: {0}")]
    Call(#[from] CallError),
    #[error(
        "the member makes no token: {status}: {message}; join the cluster again with kubefed join, which gives the account the right to"
    )]
    Refused { status: StatusCode, message: String },
    #[error("the member's answer has no token with an end")]
    NoToken,
    #[error("no client can be made with the new token: {0}")]
    Client(#[from] federation_client::Error),
    #[error("the new token is not taken: {0}")]
    NotTaken(String),
    #[error("another cluster takes the new token (uid {0} of kube-system)")]
    Stranger(String),
    #[error("storing the new token: {0}")]
    Store(#[from] StoreError),
}

/// A token that was given.
struct Given {
    token: String,
    terms: TokenTerms,
}

/// Makes the next token and stores it. Who reads the secret then takes it over.
///
/// # Errors
/// What is in the way; the token in use is as it was.
pub(crate) async fn renew(
    credential: &Credential,
    client: &kube::Client,
    connector: &dyn MemberConnector,
    uid: Option<&str>,
    limit: Duration,
) -> Result<TokenTerms, RenewalError> {
    let Tenure::Terms(terms) = &credential.tenure else { return Err(RenewalError::NoTerms) };
    let given = ask(client, terms, limit).await?;
    prove(credential, &given.token, uid, limit).await?;
    connector.store(&credential.stored, &given.token, &given.terms).await?;
    Ok(given.terms)
}

async fn ask(client: &kube::Client, terms: &TokenTerms, limit: Duration) -> Result<Given, RenewalError> {
    let (path, body) = (terms.path(), terms.request().to_string());
    let reply = Call { method: Method::POST, path: &path, content_type: JSON, body: body.into() }.send(client, limit).await?;
    if reply.status != StatusCode::CREATED {
        return Err(RenewalError::Refused { status: reply.status, message: reply.message() });
    }
    given(terms, &serde_json::from_slice(&reply.body).unwrap_or_default()).ok_or(RenewalError::NoToken)
}

fn given(terms: &TokenTerms, answer: &Value) -> Option<Given> {
    let token = answer["status"]["token"].as_str().filter(|token| !token.is_empty())?;
    let expires: Timestamp = answer["status"]["expirationTimestamp"].as_str()?.parse().ok()?;
    let life = answer["spec"]["expirationSeconds"].as_i64().filter(|life| *life > 0)?;
    Some(Given { token: token.to_owned(), terms: terms.given(life, expires.as_second()) })
}

/// A request with the new token alone, to the cluster it should be.
async fn prove(credential: &Credential, token: &str, uid: Option<&str>, limit: Duration) -> Result<(), RenewalError> {
    let client = credential.access.with_token(token).client().await?;
    let reply = Call::get(PROOF).send(&client, limit).await?;
    if reply.status != StatusCode::OK {
        return Err(RenewalError::NotTaken(format!("{}: {}", reply.status, reply.message())));
    }
    let namespace: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let found = namespace["metadata"]["uid"].as_str().unwrap_or_default();
    if found.is_empty() || uid.is_some_and(|uid| uid != found) {
        return Err(RenewalError::Stranger(found.to_owned()));
    }
    Ok(())
}
