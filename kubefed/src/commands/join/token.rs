//! The token of the federation's account in a member.

use federation_api::member_token::{TokenTerms, USUAL_SECONDS};
use http::Request;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Error as KubeError;
use kube::api::DynamicObject;
use kube::core::ApiResource;

use super::proof::{self, Token};
use crate::cli::JoinArgs;
use crate::commands::Session;
use crate::commands::leaving::is_of;
use crate::connection::{Change, Connection};
use crate::error::Failure;
use crate::render::access::Access;
use crate::render::member::Member;
use crate::wait::{Look, Patience, until};

/// Where every cluster since Kubernetes 1.20 says by which authority its own pods know its API server.
const ROOT_CA: (&str, &str) = ("kube-system", "kube-root-ca.crt");

/// The token to store: the one that is stored while there is no reason for another, else one that ends and is renewed, and
/// where a member makes none such, one that holds until its secret is deleted.
///
/// # Errors
/// What is in the way; what is stored goes on.
pub(super) async fn obtain(
    session: &Session,
    cluster: &Connection,
    member: &Member,
    args: &JoinArgs,
    stored: &Access,
    uid: &str,
    patience: Patience,
) -> Result<Token, Failure> {
    let (namespace, printer) = (member.federation.namespace.as_str(), &session.printer);
    let kept = stored.terms.as_ref().filter(|terms| terms.namespace == namespace && terms.account == member.account());
    let endless = cluster.get(&ApiResource::erase::<Secret>(&()), Some(namespace), &member.token_secret()).await?;
    let endless = endless.is_some_and(|secret| is_of(&secret, &member.federation.name, Some(&member.cluster)));
    if endless && kept.is_none() && !args.rotate {
        printer.warn(&format!(
            "the token the federation has in {} has no end; kubefed join {} --rotate gives it one that ends and is renewed",
            member.cluster, member.cluster
        ));
        return account_token(session, cluster, member, patience).await;
    }
    let bound_to = member.bound_secret(kept.map(|terms| terms.bound_to.as_str()), args.rotate);
    if args.rotate && (kept.is_some() || endless) {
        // What hung on it before hangs on nothing else: an earlier rotation may have ended before it took that back.
        remove(cluster, member, &bound_to).await?;
    }
    let bound = cluster.apply(&member.bound(&bound_to)).await?;
    let seconds = args.token_life.map(|life| i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    let seconds = seconds.or_else(|| kept.map(|terms| terms.seconds)).unwrap_or(USUAL_SECONDS);
    let ca = root_ca(cluster).await?;
    if let (Some(terms), Some(token), Change::Unchanged, false) = (kept, &stored.token, bound, args.rotate) {
        let young = Timestamp::now().as_second() < terms.renewal(0);
        if young && terms.seconds == seconds && proof::stands(session, stored, uid).await? {
            return Ok(Token { token: token.clone(), ca, terms: Some(terms.clone()), change: Change::Unchanged });
        }
    }
    let wanted = TokenTerms {
        namespace: namespace.to_owned(),
        account: member.account(),
        bound_to: bound_to.clone(),
        seconds,
        issued: 0,
        expires: 0,
    };
    if let Some((token, terms)) = request(cluster, &wanted).await? {
        if terms.life() < seconds {
            printer.warn(&format!("{} gives tokens for {} s at most, and not for {seconds} s", member.cluster, terms.life()));
        }
        return Ok(Token { token, ca, terms: Some(terms), change: Change::Configured });
    }
    // Nothing will ever hang on it.
    if bound == Change::Created {
        remove(cluster, member, &bound_to).await?;
    }
    if args.rotate {
        return Err(Failure::new(format!("context {} makes no tokens with an end, so there is none to move to", cluster.context)).hint(format!(
            "it has no TokenRequest (Kubernetes 1.22 and later have it); to take the token back, delete secret {namespace}/{} there and join again",
            member.token_secret()
        )));
    }
    printer.warn(&format!(
        "{} makes no tokens with an end (it has no TokenRequest): the federation's token holds until secret {namespace}/{} is deleted there",
        member.cluster,
        member.token_secret()
    ));
    let made = cluster.apply(&member.endless_token()).await?;
    let token = account_token(session, cluster, member, patience).await?;
    Ok(Token { change: made, ..token })
}

/// Deletes every secret that tokens of the account hang on, but for the one the new token hangs on: what was given for the others
/// is refused from then on.
///
/// # Errors
/// Anything the member says; the same command finishes it.
pub(super) async fn revoke_others(cluster: &Connection, member: &Member, terms: &TokenTerms) -> Result<(), Failure> {
    for name in member.token_secrets().into_iter().filter(|name| *name != terms.bound_to) {
        remove(cluster, member, &name).await?;
    }
    Ok(())
}

async fn remove(cluster: &Connection, member: &Member, name: &str) -> Result<(), Failure> {
    let resource = ApiResource::erase::<Secret>(&());
    let found = cluster.get(&resource, Some(&member.federation.namespace), name).await?;
    let ours = |secret: &DynamicObject| is_of(secret, &member.federation.name, Some(&member.cluster));
    match found.filter(ours) {
        Some(secret) => cluster.delete(&resource, &secret).await.map(drop),
        None => Ok(()),
    }
}

/// A token by these terms, with the terms it was given by; nothing where the member makes none such.
async fn request(cluster: &Connection, wanted: &TokenTerms) -> Result<Option<(Vec<u8>, TokenTerms)>, Failure> {
    const DOING: &str = "asking for a token";
    let body = wanted.request().to_string().into_bytes();
    let request = Request::post(wanted.path()).header("content-type", "application/json").body(body);
    let request = request.map_err(|e| Failure::new(format!("{DOING}: {e}")))?;
    let answer = match cluster.client.request::<TokenRequest>(request).await {
        Ok(answer) => answer,
        // What is missing has a name, unless it is the way itself.
        Err(KubeError::Api(status))
            if matches!(status.code, 404 | 405) && status.details.as_ref().is_none_or(|details| details.name.is_empty()) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(cluster.failed(DOING, &e)),
    };
    let life = answer.spec.and_then(|spec| spec.expiration_seconds).filter(|life| *life > 0);
    let given = answer.status.and_then(|status| Some((status.token.filter(|token| !token.is_empty())?, status.expiration_timestamp?)));
    let ((token, end), life) = given.zip(life).ok_or_else(|| {
        Failure::new(format!("{DOING}: context {} answers without a token that ends", cluster.context))
            .hint("check what is between here and its API server")
    })?;
    Ok(Some((token.into_bytes(), wanted.given(life, end.0.as_second()))))
}

/// The authority the member tells its own pods, where it does.
async fn root_ca(cluster: &Connection) -> Result<Option<Vec<u8>>, Failure> {
    let (namespace, name) = ROOT_CA;
    let map = cluster.get_typed::<ConfigMap>(namespace, name).await?;
    Ok(map.and_then(|map| map.data?.remove("ca.crt")).filter(|pem| !pem.trim().is_empty()).map(String::into_bytes))
}

/// Waits until the member has filled in the account's token without an end.
async fn account_token(session: &Session, cluster: &Connection, member: &Member, patience: Patience) -> Result<Token, Failure> {
    let (namespace, name) = (member.federation.namespace.as_str(), member.token_secret());
    until(&session.printer, "the account's token", patience, async || {
        let data = cluster.get_typed::<Secret>(namespace, &name).await?.and_then(|s| s.data).unwrap_or_default();
        let value = |key: &str| data.get(key).map(|v| v.0.clone()).filter(|v| !v.is_empty());
        Ok(match value("token") {
            Some(token) => Look::Done(Token { token, ca: value("ca.crt"), terms: None, change: Change::Unchanged }),
            None => Look::missing(
                format!("secret {namespace}/{name} of context {} has no token", cluster.context),
                "kube-controller-manager of that cluster fills it in: check that it runs",
            ),
        })
    })
    .await
}
