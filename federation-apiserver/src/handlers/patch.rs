//! PATCH: JSON, merge, strategic merge and server-side apply.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Response, StatusCode};
use machinery::codec::{self, FieldValidation};
use machinery::patch::apply::{self, Writer};
use machinery::patch::{json, merge, strategic};
use machinery::schema::{self, Types};
use machinery::status::{ApiError, FieldError};
use serde_json::{Value, json};

use super::call::Call;
use super::create;
use super::prepare::{self, Write};
use super::update::{self, TRIES};
use super::{body, scale};
use crate::auth::Attributes;
use crate::http::patch::PatchKind;
use crate::http::request::{self, RequestBody};
use crate::http::response::Body;
use crate::http::warnings::with_warnings;
use crate::registry::Entry;
use crate::registry::resource::Subresource;

pub(super) async fn patch(call: Call<'_>, request_body: RequestBody, part: Option<Subresource>) -> Result<Response<Body>, ApiError> {
    let kind = PatchKind::of(body::content_type(call))?;
    let write = Write::new(call)?;
    let validation = body::validation(call)?;
    let bytes = request::read(request_body).await?;
    if part == Some(Subresource::Scale) {
        return scale::patch(call, kind, bytes, &write).await;
    }
    if kind == PatchKind::Apply {
        return apply_patch(call, part, bytes, &write, validation).await;
    }
    if call.query.get("force").is_some() {
        let e = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[e]));
    }
    let weight = bytes.len();
    let patch = parse(call, kind, bytes).await?;
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let (about, told) = (call.owned(), Arc::clone(&warnings));
    let stored = update::change(call, part, weight, &write, false, move |old| {
        let new = patched(&about.entry, kind, old, &patch)?;
        let decoded = codec::conform_patched(Types::builtin(), &about.entry.gvk, new, validation).map_err(|e| unfit(e, validation))?;
        *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = decoded.warnings;
        let mut new = decoded.value;
        if new["metadata"]["name"] != old["metadata"]["name"] || new["metadata"]["namespace"] != old["metadata"]["namespace"] {
            return Err(about.misnamed(new["metadata"]["name"].as_str().unwrap_or_default()));
        }
        let uid = &old["metadata"]["uid"];
        if new["metadata"]["uid"].is_null() {
            new["metadata"]["uid"] = uid.clone();
        } else if new["metadata"]["uid"] != *uid {
            // Only an update makes a condition of it.
            let e = FieldError::invalid("metadata.uid", new["metadata"]["uid"].clone(), "field is immutable");
            return Err(ApiError::invalid(about.entry.resource.group, about.entry.resource.kind, &about.name, &[e]));
        }
        Ok(new)
    });
    let stored = stored.await?;
    let warnings = std::mem::take(&mut *warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok(with_warnings(stored.answer(call, StatusCode::OK).await?, &warnings))
}

/// A patch that makes something of the wrong type is invalid rather than unreadable.
fn unfit(e: ApiError, validation: FieldValidation) -> ApiError {
    if validation == FieldValidation::Strict && e.message.contains("strict decoding error") {
        return e;
    }
    let error = FieldError::invalid("patch", Value::Null, e.message);
    let error = FieldError { value: None, ..error };
    // Nothing of that kind was made, so the error is none of an object.
    ApiError::invalid("", "", "", &[error])
}

pub(super) async fn parse(call: Call<'_>, kind: PatchKind, bytes: Bytes) -> Result<Value, ApiError> {
    let patch = call.work(bytes.len(), move || codec::decode_patch(&bytes)).await??;
    match kind {
        // As kube-apiserver, to which `null` is an empty map here and an error in a merge patch.
        PatchKind::Strategic if patch.is_null() => Ok(json!({})),
        PatchKind::Merge | PatchKind::Strategic if !patch.is_object() => {
            Err(ApiError::bad_request("error decoding patch: a merge patch must be an object"))
        }
        _ => Ok(patch),
    }
}

