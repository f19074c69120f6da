//! Request bodies: read within a limit, and decoded.

use std::time::Duration;

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

/// Longest wait for the next piece of a body, and for all of it.
const PIECE: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);

/// Reads the whole body, within a time that does not let it trickle in.
pub(crate) async fn read(body: RequestBody) -> Result<Bytes, ApiError> {
    tokio::time::timeout(WHOLE, pieces(body)).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> ApiError {
    ApiError::new(408, "Timeout", "the body of the request did not come in time")
}

async fn pieces(mut body: RequestBody) -> Result<Bytes, ApiError> {
    let mut out = Vec::new();
    while let Some(frame) = tokio::time::timeout(PIECE, body.frame()).await.map_err(|_| late())? {
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

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;
    use crate::server::service::BoxError;

    fn pieces_each(pause: Duration, n: usize) -> RequestBody {
        let frames = futures::stream::iter(0..n).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"{")))
        });
        StreamBody::new(Box::pin(frames)).boxed_unsync()
    }

    #[tokio::test(start_paused = true)]
    async fn d6_a_body_that_trickles_in_is_given_up() {
        assert_eq!(read(pieces_each(Duration::from_secs(1), 20)).await.unwrap().len(), 20);
        for slow in [pieces_each(Duration::from_secs(6), 2), pieces_each(Duration::from_secs(1), 100)] {
            let begun = tokio::time::Instant::now();
            assert_eq!(read(slow).await.unwrap_err().code, 408);
            assert!(begun.elapsed() <= WHOLE);
        }
    }
}
