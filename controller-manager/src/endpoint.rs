//! `/healthz`, `/livez`, `/readyz` and `/metrics` over plain HTTP, on v1's port.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use federation_api::failure::Failure;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Upper bounds of the buckets of every histogram, in seconds: all our histograms are times.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Samples are put into their buckets this often, whether somebody reads the metrics or not.
const UPKEEP: Duration = Duration::from_secs(5);

fn builder() -> PrometheusBuilder {
    PrometheusBuilder::new().set_buckets(BUCKETS).expect("the list of buckets is not empty")
}

/// Installs the recorder of metrics, once in a process. Absent when somebody else installed one.
pub(crate) fn recorder() -> Option<PrometheusHandle> {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().map(|()| handle)
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
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::AddrInUse { "the port is in use".to_owned() } else { e.to_string() };
        let hint = "choose another port with --port, or 0 for none, and check --address";
        Failure::new(format!("health and metrics cannot listen on {address}: {why}")).hint(hint).into()
    })
}

/// Serves until shutdown.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Option<PrometheusHandle>,
    ready: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: others must come first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (metrics, ready) = (metrics.clone(), ready.clone());
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(request.method(), request.uri().path(), metrics.as_ref(), *ready.borrow());
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            // A client that breaks off is no concern of ours.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(method: &Method, path: &str, metrics: Option<&PrometheusHandle>, ready: bool) -> Response<Full<Bytes>> {
    let (status, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/healthz" | "/livez") => (StatusCode::OK, "ok".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") if ready => (StatusCode::OK, "ok".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => {
            (StatusCode::SERVICE_UNAVAILABLE, "not leading, or the federation was not read yet\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, metrics.map(PrometheusHandle::render).unwrap_or_default()),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_buckets() {
        let recorder = builder().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::histogram!("t_seconds").record(0.02));
        let text = recorder.handle().render();
        assert!(text.contains("t_seconds_bucket{le=\"0.025\"} 1") && text.contains("t_seconds_bucket{le=\"0.01\"} 0"), "{text}");
    }

    #[test]
    fn readiness_is_apart_from_liveness() {
        let status = |path, ready| answer(&Method::GET, path, None, ready).status().as_u16();
        assert_eq!(
            (status("/healthz", false), status("/livez", false), status("/readyz", false), status("/readyz", true)),
            (200, 200, 503, 200)
        );
        assert_eq!((status("/metrics", true), status("/", true)), (200, 404));
        assert_eq!(answer(&Method::POST, "/healthz", None, true).status(), 405);
    }
}
