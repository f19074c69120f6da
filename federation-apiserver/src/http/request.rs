//! Request bodies of any origin, read within limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use machinery::status::ApiError;

/// Any error of a request body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A request body of any origin.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// kube-apiserver's limit.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Longest wait for the next piece of a body, and for all of it.
const PIECE: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);

/// The most bytes it can have: what it says of itself, or what is allowed.
pub(crate) fn largest(body: &RequestBody) -> Result<usize, ApiError> {
    let size = body.size_hint();
    if size.lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    Ok(size.upper().and_then(|most| usize::try_from(most).ok()).map_or(MAX_BODY, |most| most.min(MAX_BODY)))
}

/// Reads the whole body, within a time that does not let it trickle in.
pub(crate) async fn read(body: RequestBody) -> Result<Bytes, ApiError> {
    tokio::time::timeout(WHOLE, pieces(body)).await.unwrap_or_else(|_| Err(late()))
}

fn too_large() -> ApiError {
    ApiError::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))
}

fn late() -> ApiError {
    ApiError::new(408, "Timeout", "the body of the request did not come in time")
}

async fn pieces(mut body: RequestBody) -> Result<Bytes, ApiError> {
    // All at once, for a buffer that grows takes twice as much meanwhile.
    let mut out = Vec::with_capacity(usize::try_from(body.size_hint().lower()).unwrap_or(MAX_BODY).min(MAX_BODY));
    while let Some(frame) = tokio::time::timeout(PIECE, body.frame()).await.map_err(|_| late())? {
        let frame = frame.map_err(|e| ApiError::bad_request(format!("the body could not be read: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if out.len() + data.len() > MAX_BODY {
            return Err(too_large());
        }
        out.extend_from_slice(&data);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

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

    #[test]
    fn d33_a_body_counts_for_what_it_says_it_has() {
        let known = |n: usize| http_body_util::Full::new(Bytes::from(vec![0; n])).map_err(|never| match never {}).boxed_unsync();
        assert_eq!(largest(&known(1000)).unwrap(), 1000);
        assert_eq!(largest(&pieces_each(PIECE, 2)).unwrap(), MAX_BODY);
        assert_eq!(largest(&known(MAX_BODY + 1)).unwrap_err().code, 413);
    }
}
