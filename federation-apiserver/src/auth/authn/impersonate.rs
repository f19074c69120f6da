//! Acting as somebody else: the `Impersonate-*` headers.

use http::HeaderMap;
use machinery::status::ApiError;

use crate::auth::authz::Authorization;
use crate::auth::{ANONYMOUS, AUTHENTICATED, Attributes, UNAUTHENTICATED, UserInfo, Verb};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The user the request is to be carried out as: `user` itself when no header asks for another.
/// Every impersonated part (user or service account, each group, uid) needs the verb `impersonate`.
///
/// # Errors
/// 400 for headers without `Impersonate-User`, 403 when `user` may not impersonate.
pub fn impersonate(authz: &Authorization, user: UserInfo, headers: &HeaderMap) -> Result<UserInfo, ApiError> {
    let (names, groups, uids) = (values(headers, USER)?, values(headers, GROUP)?, values(headers, UID)?);
    let extra = headers.keys().any(|k| k.as_str().starts_with(EXTRA));
    let Some(name) = names.into_iter().next() else {
        if groups.is_empty() && uids.is_empty() && !extra {
            return Ok(user);
        }
        return Err(ApiError::bad_request("groups, a uid or extra can be impersonated only together with a user"));
    };
    if extra {
        return Err(ApiError::bad_request("impersonation of extra fields is not supported"));
    }
    let service_account = name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
    authz.authorize(&user, &named(&name))?;
    for group in &groups {
        authz.authorize(&user, &wants("", "groups", "", group))?;
    }
    for uid in &uids {
        authz.authorize(&user, &wants("authentication.k8s.io", "uids", "", uid))?;
    }
    let mut groups = groups;
    if let Some((namespace, _)) = service_account
        && groups.is_empty()
    {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let known = if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|g| g == AUTHENTICATED || g == UNAUTHENTICATED) {
        groups.push(known.to_owned());
    }
    Ok(UserInfo { name, uid: uids.into_iter().next().unwrap_or_default(), groups })
}

/// Whether `user` may act as another: the verb `impersonate` on his name and each of his groups.
///
/// # Errors
/// 403 with the part that `user` may not act as.
pub(crate) fn may_act_as(authz: &Authorization, user: &UserInfo, name: &str, groups: &[String]) -> Result<(), ApiError> {
    if !name.is_empty() {
        authz.authorize(user, &named(name))?;
    }
    groups.iter().try_for_each(|group| authz.authorize(user, &wants("", "groups", "", group)))
}

/// What acting as somebody of that name is.
fn named(name: &str) -> Attributes {
    match name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) => wants("", "serviceaccounts", namespace, account),
        None => wants("", "users", "", name),
    }
}

/// Values of a header. One that cannot be read is an error: left out, the request would be carried
/// out with the rights of who sent it.
fn values(headers: &HeaderMap, name: &str) -> Result<Vec<String>, ApiError> {
    let read = |v: &http::HeaderValue| String::from_utf8(v.as_bytes().to_vec());
    let all: Result<Vec<String>, _> = headers.get_all(name).iter().map(read).collect();
    let all = all.map_err(|_| ApiError::bad_request(format!("header {name} is not UTF-8")))?;
    Ok(all.into_iter().filter(|v| !v.is_empty()).collect())
}

fn wants(group: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb: Verb::Impersonate,
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}
