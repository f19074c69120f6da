//! Request bodies: read within a limit, and decoded.

use bytes::Bytes;
use http::header;
use http_body_util::BodyExt;
use machinery::codec::{self, Decoded, FieldValidation, MediaType};
use machinery::schema::{Gvk, Types};
use machinery::status::ApiError;
use serde_json::Value;

use super::{Call, cpu};
use crate::server::service::RequestBody;

/// kube-apiserver's limit.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Reads the whole body.
pub(crate) async fn read(mut body: RequestBody) -> Result<Bytes, ApiError> {
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| ApiError::bad_request(format!("the body could not be read: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if out.len() + data.len() > MAX_BODY {
            return Err(ApiError::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}")));
        }
        out.extend_from_slice(&data);
    }
    Ok(out.into())
}

/// The body's `Content-Type`; empty when there is none.
pub(super) fn content_type(call: Call<'_>) -> &str {
    call.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Decodes a body that should hold an object of kind `expected`.
pub(super) async fn decode(call: Call<'_>, expected: Gvk, bytes: Bytes) -> Result<Decoded, ApiError> {
    let media = MediaType::parse(content_type(call)).ok_or_else(|| ApiError::unsupported_media_type(codec::ACCEPTED))?;
    let validation = validation(call)?;
    cpu::run(bytes.len(), move || codec::decode(Types::builtin(), &expected, &bytes, media, validation)).await?
}

/// What is to happen to unknown fields.
pub(super) fn validation(call: Call<'_>) -> Result<FieldValidation, ApiError> {
    FieldValidation::parse(call.query.get("fieldValidation").unwrap_or_default())
}

/// Decodes the options a DELETE may carry.
pub(super) fn delete_options(call: Call<'_>, bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let media = MediaType::parse(content_type(call)).ok_or_else(|| ApiError::unsupported_media_type(codec::ACCEPTED))?;
    let expected = Gvk::new("", "v1", "DeleteOptions");
    Ok(codec::decode(Types::builtin(), &expected, bytes, media, FieldValidation::Ignore)?.value)
}
