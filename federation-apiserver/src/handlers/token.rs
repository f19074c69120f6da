//! A token for a service account: `TokenRequest`, made at its subresource `token`.

use federation_api::credential::{self, CredentialSpec, Type};
use http::{Response, StatusCode};
use machinery::schema::Gvk;
use machinery::status::{ApiError, FieldError};
use serde_json::{Value, json};

use super::call::Call;
use super::{decode, issued, prepare};
use crate::auth::authn::service_account::{Kind, ServiceAccounts, Wanted};
use crate::http::request::RequestBody;
use crate::http::response::{self, Body};
use crate::http::warnings::with_warnings;
use crate::storage::store::ReadAt;

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
/// Lives in seconds: what is given where nothing is asked, the shortest, and the longest there can be.
const USUAL: i64 = 3600;
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;

/// What a token is bound to besides its account.
struct Bound {
    kind: Kind,
    name: String,
    uid: String,
}

/// Makes a token for the account of the request.
pub(super) async fn issue(call: Call<'_>, body: RequestBody) -> Result<Response<Body>, ApiError> {
    let accounts = call.api.authn.service_accounts().ok_or_else(ApiError::no_such_path)?;
    let mut asked = decode::question(call, Gvk::new(GROUP, "v1", KIND), body).await?;
    let (namespace, name) = (call.info.namespace.as_str(), call.info.name.as_str());
    let request = &mut asked.value;
    for (field, expected) in [("name", name), ("namespace", namespace)] {
        let given = request["metadata"][field].as_str().unwrap_or_default();
        if !given.is_empty() && given != expected {
            let e = FieldError::invalid(format!("metadata.{field}"), given, format!("must match the service account {field} if specified"));
            return Err(ApiError::invalid(GROUP, KIND, name, &[e]));
        }
    }
    let account = call.current().await?.ok_or_else(|| call.not_found())?;
    let uid = account.head.uid();
    if request["metadata"]["uid"].as_str().is_some_and(|given| !given.is_empty() && given != uid) {
        let why = format!("the UID in the token request does not match the UID of the service account ({uid})");
        return Err(ApiError::conflict(GROUP, KIND, name, &why));
    }
    let mut audiences: Vec<String> =
        request["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences = accounts.audiences().to_vec();
    }
    let mut seconds = life(&request["spec"])?;
    let bound = bound(call, accounts, &request["spec"]["boundObjectRef"]).await?;
    if let Some(longest) = accounts.longest().filter(|longest| *longest < seconds) {
        asked.warnings.push(format!("requested expiration of {seconds} seconds shortened to {longest} seconds"));
        seconds = longest;
    }
    let now = jiff::Timestamp::now().as_second();
    let token = accounts.issue(&Wanted {
        namespace,
        account: (name, uid),
        audiences: &audiences,
        bound: bound.as_ref().map(|bound| (bound.kind, bound.name.as_str(), bound.uid.as_str())),
        seconds,
        now,
    });
    let (token, id) = token.map_err(|e| ApiError::internal(format!("failed to generate token: {e}")))?;
    let spec = CredentialSpec {
        type_: Type::Token,
        user: format!("system:serviceaccount:{namespace}:{name}"),
        issued_by: call.user.name.clone(),
        not_before: issued::time(now),
        not_after: issued::time(now.saturating_add(seconds)),
        ..CredentialSpec::default()
    };
    issued::record(call.api, &credential::of_token(&id), &spec).await?;
    let until = jiff::Timestamp::from_second(now.saturating_add(seconds)).map(|at| at.to_string()).unwrap_or_default();
    request["metadata"] = json!({"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": prepare::now()});
    request["spec"]["audiences"] = audiences.into();
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({"token": token, "expirationTimestamp": until});
    Ok(with_warnings(response::json(StatusCode::CREATED, request), &asked.warnings))
}

/// The life that is asked for, in seconds.
fn life(spec: &Value) -> Result<i64, ApiError> {
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(USUAL);
    let rule = match seconds {
        ..SHORTEST => "may not specify a duration less than 10 minutes",
        SHORTEST..=LONGEST => return Ok(seconds),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    Err(ApiError::invalid(GROUP, KIND, "", &[FieldError::invalid("spec.expirationSeconds", seconds, rule)]))
}

async fn bound(call: Call<'_>, accounts: &ServiceAccounts, reference: &Value) -> Result<Option<Bound>, ApiError> {
    if reference.is_null() {
        return Ok(None);
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let kind = match (text("apiVersion"), text("kind")) {
        ("v1", "Secret") => Some(Kind::Secret),
        ("v1", "Pod") => Some(Kind::Pod),
        ("v1", "Node") => Some(Kind::Node),
        _ => None,
    };
    let found = kind.and_then(|kind| Some((kind, accounts.of(kind)?)));
    let (kind, entry) = found.ok_or_else(|| {
        ApiError::bad_request(format!("cannot bind token to object of type {}, Kind={}", text("apiVersion"), text("kind")))
    })?;
    let namespace = entry.resource.namespaced.then_some(call.info.namespace.as_str());
    let object = entry.store().get(namespace, text("name"), ReadAt::Latest).await?;
    let object = object.ok_or_else(|| ApiError::not_found(&entry.resource.group, &entry.resource.plural, text("name")))?;
    if kind == Kind::Pod && object.value()?["spec"]["serviceAccountName"] != *call.info.name {
        let why = format!("cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.", call.info.name);
        return Err(ApiError::bad_request(why));
    }
    let uid = object.head.uid();
    if !text("uid").is_empty() && text("uid") != uid {
        let why = format!("the UID in the bound object reference ({}) does not match the UID in record ({uid})", text("uid"));
        return Err(ApiError::conflict(&entry.resource.group, &entry.resource.plural, text("name"), &why));
    }
    Ok(Some(Bound { kind, name: text("name").to_owned(), uid: uid.to_owned() }))
}
