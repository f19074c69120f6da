//! Objects as answers: the stored bytes, or a form of them the client asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use machinery::status::ApiError;
use machinery::table::{self, IncludeObject, ListMeta};
use serde_json::{Value, json};

use super::Call;
use super::accept::{self, Form};
use crate::server::response::{self, Body};
use crate::storage::object::Object;
use crate::storage::store::Listing;

/// One stored object.
pub(super) fn object(call: Call<'_>, code: StatusCode, object: &Object) -> Result<Response<Body>, ApiError> {
    match accept::form(call.headers)? {
        Form::Objects => Ok(response::json_bytes(code, Body::Full(object.bytes.clone()))),
        form => value_as(call, form, code, &object.value()?),
    }
}

/// One object that is not stored (dry run, scale, last state).
pub(super) fn value(call: Call<'_>, code: StatusCode, value: &Value) -> Result<Response<Body>, ApiError> {
    value_as(call, accept::form(call.headers)?, code, value)
}

fn value_as(call: Call<'_>, form: Form, code: StatusCode, value: &Value) -> Result<Response<Body>, ApiError> {
    Ok(match form {
        Form::Objects => response::json(code, value),
        Form::Partial => response::json(code, &table::partial_metadata(value)),
        Form::Table => {
            let version = value["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let meta = ListMeta { resource_version: version, ..ListMeta::default() };
            response::json(code, &as_table(call, std::slice::from_ref(value), meta, true)?)
        }
    })
}

/// A table of some objects.
pub(super) fn as_table(call: Call<'_>, objects: &[Value], meta: ListMeta<'_>, headers: bool) -> Result<Value, ApiError> {
    let include = IncludeObject::parse(call.query.get("includeObject")).map_err(ApiError::bad_request)?;
    let columns = table::columns_for(call.resource().group, call.resource().kind);
    Ok(table::table(&columns, objects, include, meta, headers, jiff::Timestamp::now().as_second()))
}

/// A list.
pub(super) fn list(call: Call<'_>, listing: &Listing) -> Result<Response<Body>, ApiError> {
    let form = accept::form(call.headers)?;
    if form == Form::Objects {
        return Ok(response::json_bytes(StatusCode::OK, Body::chunks(list_parts(call, listing))));
    }
    let version = listing.revision.to_string();
    let token = listing.continue_token.clone().unwrap_or_default();
    let meta = ListMeta { resource_version: &version, continue_token: &token, remaining: listing.remaining };
    let objects = listing.items.iter().map(|o| o.value()).collect::<Result<Vec<_>, _>>()?;
    Ok(response::json(
        StatusCode::OK,
        &match form {
            Form::Partial => table::partial_metadata_list(&objects, meta),
            _ => as_table(call, &objects, meta, true)?,
        },
    ))
}

/// The head of a list, the stored bytes of its objects, and commas between them.
fn list_parts(call: Call<'_>, listing: &Listing) -> VecDeque<Bytes> {
    let mut metadata = json!({"resourceVersion": listing.revision.to_string()});
    if let Some(token) = &listing.continue_token {
        metadata["continue"] = token.as_str().into();
    }
    if let Some(n) = listing.remaining {
        metadata["remainingItemCount"] = n.into();
    }
    let (kind, version) = (call.resource().kind, call.resource().api_version());
    let head = format!("{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[");
    let mut parts = VecDeque::with_capacity(listing.items.len() * 2 + 2);
    parts.push_back(Bytes::from(head));
    for (i, item) in listing.items.iter().enumerate() {
        if i > 0 {
            parts.push_back(Bytes::from_static(b","));
        }
        parts.push_back(Arc::clone(item).bytes.clone());
    }
    parts.push_back(Bytes::from_static(b"]}\n"));
    parts
}
