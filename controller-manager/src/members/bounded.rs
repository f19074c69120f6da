//! What a member may answer with: no answer of it, however long, fills our memory.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Limited, combinators::UnsyncBoxBody};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

/// Bytes of one whole answer. Lists come in pages of 500 objects of at most 1.5 MiB, in practice of some KiB.
const ANSWER: usize = 64 * 1024 * 1024;
/// Bytes of one event of a watch: an object of etcd's largest size, several times over for its encoding.
const EVENT: usize = 8 * 1024 * 1024;

/// The event was longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("the member sent an event of a watch longer than {EVENT} bytes")]
struct EventTooLong;

/// Bounds the answers of a client's requests.
pub(super) struct Bounded;

impl<S> Layer<S> for Bounded {
    type Service = BoundedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BoundedService(inner)
    }
}

/// A client whose answers are bounded.
#[derive(Clone)]
pub(super) struct BoundedService<S>(S);

impl<S, B> Service<Request<Body>> for BoundedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watches = request.uri().query().is_some_and(is_watch);
        let answer = self.0.call(request);
        async move {
            let response = answer.await.map_err(Into::into)?;
            // What is not a success is a Status and no stream of events.
            let events = watches && response.status().is_success();
            Ok(response.map(|body| {
                if events {
                    UnsyncBoxBody::new(Lines { body: body.map_err(Into::into).boxed_unsync(), held: 0, most: EVENT })
                } else {
                    UnsyncBoxBody::new(Limited::new(body, ANSWER))
                }
            }))
        }
        .boxed()
    }
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"))
}

/// A body of lines, each of a bounded length.
struct Lines {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// Bytes since the last end of a line.
    held: usize,
    most: usize,
}

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()?.data_ref()) {
            self.held = match data.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => data.len() - end - 1,
                None => self.held + data.len(),
            };
            if self.held > self.most {
                return Poll::Ready(Some(Err(EventTooLong.into())));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn lines(chunks: &[&'static str], most: usize) -> Lines {
        let frames: Vec<_> = chunks.iter().map(|c| Ok::<_, Infallible>(Frame::data(Bytes::from_static(c.as_bytes())))).collect();
        Lines { body: StreamBody::new(stream::iter(frames)).map_err(Into::into).boxed_unsync(), held: 0, most }
    }

    #[tokio::test]
    async fn d20_an_event_without_end_is_cut_off_and_many_short_ones_are_not() {
        let whole = lines(&["12345\n123", "45\n", "12345678\n1", "\n"], 8).collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 23);
        let error = lines(&["1234\n", "12345", "6789", "never"], 8).collect().await.unwrap_err();
        assert!(error.is::<EventTooLong>(), "{error}");
    }

    /// A client of a member that answers everything with `bytes` bytes.
    fn client(bytes: usize) -> kube::Client {
        let service = tower::service_fn(move |_: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b' '; bytes])))))
        });
        kube::Client::new(Bounded.layer(service), "default")
    }

    #[tokio::test]
    async fn d20_an_answer_larger_than_the_bound_is_an_error_and_not_our_memory() {
        use crate::members::request::Call;
        let limit = std::time::Duration::from_secs(60);
        assert!(Call::get("/healthz").send(&client(1000), limit).await.is_ok());
        assert!(Call::get("/api/v1/nodes").send(&client(ANSWER + 1), limit).await.is_err());
        // A watch has no end, and so no bound as a whole: this one breaks its bound with its first event.
        let error = Call::get("/api/v1/pods?watch=true").send(&client(EVENT + 1), limit).await.unwrap_err();
        assert!(error.to_string().contains("event of a watch"), "{error}");
    }
}
