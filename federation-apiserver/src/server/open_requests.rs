//! Knows the open requests of a connection: it is closed when there are none for too long, or when an
//! answer is not read.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Patience;
use crate::http::response::Body;

/// The requests of one connection whose answers are not written yet.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenRequests(watch::Sender<Open>);

#[derive(Debug, Default)]
struct Open {
    requests: usize,
    begun: u64,
    /// When answers have to be written, with a number that tells them apart.
    due: BTreeSet<Due>,
}

type Due = (Instant, u64);

/// Counts as one request until it is dropped.
pub(super) struct OpenRequest {
    all: watch::Sender<Open>,
    due: Option<Due>,
}

impl OpenRequests {
    /// Another request.
    pub(super) fn begin(&self) -> OpenRequest {
        self.0.send_modify(|open| open.requests += 1);
        OpenRequest { all: self.0.clone(), due: None }
    }

    /// Comes back when there was no request for too long.
    pub(super) async fn exhaust(&self, patience: Patience) {
        let mut open = self.0.subscribe();
        let mut limit = patience.first;
        while open.wait_for(|open| open.requests == 0).await.is_ok() {
            if !matches!(tokio::time::timeout(limit, open.changed()).await, Ok(Ok(()))) {
                return;
            }
            limit = patience.idle;
        }
    }

    /// Comes back when an answer was not written in time.
    pub(super) async fn overdue(&self) {
        let mut open = self.0.subscribe();
        loop {
            let first = open.wait_for(|open| !open.due.is_empty()).await.ok().and_then(|open| open.due.first().copied());
            // The sender is here, so there is one.
            let Some(first) = first else { continue };
            // Later ones are due later.
            tokio::time::sleep_until(first.0).await;
            if self.0.borrow().due.contains(&first) {
                return;
            }
        }
    }
}

impl OpenRequest {
    /// The request is open until its answer is written or given up; which may take `limit`, unless it is
    /// a stream.
    pub(super) fn answered(mut self, body: Body, limit: Duration) -> Body {
        if !body.is_stream() {
            self.all.send_modify(|open| {
                open.begun += 1;
                let due = (Instant::now() + limit, open.begun);
                open.due.insert(due);
                self.due = Some(due);
            });
        }
        body.keeping(self)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.all.send_modify(|open| {
            open.requests -= 1;
            if let Some(due) = self.due {
                open.due.remove(&due);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn d33_an_answer_that_is_not_read_is_overdue() {
        let requests = OpenRequests::default();
        let read = requests.begin().answered(Body::Full("{}".into()), LIMIT);
        let watch = requests.begin().answered(Body::Stream(Box::pin(futures::stream::pending())), LIMIT);
        let mut overdue = std::pin::pin!(requests.overdue());
        assert!(overdue.as_mut().now_or_never().is_none());
        tokio::time::advance(LIMIT / 2).await;
        let unread = requests.begin().answered(Body::Full("{}".into()), LIMIT);
        drop(read);
        tokio::time::advance(LIMIT / 2 + Duration::from_secs(1)).await;
        assert!(overdue.as_mut().now_or_never().is_none(), "the first was read, a watch may last");
        tokio::time::timeout(LIMIT / 2, overdue).await.unwrap();
        drop((watch, unread));
        assert_eq!((requests.0.borrow().requests, requests.0.borrow().due.len()), (0, 0));
    }
}
