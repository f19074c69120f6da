//! Response bodies: one shared buffer, a list concatenated from stored objects, or a stream.

use std::any::Any;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use machinery::status::ApiError;
use serde_json::{Value, json};

/// Frames of a list are filled up to this size, so that many small objects do not become as many writes.
const FRAME: usize = 64 * 1024;

/// The body of an answer.
#[derive(Default)]
pub enum Body {
    /// Nothing (left).
    #[default]
    Empty,
    /// One buffer.
    Full(Bytes),
    /// Buffers that are written one after the other; their total length.
    Chunks(VecDeque<Bytes>, u64),
    /// Chunks as they come; ends when the stream ends.
    Stream(BoxStream<'static, Bytes>),
    /// A body, and what is kept until its last byte is written or nobody wants it any more.
    Kept(Box<Self>, Vec<Kept>),
}

/// Anything that is dropped when a body is written.
pub type Kept = Box<dyn Any + Send>;

/// The last buffer of a body. Who writes a body drops it when it has handed out this one, which may then
/// wait for a slow reader for as long as he likes.
struct Last {
    bytes: Bytes,
    _kept: Vec<Kept>,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(b) => write!(f, "Full({} bytes)", b.len()),
            Self::Chunks(_, n) => write!(f, "Chunks({n} bytes)"),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Kept(body, _) => body.fmt(f),
        }
    }
}

impl Body {
    /// Keeps something until the last byte is written, or the body is dropped before.
    ///
    /// It must be no part of the connection, as a request's body is: h2 drops what was written while it holds the lock of its
    /// streams, which such a part would wait for.
    #[must_use]
    pub(crate) fn keeping(self, kept: impl Any + Send) -> Self {
        match self {
            Self::Kept(body, mut all) => {
                all.push(Box::new(kept));
                Self::Kept(body, all)
            }
            body => Self::Kept(Box::new(body), vec![Box::new(kept)]),
        }
    }

    /// Ends it, where it is a stream, when `end` comes.
    #[must_use]
    pub(crate) fn until(self, end: impl Future<Output = ()> + Send + 'static) -> Self {
        match self {
            Self::Stream(stream) => Self::Stream(stream.take_until(Box::pin(end)).boxed()),
            Self::Kept(body, kept) => Self::Kept(Box::new(body.until(end)), kept),
            body => body,
        }
    }

    /// Whether it lasts as long as there are events, and not as long as it takes to write it.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            Self::Kept(body, _) => body.is_stream(),
            body => matches!(body, Self::Stream(_)),
        }
    }

    /// A body of several buffers.
    pub fn chunks(parts: VecDeque<Bytes>) -> Self {
        let total = parts.iter().map(|p| p.len() as u64).sum();
        Self::Chunks(parts, total)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(_) => match std::mem::take(&mut *self) {
                Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
            Self::Chunks(parts, left) => {
                let Some(frame) = next_frame(parts) else { return Poll::Ready(None) };
                *left -= frame.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            Self::Stream(stream) => stream.as_mut().poll_next(cx).map(|item| item.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Kept(body, kept) => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                let last = frame.is_some() && body.is_end_stream();
                let kept = if last { std::mem::take(kept) } else { Vec::new() };
                Poll::Ready(
                    frame.map(|Ok(frame)| {
                        Ok(frame.map_data(|bytes| if last { Bytes::from_owner(Last { bytes, _kept: kept }) } else { bytes }))
                    }),
                )
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Chunks(parts, _) => parts.is_empty(),
            Self::Full(_) | Self::Stream(_) => false,
            Self::Kept(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(b) => SizeHint::with_exact(b.len() as u64),
            Self::Chunks(_, n) => SizeHint::with_exact(*n),
            Self::Stream(_) => SizeHint::default(),
            Self::Kept(body, _) => body.size_hint(),
        }
    }
}

fn next_frame(parts: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = parts.pop_front()?;
    if first.len() >= FRAME || parts.is_empty() {
        return Some(first);
    }
    let mut frame = BytesMut::with_capacity(FRAME);
    frame.extend_from_slice(&first);
    while let Some(next) = parts.front() {
        if frame.len() + next.len() > FRAME {
            break;
        }
        frame.extend_from_slice(next);
        parts.pop_front();
    }
    Some(frame.freeze())
}

/// An answer with a JSON body.
pub fn json_bytes(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// An answer with a JSON value.
pub fn json(code: StatusCode, value: &Value) -> Response<Body> {
    json_bytes(code, Body::Full(Bytes::from(value.to_string())))
}

/// Plain text.
pub fn text(code: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Full(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// An error as a `Status`, with `Retry-After` where the details name a delay.
pub fn error(e: &ApiError) -> Response<Body> {
    let code = StatusCode::from_u16(e.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, &e.to_value());
    if let Some(seconds) = e.details.get("retryAfterSeconds").and_then(Value::as_u64) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if e.code == 401 {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"kubernetes-master\""));
    }
    response
}

/// What an answer to a write says of the object it wrote: kept among the answer's extensions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Written {
    /// Uid of the object.
    pub(crate) uid: String,
    /// Its revision after the write.
    pub(crate) revision: u64,
}

/// What an answer to a revocation says of it: kept among the answer's extensions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Revoked {
    /// Whose credential it was; empty when that is not known.
    pub(crate) user: String,
    /// Why, as it was said.
    pub(crate) reason: String,
}

/// `Status` of a success.
pub(crate) fn success(details: &Value) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    json(StatusCode::OK, &status)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn small_parts_share_frames_and_the_length_is_exact() {
        let parts: VecDeque<Bytes> = (0..1000).map(|i| Bytes::from(format!("{i:0200}"))).collect();
        let mut body = Body::chunks(parts);
        assert_eq!(body.size_hint().exact(), Some(200_000));
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(frames.iter().sum::<usize>(), 200_000);
        assert!(frames.len() < 6, "{frames:?}");
    }

    #[tokio::test]
    async fn d33_what_is_kept_lasts_until_the_last_byte_is_written() {
        let chunks = || Body::chunks([Bytes::from(vec![1; FRAME]), Bytes::from(vec![2; FRAME])].into());
        for (body, frames) in [(Body::Full("{}".into()), 1), (chunks(), 2)] {
            let (kept, also) = (Arc::new(()), Arc::new(()));
            let mut body = body.keeping(Arc::clone(&kept)).keeping(Arc::clone(&also));
            let mut last = None;
            for _ in 0..frames {
                last = Some(body.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert!(body.is_end_stream());
            drop(body);
            assert_eq!((Arc::strong_count(&kept), Arc::strong_count(&also)), (2, 2), "its last buffer is not written yet");
            drop(last);
            assert_eq!((Arc::strong_count(&kept), Arc::strong_count(&also)), (1, 1));
        }
        let kept = Arc::new(());
        drop(chunks().keeping(Arc::clone(&kept)));
        assert_eq!(Arc::strong_count(&kept), 1, "nobody wants it any more");
    }
}
