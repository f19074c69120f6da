//! A collector that takes spans, and one that is not there.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::trace;

/// Answers each export with success and gives the request's bytes away.
async fn collector(listener: TcpListener, seen: mpsc::Sender<Bytes>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
                let _ = seen.send(body).await;
                let status = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
                let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(status))];
                Ok::<_, Infallible>(
                    Response::builder().header("content-type", "application/grpc").body(StreamBody::new(stream::iter(frames))).unwrap(),
                )
            }
        });
        let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).http2_only();
        tokio::spawn(async move { drop(connection.serve_connection(TokioIo::new(stream), answer).await) });
    }
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_one_change_reach_the_collector_in_one_trace() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut seen) = mpsc::channel(8);
    let collecting = tokio::spawn(collector(listener, sender));
    let (export, layer) = exporting("test-program", &endpoint).unwrap();
    crate::logs::within(tracing_subscriber::registry().with(layer), || {
        let apply = tracing::info_span!(target: TARGET, "apply", { trace::field::CLUSTER } = "gondor");
        trace::follows(&apply, "7f9c", "1842");
        let _entered = apply.enter();
        tracing::debug_span!(target: "elsewhere", "not meant for export").in_scope(|| ());
    });
    tokio::task::block_in_place(|| export.end());
    let body = seen.recv().await.expect("a batch");
    let trace_id = &Sha256::digest("7f9c/1842")[..16];
    for part in [&b"apply"[..], b"cluster", b"gondor", b"test-program", trace_id] {
        assert!(contains(&body, part), "{}", String::from_utf8_lossy(part));
    }
    assert!(!contains(&body, b"not meant for export"));
    collecting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn issue7_what_many_changes_led_to_is_linked_to_so_many_of_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut seen) = mpsc::channel(8);
    let collecting = tokio::spawn(collector(listener, sender));
    let (export, layer) = exporting("test-program", &endpoint).unwrap();
    let uids: Vec<String> = (0..1000).map(|n| format!("uid-{n}")).collect();
    crate::logs::within(tracing_subscriber::registry().with(layer), || {
        let batch = tracing::info_span!(target: TARGET, "batch");
        trace::follows_all(&batch, uids.iter().map(|uid| (uid.as_str(), "1842")));
        trace::follows_all(&tracing::info_span!(target: TARGET, "of nothing"), []);
    });
    tokio::task::block_in_place(|| export.end());
    let body = seen.recv().await.expect("a batch");
    let told = uids.iter().filter(|uid| contains(&body, &Sha256::digest(format!("{uid}/1842"))[..16])).count();
    assert_eq!(told, 1 + LINKS);
    assert!(contains(&body, b"of nothing"));
    collecting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_traceparent_is_a_link_and_keeps_nothing_from_being_exported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut seen) = mpsc::channel(8);
    let collecting = tokio::spawn(collector(listener, sender));
    let (export, layer) = exporting("test-program", &endpoint).unwrap();
    let traceparent = |digit: &str| {
        // The last byte says that it is not to be exported.
        let value = format!("00-{}-{}-00", digit.repeat(32), digit.repeat(16));
        HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), HeaderValue::from_str(&value).unwrap())])
    };
    crate::logs::within(tracing_subscriber::registry().with(layer), || {
        for (who, digit, trusted) in [("stranger", "a", false), ("master", "b", true)] {
            let span = tracing::info_span!(target: TARGET, "request", { trace::field::USER } = who);
            trace::of_request(&span, &traceparent(digit), trusted);
            span.in_scope(|| ());
        }
    });
    tokio::task::block_in_place(|| export.end());
    let body = seen.recv().await.expect("a batch");
    assert!(contains(&body, b"stranger") && contains(&body, &[0xaa; 16]), "it is exported, with a link");
    assert!(!contains(&body, b"master"), "who is trusted may leave it out");
    collecting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (export, layer) = exporting("test-program", &endpoint).unwrap();
    let begun = std::time::Instant::now();
    crate::logs::within(tracing_subscriber::registry().with(layer), || {
        for _ in 0..QUEUE * 4 {
            tracing::info_span!(target: TARGET, "request").in_scope(|| ());
        }
    });
    let spans = begun.elapsed();
    tokio::task::block_in_place(|| export.end());
    // Microseconds each; a batch that was waited for would take its whole time.
    assert!(spans < TIMEOUT, "{spans:?}");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_one_is_refused() {
    for bad in ["collector:4317", "ftp://collector", "https://collector:4317"] {
        let refused = exporting::<tracing_subscriber::Registry>("test-program", bad).err().expect(bad);
        assert_eq!(refused.code, program::failure::EXIT_USAGE, "{bad}: {refused}");
    }
}
