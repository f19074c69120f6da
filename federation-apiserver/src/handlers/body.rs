//! Request bodies, decoded.

use bytes::Bytes;
use http::header;
use machinery::codec::{self, Decoded, FieldValidation, MediaType};
use machinery::schema::{Gvk, Types};
use machinery::status::ApiError;
use serde_json::Value;

use super::call::Call;

/// The body's `Content-Type`; empty when there is none.
pub(super) fn content_type(call: Call<'_>) -> &str {
    call.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Decodes a body that should hold an object of kind `expected`.
pub(super) async fn decode(call: Call<'_>, expected: Gvk, bytes: Bytes) -> Result<Decoded, ApiError> {
    let validation = validation(call)?;
    decode_as(call, expected, bytes, validation).await
}

async fn decode_as(call: Call<'_>, expected: Gvk, bytes: Bytes, validation: FieldValidation) -> Result<Decoded, ApiError> {
    let media = MediaType::parse(content_type(call)).ok_or_else(|| ApiError::unsupported_media_type(codec::ACCEPTED))?;
    call.work(bytes.len(), move || codec::decode(Types::builtin(), &expected, &bytes, media, validation)).await?
}

/// What is to happen to unknown fields.
pub(super) fn validation(call: Call<'_>) -> Result<FieldValidation, ApiError> {
    FieldValidation::parse(call.query.get("fieldValidation").unwrap_or_default())
}

/// Decodes the options a DELETE may carry.
pub(super) async fn delete_options(call: Call<'_>, bytes: Bytes) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    Ok(decode_as(call, Gvk::new("", "v1", "DeleteOptions"), bytes, FieldValidation::Ignore).await?.value)
}
