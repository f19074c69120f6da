//! `/healthz`, `/livez`, `/readyz`, `/metrics` and `/debug/flags/v` over plain HTTP, on v1's port. Who asks is not
//! known, so nobody can take more than a few connections and seconds.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use daemon::{backoff::Backoff, logs, supervise::Supervisor};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::backoff::SOCKET;

/// Upper bounds of the buckets of every histogram, in seconds: all our histograms are times.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Samples are put into their buckets this often, whether somebody reads the metrics or not.
const UPKEEP: Duration = Duration::from_secs(5);
/// Connections at a time; the oldest makes room for a new one, so that a probe always gets in.
const CONNECTIONS: usize = 64;
/// For the head of a request, and between two.
const HEAD: Duration = Duration::from_secs(10);
/// For everything on one connection.
const LIFETIME: Duration = Duration::from_secs(120);
/// Bytes of a request's body: a list of log levels.
const BODY: usize = 4096;

fn builder() -> PrometheusBuilder {
    PrometheusBuilder::new().set_buckets(BUCKETS).expect("the list of buckets is not empty")
}

/// The recorder of metrics, installed once in a process. Absent when somebody else installed one.
pub(crate) fn recorder() -> Option<PrometheusHandle> {
    static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok().map(|()| handle)
    };
    INSTALLED.get_or_init(install).clone()
}

/// Keeps samples from piling up, for ever.
pub(crate) async fn upkeep(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Binds the address.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// What is told.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) tasks: Weak<Supervisor>,
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, told: Told) {
    let mut connections = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    let mut failed = Backoff::new(SOCKET);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: others must come first.
            failed.pause().await;
            continue;
        };
        open.retain(|handle| !handle.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(connections.spawn(connection(stream, peer, told.clone())));
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, told: Told) {
    let service = service_fn(|request: Request<Incoming>| {
        let told = told.clone();
        async move { Ok::<_, Infallible>(respond(request, peer, &told).await) }
    });
    // A client that breaks off or takes too long is no concern of ours.
    let _ = tokio::time::timeout(LIFETIME, http().serve_connection(TokioIo::new(stream), service)).await;
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    http
}

async fn respond<B: hyper::body::Body>(request: Request<B>, peer: SocketAddr, told: &Told) -> Response<Full<Bytes>>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if request.uri().path() != logs::PATH {
        return answer(request.method(), request.uri().path(), told);
    }
    // There are no credentials here: who reaches the loopback of the pod or the machine is let in.
    if !peer.ip().to_canonical().is_loopback() {
        return plain(StatusCode::FORBIDDEN, "only from this machine: kubectl port-forward or exec gets you there\n".to_owned());
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "too long\n".to_owned());
    };
    match logs::level() {
        Some(level) => level.respond(&parts.method, &body.to_bytes()).map(Full::from),
        None => plain(StatusCode::NOT_FOUND, "the log of this process is somebody else's\n".to_owned()),
    }
}

fn answer(method: &Method, path: &str, told: &Told) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    let (status, body) = match path {
        "/healthz" | "/livez" => match told.tasks.upgrade().map_or(Ok(()), |tasks| tasks.live()) {
            Ok(()) => (StatusCode::OK, "ok".to_owned()),
            Err(dead) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{dead}\n")),
        },
        "/readyz" if *told.ready.borrow() => (StatusCode::OK, "ok".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not leading, or the federation was not read yet\n".to_owned()),
        "/metrics" => (StatusCode::OK, told.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default()),
        _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    plain(status, body)
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn told(ready: bool) -> Told {
        Told { metrics: None, ready: watch::channel(ready).1, tasks: Weak::new() }
    }

    #[test]
    fn times_are_told_in_buckets() {
        let recorder = builder().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::histogram!("t_seconds").record(0.02));
        let text = recorder.handle().render();
        assert!(text.contains("t_seconds_bucket{le=\"0.025\"} 1") && text.contains("t_seconds_bucket{le=\"0.01\"} 0"), "{text}");
    }

    #[tokio::test]
    async fn readiness_is_apart_from_liveness() {
        let status = |path, ready| answer(&Method::GET, path, &told(ready)).status().as_u16();
        assert_eq!(
            (status("/healthz", false), status("/livez", false), status("/readyz", false), status("/readyz", true)),
            (200, 200, 503, 200)
        );
        assert_eq!((status("/metrics", true), status("/", true)), (200, 404));
        assert_eq!(answer(&Method::POST, "/healthz", &told(true)).status(), 405);
    }

    #[tokio::test]
    async fn issue7_livez_fails_when_a_task_died() {
        let tasks = std::sync::Arc::new(Supervisor::default());
        let told = Told { tasks: std::sync::Arc::downgrade(&tasks), ..told(true) };
        assert_eq!(answer(&Method::GET, "/livez", &told).status(), 200);
        tasks.spawn("records", std::future::ready(Err::<daemon::supervise::Done, _>("no ink")));
        tasks.death().await;
        let response = answer(&Method::GET, "/livez", &told);
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "task records failed: no ink\n");
    }

    async fn listening() -> (SocketAddr, JoinSet<()>) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, told(true)));
        (at, serving)
    }

    async fn ask(at: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn d19_who_holds_connections_keeps_no_probe_out() {
        let (at, _serving) = listening().await;
        let mut held = Vec::new();
        for _ in 0..4 * CONNECTIONS {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(b"GET /liv").await.unwrap();
            held.push(stream);
        }
        assert!(ask(at, "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        // Reset or ended: the oldest was closed, and without an answer.
        assert_eq!(held[0].read(&mut [0; 1]).await.unwrap_or(0), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn d19_a_request_without_an_end_is_cut_off() {
        let (mut client, server) = tokio::io::duplex(1024);
        let service = service_fn(|_| async { Ok::<_, Infallible>(plain(StatusCode::OK, String::new())) });
        let serving = tokio::spawn(http().serve_connection(TokioIo::new(server), service));
        client.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
        let started = tokio::time::Instant::now();
        assert!(serving.await.unwrap().is_err());
        assert_eq!(started.elapsed().as_secs(), HEAD.as_secs());
    }

    #[tokio::test]
    async fn issue7_the_log_level_is_changed_from_this_machine_only() {
        let _logs = logs::install("test", &logs::LogOptions::default()).unwrap();
        let put = async |peer: &str, body: &'static str| {
            let request = Request::put(logs::PATH).body(Full::<Bytes>::from(body)).unwrap();
            let response = respond(request, SocketAddr::new(peer.parse().unwrap(), 4711), &told(true)).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        // Not `tracing::enabled!`: tests on other threads listen to everything.
        let is_logged = || logs::level().unwrap().now().contains("federation_controller_manager=trace");
        // Whatever the environment says.
        assert_eq!(put("127.0.0.1", "0").await.0, 200);
        assert!(!is_logged());
        for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"] {
            assert_eq!(put(peer, "9").await.0, 403, "{peer}");
        }
        assert!(!is_logged());
        for (peer, level, logged) in [("127.0.0.1", "9", true), ("::1", "0", false), ("::ffff:127.0.0.1", "9", true)] {
            assert_eq!(put(peer, level).await, (200, format!("log level set to {level}\n")), "{peer}");
            assert_eq!(is_logged(), logged, "{peer}");
        }
        assert_eq!(put("127.0.0.1", "0").await.0, 200);
        let (at, _serving) = listening().await;
        let long =
            format!("PUT /debug/flags/v HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5000\r\n\r\n{}", "x".repeat(5000));
        assert!(ask(at, &long).await.starts_with("HTTP/1.1 413"));
    }
}
