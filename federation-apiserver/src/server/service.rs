//! The server as a tower service: the same for connections and for callers in the same process.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use super::Inner;
use super::connected::Connected;
use super::pipeline;
use super::response::Body;
use crate::auth::UserInfo;

/// Any error of a request body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A request body of any origin.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Over a connection; credentials decide who it is.
    Connection(Arc<Connected>),
    /// From this process: the [`UserInfo`] among the request's extensions, or else this one.
    Process(Arc<UserInfo>),
}

/// Answers API requests. Cheap to clone.
#[derive(Clone)]
pub struct ApiService {
    pub(super) inner: Arc<Inner>,
    pub(super) caller: Caller,
}

impl Caller {
    /// Where the request came from.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Connection(connected) => connected.address(),
            Self::Process(_) => None,
        }
    }
}

impl ApiService {
    /// The service as one connection uses it.
    pub(super) fn for_connection(&self, connected: Connected) -> Self {
        Self { inner: Arc::clone(&self.inner), caller: Caller::Connection(Arc::new(connected)) }
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
        Box::pin(async move { Ok(pipeline::handle(&service.inner, &service.caller, request).await) })
    }
}
