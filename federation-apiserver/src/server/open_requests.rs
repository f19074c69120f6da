//! Counts the open requests of a connection, so that it can be closed when there are none.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

use super::response::Body;
use crate::config::Patience;

/// The requests of one connection whose answers are not sent yet.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenRequests(watch::Sender<usize>);

/// Counts as one request until it is dropped.
pub(super) struct OpenRequest(watch::Sender<usize>);

impl OpenRequests {
    /// Another request.
    pub(super) fn begin(&self) -> OpenRequest {
        self.0.send_modify(|open| *open += 1);
        OpenRequest(self.0.clone())
    }

    /// Comes back when there was no request for too long.
    pub(super) async fn exhaust(&self, patience: Patience) {
        let mut open = self.0.subscribe();
        let mut limit = patience.first;
        while open.wait_for(|open| *open == 0).await.is_ok() {
            if !matches!(tokio::time::timeout(limit, open.changed()).await, Ok(Ok(()))) {
                return;
            }
            limit = patience.idle;
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// An answer's body; the request is open until it is sent or given up.
pub(super) struct Counted {
    body: Body,
    _open: OpenRequest,
}

impl Counted {
    pub(super) fn new(body: Body, open: OpenRequest) -> Self {
        Self { body, _open: open }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
