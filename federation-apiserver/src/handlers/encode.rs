//! Objects as answers: the stored bytes, or a form of them the client asked for, compressed where that is worth it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use machinery::status::ApiError;
use machinery::table::ListMeta;
use serde_json::Value;

use super::call::Call;
use super::gzip::{self, Identity};
use super::projection::{Projection, open_list};
use super::scale;
use super::write::{Outcome, Stored};
use crate::admission::credentials;
use crate::auth::Verb;
use crate::http::response::{self, Body, Revoked, Written};
use crate::http::warnings::with_warnings;
use crate::registry::resource::{Resource, Subresource};
use crate::storage::object::Object;
use crate::storage::store::Listing;

/// One stored object.
pub(super) async fn object(call: Call<'_>, code: StatusCode, object: &Arc<Object>) -> Result<Response<Body>, ApiError> {
    let mut identity = Identity::wanted(call);
    let bytes = match Projection::of(call)? {
        None => {
            identity.iter_mut().for_each(|identity| identity.add(object, &[]));
            object.bytes.clone()
        }
        Some(projection) => {
            // The age in a table is of now, so nobody asks for these very bytes again.
            identity.iter_mut().for_each(Identity::unique);
            let shown = Arc::clone(object);
            call.work(projection.weight(object), move || projection.one(&shown, now())).await?
        }
    };
    let response = respond(call, code, Bytes::new(), [bytes].into(), identity).await?;
    Ok(if call.info.verb == Verb::Get { response } else { noted(response, object) })
}

/// Notes what was written, for the audit log and traces.
pub(super) fn noted(mut response: Response<Body>, object: &Object) -> Response<Body> {
    response.extensions_mut().insert(Written { uid: object.head.uid().to_owned(), revision: object.revision });
    response
}

/// Notes that a credential is revoked, for the audit log.
fn revoked(mut response: Response<Body>, credential: &Value) -> Response<Body> {
    let text = |pointer: &str| credential.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if credential["status"]["revoked"].is_object() {
        response.extensions_mut().insert(Revoked { user: text("/spec/user"), reason: text("/status/revoked/reason") });
    }
    response
}

/// What was written.
pub(super) async fn written(call: Call<'_>, part: Option<Subresource>, outcome: Outcome) -> Result<Response<Body>, ApiError> {
    let code = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
    let response = match (part, &outcome.stored) {
        (Some(Subresource::Scale), Stored::Object(object)) => response::json(code, &scale::of(&object.value()?)),
        (Some(Subresource::Scale), Stored::Value(value)) => response::json(code, &scale::of(value)),
        (Some(Subresource::Status), Stored::Object(stored)) if credentials::concerns(call.resource()) => {
            let response = object(call, code, stored).await?;
            revoked(response, &stored.value()?)
        }
        (_, Stored::Object(stored)) => object(call, code, stored).await?,
        (_, Stored::Value(unstored)) => value(call, code, unstored)?,
    };
    Ok(with_warnings(response, &outcome.warnings))
}

/// One object of the stored version that is not stored (dry run, scale, last state).
pub(super) fn value(call: Call<'_>, code: StatusCode, value: &Value) -> Result<Response<Body>, ApiError> {
    Ok(match Projection::of(call)? {
        None => response::json(code, value),
        Some(projection) => response::json_bytes(code, Body::Full(projection.value(value, now()))),
    })
}

/// A list.
pub(super) async fn list(call: Call<'_>, listing: Listing) -> Result<Response<Body>, ApiError> {
    let mut identity = Identity::wanted(call);
    let Some(projection) = Projection::of(call)? else {
        let (version, token) = (listing.revision.to_string(), listing.continue_token.unwrap_or_default());
        let metadata = ListMeta { resource_version: &version, continue_token: &token, remaining: listing.remaining }.to_value();
        if let Some(identity) = &mut identity {
            listing.items.iter().for_each(|object| identity.add(object, &[]));
        }
        let mut parts = list_parts(call.resource(), &metadata, listing.items.iter().map(|item| item.bytes.clone()));
        let head = parts.pop_front().unwrap_or_default();
        return respond(call, StatusCode::OK, head, parts, identity).await;
    };
    let weight = listing.items.iter().map(|object| projection.weight(object)).sum();
    let made = call.work(weight, move || {
        let mut parts = projection.list(&listing, now(), identity.as_mut());
        (parts.pop_front().unwrap_or_default(), parts, identity)
    });
    let (head, parts, identity) = made.await?;
    respond(call, StatusCode::OK, head, parts, identity).await
}

/// An answer of a beginning and what follows, compressed where the client takes that and it is large. `identity` is that
/// of what follows.
async fn respond(
    call: Call<'_>,
    code: StatusCode,
    head: Bytes,
    mut parts: VecDeque<Bytes>,
    identity: Option<Identity>,
) -> Result<Response<Body>, ApiError> {
    let size = head.len() + parts.iter().map(Bytes::len).sum::<usize>();
    if let Some(identity) = identity.filter(|_| size > gzip::THRESHOLD) {
        let weight = if identity.is_known() { 0 } else { size };
        let body = call.work(weight, move || gzip::compress(&identity, &head, &parts)).await?;
        return Ok(gzip::marked(response::json_bytes(code, Body::chunks(body))));
    }
    if head.is_empty() && parts.len() == 1 {
        return Ok(response::json_bytes(code, Body::Full(parts.pop_front().unwrap_or_default())));
    }
    parts.push_front(head);
    Ok(response::json_bytes(code, Body::chunks(parts)))
}

/// Seconds since the epoch.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The head of a list, the encoded objects, and commas between them.
pub(super) fn list_parts(resource: &Resource, metadata: &Value, items: impl IntoIterator<Item = Bytes>) -> VecDeque<Bytes> {
    let mut parts = VecDeque::from([Bytes::from(open_list(resource, metadata))]);
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            parts.push_back(Bytes::from_static(b","));
        }
        parts.push_back(item);
    }
    parts.push_back(Bytes::from_static(b"]}\n"));
    parts
}
