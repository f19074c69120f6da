//! HTTP/2: one connection for all, and what becomes of it when something on the way forgets it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use federation_client::connect::Timeouts;
use federation_client::{Access, Environment, Target};
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::authority::Authority;
use crate::config;

const LONG: Duration = Duration::from_secs(3600);
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of an answer that few of fill what a client lets come by default.
const LARGE: usize = 2 << 20;

/// `/watch` says one word and goes on for ever, `/large` is large, `/never` is not answered; all else is at once.
async fn answer(
    request: Request<Incoming>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>>>, Infallible> {
    Ok(Response::new(match request.uri().path() {
        "/never" => std::future::pending().await,
        "/watch" => {
            let first = futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"word")))]);
            Either::Left(StreamBody::new(futures::StreamExt::chain(first, futures::stream::pending())))
        }
        "/large" => Either::Right(Full::from(vec![b' '; LARGE])),
        _ => Either::Right(Full::from("{}")),
    }))
}

/// A server behind a road that can forget the connections it carries: their bytes get lost, and nobody hears of it.
struct Behind {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    forget: watch::Sender<u32>,
    authority: Authority,
}

async fn behind_a_road() -> Behind {
    let authority = Authority::new();
    let tls = authority.speaking(&["h2", "http/1.1"], "127.0.0.1", false);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (forget, _) = watch::channel(0);
    let (end, connections) = (server.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = server.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let stream = TokioIo::new(tls.accept(stream).await.unwrap());
                drop(auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service_fn(answer)).await);
            });
        }
    });
    let road = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = road.local_addr().unwrap();
    let (count, forgetting) = (Arc::clone(&connections), forget.clone());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = road.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut forgotten = forgetting.subscribe();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(end).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut from, &mut to) => {}
                    _ = forgotten.changed() => std::future::pending().await,
                }
            });
        }
    });
    Behind { at, connections, forget, authority }
}

impl Behind {
    async fn client(&self, timeouts: Timeouts) -> kube::Client {
        let config = config(&format!("server: 'https://{}'", self.at), "token: t", &self.authority);
        let target = Target { timeouts, ..Target::default() };
        Access::resolve(&config, &target, &Environment::default()).unwrap().client().await.unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn forget(&self) {
        self.forget.send_modify(|n| *n += 1);
    }
}

async fn ask(client: &kube::Client, path: &str) -> Result<Response<kube::client::Body>, kube::Error> {
    client.send(Request::get(path).body(kube::client::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn issue8_requests_at_once_share_a_connection() {
    let server = behind_a_road().await;
    let client = server.client(Timeouts::default()).await;
    assert_eq!(ask(&client, "/version").await.unwrap().version(), Version::HTTP_2);
    let mut watching = ask(&client, "/watch").await.unwrap();
    futures::future::join_all((0..50).map(|_| ask(&client, "/version"))).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(watching.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "word");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn issue8_a_watch_on_a_connection_that_was_forgotten_on_the_way_ends() {
    let server = behind_a_road().await;
    let client = server.client(Timeouts { silence: Duration::from_millis(200), ..Timeouts::default() }).await;
    let mut watching = ask(&client, "/watch").await.unwrap();
    watching.body_mut().frame().await.unwrap().unwrap();
    server.forget();
    let end = tokio::time::timeout(PATIENCE, watching.body_mut().frame()).await.expect("it ends");
    assert!(end.is_some_and(|frame| frame.is_err()));
    assert!(ask(&client, "/version").await.is_ok());
}

#[tokio::test]
async fn issue8_who_gave_up_on_a_request_asks_again_by_another_connection() {
    let server = behind_a_road().await;
    let client = server.client(Timeouts { silence: LONG, ..Timeouts::default() }).await;
    ask(&client, "/version").await.unwrap();
    server.forget();
    assert!(tokio::time::timeout(Duration::from_millis(200), ask(&client, "/version")).await.is_err(), "nobody answers");
    tokio::time::timeout(PATIENCE, ask(&client, "/version")).await.expect("in time").unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn issue8_answers_that_wait_to_be_read_hold_up_no_others() {
    let server = behind_a_road().await;
    let client = server.client(Timeouts { silence: LONG, ..Timeouts::default() }).await;
    ask(&client, "/version").await.unwrap();
    let waiting = futures::future::join_all((0..16).map(|_| ask(&client, "/large"))).await;
    // As much as the server may send of them is on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let read = async { ask(&client, "/version").await.unwrap().into_body().collect().await.unwrap().to_bytes() };
    assert_eq!(tokio::time::timeout(PATIENCE, read).await.expect("in time"), "{}");
    for answer in waiting {
        assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes().len(), LARGE);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn issue8_who_waits_so_long_for_the_next_byte_does_it_by_http_1() {
    let server = behind_a_road().await;
    let client = server.client(Timeouts { read: Some(Duration::from_millis(300)), ..Timeouts::default() }).await;
    assert_eq!(ask(&client, "/version").await.unwrap().version(), Version::HTTP_11);
    assert!(tokio::time::timeout(PATIENCE, ask(&client, "/never")).await.expect("it is over").is_err());
}
