//! Bodies of requests, decoded once: into an object, or into what a write makes of one.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use machinery::codec::{self, Decoded, FieldValidation, MediaType};
use machinery::schema::Gvk;
use machinery::status::{ApiError, FieldError};
use serde_json::{Value, json};

use super::apply::Apply;
use super::call::Call;
use super::patch::Patch;
use super::prepare::{self, Write};
use super::scale::{self, Scale};
use super::transform::Transform;
use crate::auth::Verb;
use crate::http::patch::PatchKind;
use crate::http::request::{self, RequestBody};
use crate::registry::resource::Subresource;

/// What a write asks for.
pub(super) struct Input {
    pub(super) transform: Transform,
    pub(super) how: Write,
    /// About as many bytes the work is on, besides the object that is there.
    pub(super) weight: usize,
    pub(super) warnings: Vec<String>,
}

/// Decodes a create, an update or a patch of an object or of a part of it.
pub(super) async fn write(call: Call<'_>, part: Option<Subresource>, body: RequestBody) -> Result<Input, ApiError> {
    let patch = if call.info.verb == Verb::Patch { Some(PatchKind::of(content_type(call))?) } else { None };
    let how = Write::new(call)?;
    let validation = validation(call)?;
    let bytes = request::read(body).await?;
    let weight = bytes.len();
    let (transform, warnings) = match (patch, part) {
        (None, Some(Subresource::Scale)) => whole_scale(call, bytes, validation).await?,
        (None, _) => object(call, bytes, validation).await?,
        (Some(kind), Some(Subresource::Scale)) => (scale_patch(call, kind, bytes, validation).await?, Vec::new()),
        (Some(PatchKind::Apply), _) => configuration(call, part, bytes, &how, validation).await?,
        (Some(kind), _) => (object_patch(call, kind, bytes, validation).await?, Vec::new()),
    };
    Ok(Input { transform, how, weight, warnings })
}

/// Decodes what is asked and not stored: an access or token review, a request for a token.
pub(super) async fn question(call: Call<'_>, kind: Gvk, body: RequestBody) -> Result<Decoded, ApiError> {
    let bytes = request::read(body).await?;
    decode(call, kind, bytes, validation(call)?).await
}

/// Decodes the options a DELETE may carry.
pub(super) async fn delete_options(call: Call<'_>, body: RequestBody) -> Result<Value, ApiError> {
    let bytes = request::read(body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    Ok(decode(call, Gvk::new("", "v1", "DeleteOptions"), bytes, FieldValidation::Ignore).await?.value)
}

/// The body's `Content-Type`; empty when there is none.
fn content_type(call: Call<'_>) -> &str {
    call.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// What is to happen to unknown fields.
fn validation(call: Call<'_>) -> Result<FieldValidation, ApiError> {
    FieldValidation::parse(call.query.get("fieldValidation").unwrap_or_default()).map_err(|wrong| prepare::unfit_options(call, wrong))
}

/// Decodes a body that should hold an object of kind `expected`.
async fn decode(call: Call<'_>, expected: Gvk, bytes: Bytes, validation: FieldValidation) -> Result<Decoded, ApiError> {
    let media = MediaType::parse(content_type(call)).ok_or_else(|| ApiError::unsupported_media_type(codec::ACCEPTED))?;
    let types = Arc::clone(&call.entry.types);
    call.work(bytes.len(), move || codec::decode(&types, &expected, &bytes, media, validation)).await?
}

async fn object(call: Call<'_>, bytes: Bytes, validation: FieldValidation) -> Result<(Transform, Vec<String>), ApiError> {
    let Decoded { mut value, warnings, .. } = decode(call, call.entry.gvk.clone(), bytes, validation).await?;
    if call.info.verb != Verb::Create {
        named(call, &value)?;
    }
    prepare::settle_namespace(&mut value, call.resource().namespaced, &call.info.namespace)?;
    Ok((if call.info.verb == Verb::Create { Transform::Create(value) } else { Transform::Replace(value) }, warnings))
}

/// The object's name must be the one in the path.
fn named(call: Call<'_>, object: &Value) -> Result<(), ApiError> {
    match object["metadata"]["name"].as_str().unwrap_or_default() {
        "" => {
            let e = FieldError::required("metadata.name", "name is required");
            Err(ApiError::bad_request(format!("{}: {}", e.field, e.message())))
        }
        name if name != call.info.name => Err(call.owned().misnamed(name)),
        _ => Ok(()),
    }
}

async fn whole_scale(call: Call<'_>, bytes: Bytes, validation: FieldValidation) -> Result<(Transform, Vec<String>), ApiError> {
    let Decoded { value, warnings, .. } = decode(call, scale::gvk(), bytes, validation).await?;
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.info.name {
        return Err(call.owned().misnamed(name));
    }
    Ok((Transform::Scale(Scale::Whole(value)), warnings))
}

async fn scale_patch(call: Call<'_>, kind: PatchKind, bytes: Bytes, validation: FieldValidation) -> Result<Transform, ApiError> {
    if kind == PatchKind::Apply {
        // A Scale is no object of its own: there are no fields whose owners could be remembered.
        return Err(ApiError::unsupported_media_type(&scale::PATCHES));
    }
    Ok(Transform::Scale(Scale::Patch(Patch { kind, patch: patch(call, kind, bytes).await?, validation })))
}

async fn object_patch(call: Call<'_>, kind: PatchKind, bytes: Bytes, validation: FieldValidation) -> Result<Transform, ApiError> {
    if call.query.get("force").is_some() {
        let e = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[e]));
    }
    Ok(Transform::Patch(Patch { kind, patch: patch(call, kind, bytes).await?, validation }))
}

async fn patch(call: Call<'_>, kind: PatchKind, bytes: Bytes) -> Result<Value, ApiError> {
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

/// What server-side apply is given.
async fn configuration(
    call: Call<'_>,
    part: Option<Subresource>,
    bytes: Bytes,
    how: &Write,
    validation: FieldValidation,
) -> Result<(Transform, Vec<String>), ApiError> {
    if call.query.get("fieldManager").is_none() {
        let e = FieldError::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[e]));
    }
    let gvk = call.entry.gvk.clone();
    let decoded = call.work(bytes.len(), move || codec::decode_configuration(&gvk, &bytes, validation)).await??;
    let mut wanted = decoded.value;
    let meta = prepare::metadata(&mut wanted)?;
    match meta.get("name").and_then(Value::as_str).unwrap_or_default() {
        "" => drop(meta.insert("name".into(), call.info.name.as_str().into())),
        name if name != call.info.name => return Err(call.owned().misnamed(name)),
        _ => {}
    }
    prepare::settle_namespace(&mut wanted, call.resource().namespaced, &call.info.namespace)?;
    Ok((Transform::Apply(Apply { wanted, force: call.query.flag("force"), part, how: how.clone() }), decoded.warnings))
}
