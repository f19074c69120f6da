//! Objects as answers: the stored bytes, or a form of them the client asked for.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{Response, StatusCode};
use machinery::status::ApiError;
use machinery::table::{self, IncludeObject, ListMeta};
use serde_json::{Value, json};

use super::Call;
use super::accept::{self, Form};
use crate::audit::Written;
use crate::registry::resource::Resource;
use crate::server::response::{self, Body};
use crate::storage::object::Object;
use crate::storage::store::Listing;

/// One stored object.
pub(super) fn object(call: Call<'_>, code: StatusCode, object: &Object) -> Result<Response<Body>, ApiError> {
    let response = match accept::form(call.headers)? {
        Form::Objects => response::json_bytes(code, Body::Full(object.bytes.clone())),
        form => value_as(call, form, code, &object.value()?)?,
    };
    Ok(if call.info.verb == "get" { response } else { written(response, object) })
}

/// Notes what was written, for the audit log and traces.
pub(super) fn written(mut response: Response<Body>, object: &Object) -> Response<Body> {
    response.extensions_mut().insert(Written { uid: object.head.uid().to_owned(), revision: object.revision });
    response
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

/// A list. Tables and metadata are made of the objects that can be decoded: another must not hide them.
pub(super) async fn list(call: Call<'_>, listing: Listing) -> Result<Response<Body>, ApiError> {
    let form = accept::form(call.headers)?;
    let resource = call.resource();
    if form == Form::Objects {
        let mut metadata = json!({"resourceVersion": listing.revision.to_string()});
        if let Some(token) = listing.continue_token {
            metadata["continue"] = token.into();
        }
        if let Some(n) = listing.remaining {
            metadata["remainingItemCount"] = n.into();
        }
        let items = listing.items.iter().map(|item| item.bytes.clone());
        return Ok(response::json_bytes(StatusCode::OK, Body::chunks(list_parts(resource, &metadata, items))));
    }
    let include = IncludeObject::parse(call.query.get("includeObject")).map_err(ApiError::bad_request)?;
    let size = listing.items.iter().map(|o| o.bytes.len()).sum();
    let made = call.work(size, move || {
        let version = listing.revision.to_string();
        let token = listing.continue_token.unwrap_or_default();
        let meta = ListMeta { resource_version: &version, continue_token: &token, remaining: listing.remaining };
        let objects: Vec<Value> = listing.items.iter().filter_map(|o| o.readable(resource.plural)).collect();
        let value = match form {
            Form::Partial => table::partial_metadata_list(&objects, meta),
            _ => {
                let columns = table::columns_for(resource.group, resource.kind);
                table::table(&columns, &objects, include, meta, true, jiff::Timestamp::now().as_second())
            }
        };
        response::json(StatusCode::OK, &value)
    });
    made.await
}

/// The head of a list, the encoded objects, and commas between them.
pub(super) fn list_parts(resource: &Resource, metadata: &Value, items: impl IntoIterator<Item = Bytes>) -> VecDeque<Bytes> {
    let (kind, version) = (resource.kind, resource.api_version());
    let head = format!("{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[");
    let mut parts = VecDeque::from([Bytes::from(head)]);
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            parts.push_back(Bytes::from_static(b","));
        }
        parts.push_back(item);
    }
    parts.push_back(Bytes::from_static(b"]}\n"));
    parts
}