fn patched(entry: &Entry, kind: PatchKind, old: &Value, patch: &Value) -> Result<Value, ApiError> {
    match kind {
        PatchKind::Json => json::apply(old, patch),
        PatchKind::Merge => {
            let mut new = old.clone();
            merge::apply(&mut new, patch);
            Ok(new)
        }
        PatchKind::Strategic | PatchKind::Apply => strategic::apply(Types::builtin(), entry.type_id, old, patch),
    }
}

/// A patch of a document that is no stored object (a Scale): strategic patches merge plainly.
pub(super) fn patched_plain(kind: PatchKind, old: &Value, patch: &Value) -> Result<Value, ApiError> {
    if kind == PatchKind::Json {
        return json::apply(old, patch);
    }
    let mut new = old.clone();
    merge::apply(&mut new, patch);
    Ok(new)
}

async fn apply_patch(
    call: Call<'_>,
    part: Option<Subresource>,
    bytes: Bytes,
    write: &Write,
    validation: FieldValidation,
) -> Result<Response<Body>, ApiError> {
    if call.query.get("fieldManager").is_none() {
        let e = FieldError::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[e]));
    }
    let (about, weight) = (call.owned(), bytes.len());
    let gvk = call.entry.gvk.clone();
    let decoded = call.work(weight, move || codec::decode_configuration(&gvk, &bytes, validation)).await??;
    let mut wanted = decoded.value;
    let meta = prepare::metadata(&mut wanted)?;
    match meta.get("name").and_then(Value::as_str).unwrap_or_default() {
        "" => drop(meta.insert("name".into(), call.info.name.as_str().into())),
        name if name != about.name => return Err(about.misnamed(name)),
        _ => {}
    }
    prepare::settle_namespace(&mut wanted, call.resource().namespaced, &call.info.namespace)?;
    let force = call.query.flag("force");
    // What was applied is merged as it was written; only the result takes the form of its type.
    let merge = {
        let (about, wanted, write) = (about.clone(), wanted.clone(), write.clone());
        let (subresource, api_version) = (part.map(Subresource::name).unwrap_or_default(), call.resource().api_version());
        Arc::new(move |live: Option<&Value>| {
            let entry = &about.entry;
            let writer = Writer {
                manager: &write.manager,
                subresource,
                api_version: &api_version,
                now: &write.now,
                ignored: prepare::ignored(entry, subresource),
            };
            let mut new = apply::apply(Types::builtin(), entry.type_id, live, &wanted, force, &writer)?;
            schema::prune(Types::builtin(), entry.type_id, &mut new);
            Ok::<Value, ApiError>(new)
        })
    };
    let version = &wanted["metadata"]["resourceVersion"];
    for attempt in 1..=TRIES {
        let live = call.current().await?;
        let merge = Arc::clone(&merge);
        let outcome = match live {
            Some(_) => {
                let version = version.clone();
                let stored = update::change(call, part, weight, write, true, move |old| {
                    let mut new = merge(Some(old))?;
                    new["metadata"]["resourceVersion"] = version.clone();
                    Ok(new)
                });
                stored.await.map(|stored| (stored, StatusCode::OK))
            }
            None if part.is_some() => Err(call.not_found()),
            None if !wanted["metadata"]["uid"].is_null() => Err(about.conflict("the uid given does not exist")),
            None => {
                // As in kube-apiserver, who makes an object by applying it needs the right to create it too.
                call.api.authz.authorize(call.user, &Attributes { verb: "create".into(), ..call.info.clone() })?;
                let mut new = call.work(weight, move || merge(None)).await??;
                // As in kube-apiserver a version is no condition where nothing is; only POST refuses one.
                prepare::metadata(&mut new)?.remove("resourceVersion");
                create::store_new(call, new, weight, write, true).await.map(|stored| (stored, StatusCode::CREATED))
            }
        };
        match outcome {
            // Somebody created or deleted it in between.
            Err(e) if attempt < TRIES && matches!(e.reason, "AlreadyExists" | "NotFound") && e.details["name"] == json!(call.info.name) => {
            }
            Err(e) => return Err(e),
            Ok((stored, code)) => return Ok(with_warnings(stored.answer(call, code).await?, &decoded.warnings)),
        }
    }
    Err(call.not_found())
}
