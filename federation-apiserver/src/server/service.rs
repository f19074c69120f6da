//! The server as a tower service: the same for connections and for callers in the same process.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;

use super::caller::Caller;
use super::connected::Connected;
use super::pipeline;
use super::served::Served;
use crate::http::request::BoxError;
use crate::http::response::Body;

/// Answers API requests. Cheap to clone.
#[derive(Clone)]
pub struct ApiService {
    pub(super) served: Arc<Served>,
    pub(super) caller: Caller,
}

impl ApiService {
    /// The service as one connection uses it.
    pub(super) fn for_connection(&self, connected: Arc<Connected>) -> Self {
        Self { served: Arc::clone(&self.served), caller: Caller::Connection(connected) }
    }
}

impl std::fmt::Debug for ApiService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiService").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        Box::pin(async move { Ok(pipeline::handle(&service.served, &service.caller, request).await) })
    }
}
