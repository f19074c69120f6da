//! Accepts connections, and lets them finish on shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use daemon::logs::{Said, Sparing};
use daemon::supervise::{Done, guarded};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connected::Connected;
use super::open_requests::OpenRequests;
use super::room::{Known, Room};
use super::service::ApiService;
use super::standing;
use super::tls::Tls;
use crate::config::Patience;
use crate::error::ConfigError;
use crate::metrics;

/// HTTP/2 pings find dead peers; the numbers are Go's defaults for Kubernetes clients.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// kube-apiserver's limit of streams for one connection.
const MAX_STREAMS: u32 = 250;

/// Rests while connections cannot be accepted.
const REST: Policy = Policy::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// Time for what was asked on a connection to be answered, when its certificate holds no more. Streams end at once.
const LAST_ANSWERS: Duration = Duration::from_millis(250);
/// Time for connections to end that were cut off at the end of the grace.
pub(super) const LAST: Duration = Duration::from_secs(2);

/// Binds the address.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => ConfigError::new(
            format!("cannot listen on {address}: the port is in use"),
            "stop the other program or choose another port with --secure-port",
        ),
        std::io::ErrorKind::PermissionDenied => {
            ConfigError::new(format!("cannot listen on {address}: permission denied"), "choose a port above 1023 with --secure-port")
        }
        _ => ConfigError::new(format!("cannot listen on {address}: {e}"), "check --bind-address and --secure-port"),
    })
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) tls: Arc<Tls>,
    pub(super) service: ApiService,
    pub(super) stopping: CancellationToken,
    pub(super) patience: Patience,
}

/// Serves until it is stopping, then waits for open requests, `grace` at most.
pub(super) async fn serve(listener: TcpListener, served: Connections, grace: Duration) -> Done {
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    // Their tasks end with the listener's, in whatever way that ends.
    let _abort = abort.clone().drop_guard();
    let room = Room::new();
    let (mut resting, said) = (Backoff::new(REST), Said::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = served.stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                said.recovers();
                let Some((place, made_room)) = room.enter(address.ip()) else {
                    refused(address, "this one");
                    continue;
                };
                if made_room {
                    refused(address, "the oldest that has not said who it is");
                }
                let served = served.clone();
                let connection = async move {
                    let connection = connection(stream, address, place.known.clone(), served);
                    place.leave.run_until_cancelled(connection).await;
                };
                connections.spawn(guarded("connection", abort.clone().run_until_cancelled_owned(connection)));
            }
            Err(e) => {
                // Out of file descriptors, most likely: a short rest lets connections close.
                if said.changes(&e.kind().to_string()) {
                    tracing::warn!("cannot accept connections: {e}");
                }
                resting.pause().await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!("{} connections were still open after {grace:?} and are closed", connections.len());
        abort.cancel();
        connections.wait().await;
    }
    Done
}

/// Told now and then, for strangers can cause it as often as they like.
fn refused(address: SocketAddr, which: &str) {
    static SAID: Sparing = Sparing::new(Duration::from_secs(10));
    metrics::connection_refused();
    if let Some(others) = SAID.now() {
        tracing::warn!(%address, others, "too many connections, {which} is closed");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    known: Known,
    Connections { tls, service, stopping, mut patience }: Connections,
) {
    let _ = stream.set_nodelay(true);
    let accept = TlsAcceptor::from(Arc::clone(&tls.current().config)).accept(stream);
    let stream = match tokio::time::timeout(patience.first, accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => {
            tracing::debug!("TLS handshake failed: {e}");
            return;
        }
        Err(_) => return,
    };
    let connected = Arc::new(Connected::new(address, tls, stream.get_ref().1.peer_certificates()).telling(known));
    let cut = standing::cut(Arc::clone(&service.served.api.authn), Arc::clone(&connected));
    let service = service.for_connection(connected);
    // An answer may take as long to be read as it may take to be made.
    let (requests, limit) = (OpenRequests::default(), service.served.config.request_timeout);
    let answer = hyper::service::service_fn(|request| {
        let (answer, open) = (tower::Service::call(&mut service.clone(), request), requests.begin());
        async move { answer.await.map(|response| response.map(|body| open.answered(body, limit))) }
    });
    let builder = builder(stream.get_ref().1.alpn_protocol());
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection, cut);
    let (mut closing, mut refused) = (false, None);
    let outcome = loop {
        tokio::select! {
            outcome = connection.as_mut() => break outcome,
            () = stopping.cancelled(), if !closing => {}
            // Who was told to go and neither asks nor leaves is left.
            () = requests.exhaust(patience) => if closing { return },
            () = &mut cut, if refused.is_none() => {
                tracing::debug!(%address, "the certificate of a connection holds no more, it is closed");
                refused = Some(Instant::now() + LAST_ANSWERS);
            }
            () = at(refused), if refused.is_some() => return,
            () = requests.overdue() => {
                tracing::debug!(%address, "an answer is not read, the connection is closed");
                return;
            }
        }
        (closing, patience.idle) = (true, patience.first);
        connection.as_mut().graceful_shutdown();
    };
    if let Err(e) = outcome {
        tracing::debug!("connection ended: {e}");
    }
}

/// Comes back at that time; never where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// For the protocol both sides agreed on, HTTP/1 where they did not.
fn builder(agreed: Option<&[u8]>) -> auto::Builder<Streams> {
    let builder = auto::Builder::new(Streams);
    let mut builder = if agreed == Some(b"h2") { builder.http2_only() } else { builder.http1_only() };
    // What we count covers slow headers as well.
    builder.http1().header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    builder
}

/// Runs the streams of HTTP/2 connections. Nobody waits for these tasks: each ends with its answer or,
/// when the connection is gone, at the next frame.
#[derive(Clone, Copy, Debug)]
struct Streams;

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(async move { drop(guarded("stream", stream).await) });
    }
}
