//! UPDATE of an object or of one of its subresources: compare and swap.

use std::sync::Arc;

use http::{Response, StatusCode};
use machinery::status::{ApiError, FieldError};
use serde_json::Value;

use super::call::Call;
use super::create::Stored;
use super::prepare::{self, Change, Write};
use super::{body, options, scale};
use crate::http::request::{self, RequestBody};
use crate::http::response::Body;
use crate::http::warnings::with_warnings;
use crate::registry::resource::Subresource;
use crate::storage::StorageError;

/// Attempts of a write that names no resourceVersion.
pub(super) const TRIES: usize = 5;

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

pub(super) async fn update(call: Call<'_>, request_body: RequestBody, part: Option<Subresource>) -> Result<Response<Body>, ApiError> {
    let write = Write::new(call)?;
    let bytes = request::read(request_body).await?;
    if part == Some(Subresource::Scale) {
        return scale::update(call, bytes, &write).await;
    }
    let weight = bytes.len();
    let decoded = body::decode(call, call.entry.gvk.clone(), bytes).await?;
    let new = named(call, decoded.value)?;
    let stored = change(call, part, weight, &write, false, move |_| Ok(new.clone())).await?;
    Ok(with_warnings(stored.answer(call, StatusCode::OK).await?, &decoded.warnings))
}

/// The object's name must be the one in the path.
fn named(call: Call<'_>, mut object: Value) -> Result<Value, ApiError> {
    let path_name = call.info.name.as_str();
    match object["metadata"]["name"].as_str().unwrap_or_default() {
        "" => {
            let e = FieldError::required("metadata.name", "name is required");
            return Err(ApiError::bad_request(format!("{}: {}", e.field, e.message())));
        }
        name if name != path_name => {
            return Err(ApiError::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({path_name})")));
        }
        _ => {}
    }
    prepare::settle_namespace(&mut object, call.resource().namespaced, &call.info.namespace)?;
    Ok(object)
}

/// Reads, changes and writes, again when somebody else wrote in between and the change names no
/// resourceVersion. `transform` makes the new object from the old one and a request of about `weight` bytes.
pub(super) async fn change(
    call: Call<'_>,
    part: Option<Subresource>,
    weight: usize,
    write: &Write,
    applied: bool,
    transform: impl Fn(&Value) -> Result<Value, ApiError> + Send + Sync + 'static,
) -> Result<Stored, ApiError> {
    let name = call.info.name.as_str();
    let (about, transform) = (call.owned(), Arc::new(transform));
    for attempt in 1.. {
        let current = call.current().await?.ok_or_else(|| call.not_found())?;
        let (inside, how, was, transform) = (about.clone(), write.clone(), Arc::clone(&current), Arc::clone(&transform));
        let prepared = call.work(weight + current.bytes.len(), move || {
            let old = was.value()?;
            let new = transform(&old)?;
            let wanted = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let conditional = !wanted.is_empty() && old["metadata"]["resourceVersion"] != wanted;
            if conditional {
                options::parse_revision(wanted)?;
                return Err(inside.conflict(MODIFIED));
            }
            // A patched object carries the version it was read at, which is no condition of the caller.
            let change = prepare::update(&inside.entry, new, &old, part, &how, applied)?;
            if let Change::Replace(new) = &change {
                inside.check_escalation(new, Some(&old))?;
            }
            Ok(change)
        });
        let outcome = match prepared.await?? {
            Change::None => return Ok(Stored::Object(current)),
            Change::Remove(new) | Change::Replace(new) if write.dry_run => return Ok(Stored::DryRun(new)),
            Change::Replace(new) => call.store().update(call.namespace(), name, &new, current.revision).await.map(Stored::Object),
            Change::Remove(new) => call.store().delete(call.namespace(), name, current.revision).await.map(|gone| {
                let mut last = new;
                last["metadata"]["resourceVersion"] = gone.revision.to_string().into();
                Stored::DryRun(last)
            }),
        };
        match outcome {
            Ok(stored) => return Ok(stored),
            Err(StorageError::Conflict { .. }) if attempt < TRIES => {}
            Err(StorageError::Conflict { .. }) => return Err(about.conflict(MODIFIED)),
            Err(e) => return Err(e.into()),
        }
    }
    Err(about.conflict(MODIFIED))
}
