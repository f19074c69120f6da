//! TLS, credentials, limits and shutdown: what only our own server is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use federation_apiserver::auth::UserInfo;
use federation_apiserver::auth::authz::Mode;
use federation_apiserver::config::{Limits, Patience, TlsConfig};
use federation_apiserver::{Config, Profile};
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::subject::{Subject, client_config, over_connection, ready};

fn get(path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let request = headers.iter().fold(Request::get(path), |r, (k, v)| r.header(*k, *v));
    request.body(Full::default()).unwrap()
}

/// A CA and a client certificate of it: PEM of the CA, certificate and key.
fn identity(user: &str, group: &str) -> (String, (Vec<u8>, Vec<u8>)) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut client = CertificateParams::new(Vec::new()).unwrap();
    client.distinguished_name.push(DnType::CommonName, user);
    client.distinguished_name.push(DnType::OrganizationName, group);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let cert = client.signed_by(&key, &issuer).unwrap();
    (ca_cert.pem(), (cert.pem().into_bytes(), key.serialize_pem().into_bytes()))
}

#[tokio::test]
async fn client_certificates_and_tokens_tell_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, masters) = identity("root", "system:masters");
    let (_, stranger) = identity("root", "system:masters");
    let (ca_file, tokens) = (dir.path().join("ca.crt"), dir.path().join("tokens.csv"));
    std::fs::write(&ca_file, ca).unwrap();
    std::fs::write(&tokens, "t,sam,1\n").unwrap();
    let config = Config {
        client_ca_file: Some(ca_file),
        token_auth_file: Some(tokens),
        tls: TlsConfig::SelfSigned { dir: dir.path().join("certs") },
        ..Config::in_memory(Profile::Federation)
    };
    let server = ready(config).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let path = "/api/v1/namespaces";
    let code = async |identity: Option<(Vec<u8>, Vec<u8>)>, headers: &[(&str, &str)], path: &str| {
        over_connection(&at, client_config(identity), get(path, headers)).await.unwrap().code
    };
    assert_eq!(code(Some(masters), &[], path).await, 200);
    assert_eq!(code(Some(stranger.clone()), &[], path).await, 401);
    // A certificate of nobody we know does not spoil a good token.
    assert_eq!(code(Some(stranger), &[("authorization", "Bearer t")], path).await, 403);
    assert_eq!(code(None, &[("authorization", "Bearer t")], "/version").await, 200);
    assert_eq!(code(None, &[("authorization", "Bearer wrong")], path).await, 401);
    assert_eq!(code(None, &[], path).await, 401);
    assert_eq!(code(None, &[], "/readyz").await, 200);
    let mut old = client_config(None);
    old.alpn_protocols.clear();
    assert_eq!(over_connection(&at, old, get("/livez", &[])).await.unwrap().code, 200);
    assert!(dir.path().join("certs/apiserver.key").exists());
}

/// As kube-apiserver: an error of one authenticator ends in 401 unless another proves who it is.
#[tokio::test]
async fn a_strangers_certificate_is_not_anonymous() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, _) = identity("root", "system:masters");
    let (_, stranger) = identity("root", "system:masters");
    let (ca_file, tokens) = (dir.path().join("ca.crt"), dir.path().join("tokens.csv"));
    std::fs::write(&ca_file, ca).unwrap();
    std::fs::write(&tokens, "t,sam,1\n").unwrap();
    let base = Config::in_memory(Profile::Federation);
    let server = ready(Config { client_ca_file: Some(ca_file), token_auth_file: Some(tokens), anonymous_auth: true, ..base }).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let code = async |identity, headers: &[(&str, &str)]| {
        over_connection(&at, client_config(identity), get("/version", headers)).await.unwrap().code
    };
    assert_eq!(code(None, &[]).await, 200, "everybody may read the version");
    assert_eq!(code(Some(stranger.clone()), &[]).await, 401);
    assert_eq!(code(Some(stranger.clone()), &[("authorization", "Bearer wrong")]).await, 401);
    assert_eq!(code(Some(stranger), &[("authorization", "Bearer t")]).await, 200);
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let first = ready(Config::in_memory(Profile::Member)).await;
    let listening = first.listen().await.unwrap();
    let second = ready(Config { bind: listening.address(), ..Config::in_memory(Profile::Member) }).await;
    let e = second.listen().await.unwrap_err();
    assert!(e.message.ends_with("the port is in use") && !e.hint.is_empty(), "{e}");
}

/// Waits until the other side closes; answers how long that was after the start, from before the connection was made.
async fn closed(mut io: impl AsyncRead + Unpin, start: Instant) -> Duration {
    let mut sink = Vec::new();
    // It may end with an error or in good order.
    let _ = tokio::time::timeout(Duration::from_secs(30), io.read_to_end(&mut sink)).await.expect("it stays open");
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_ask_nothing_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, "t,root,1,system:masters\n").unwrap();
    let patience = Patience { first: Duration::from_secs(2), idle: Duration::from_millis(900) };
    let server = ready(Config { token_auth_file: Some(tokens), patience, ..Config::in_memory(Profile::Member) }).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let start = Instant::now();
    let silent = TcpStream::connect(&at).await.unwrap();
    let (http2, mut http1, mut split) = tokio::join!(tls(&at, "h2"), tls(&at, "http/1.1"), tls(&at, "h2"));
    // A slow machine may come too late for these; then they are closed all the same.
    let _ = http1.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    let _ = split.write_all(b"PRI * HTTP/2.0\r\n").await;
    let (silent, http2, http1, split) =
        tokio::join!(closed(silent, start), closed(http2, start), closed(http1, start), closed(split, start));
    for took in [silent, http2, http1, split] {
        assert!(took >= patience.first, "they had their time: {took:?}");
    }

    for protocol in ["h2", "http/1.1"] {
        let io = TokioIo::new(tls(&at, protocol).await);
        let start = Instant::now();
        let watch = "/api/v1/namespaces?watch=true&timeoutSeconds=2";
        let (mut answer, left) = if protocol == "h2" {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            let left = tokio::spawn(connection);
            let request = get(&format!("https://{at}{watch}"), &[("authorization", "Bearer t")]);
            let answer = sender.send_request(request).await.unwrap();
            std::mem::forget(sender);
            (answer, left)
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            let left = tokio::spawn(connection);
            let answer = sender.send_request(get(watch, &[("authorization", "Bearer t"), ("host", "a")])).await.unwrap();
            std::mem::forget(sender);
            (answer, left)
        };
        while let Some(frame) = answer.frame().await {
            frame.unwrap();
        }
        assert!(start.elapsed() > Duration::from_millis(1900), "an open watch keeps a connection for {:?} ({protocol})", start.elapsed());
        let _ = tokio::time::timeout(Duration::from_secs(30), left).await.expect("an idle connection stays open");
        assert!(start.elapsed() > Duration::from_millis(1900) + patience.idle, "it was idle long enough ({protocol})");
    }
}

/// A connection that has agreed on a protocol.
async fn tls(at: &str, protocol: &str) -> TlsStream<TcpStream> {
    let mut config = client_config(None);
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(at).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

/// More than windows hold and the server takes.
const TOO_LONG: usize = 4 << 20;

#[tokio::test]
async fn issue8_who_sends_a_body_that_is_not_read_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, "t,root,1,system:masters\ns,sam,2\n").unwrap();
    let server = ready(Config { token_auth_file: Some(tokens), ..Config::in_memory(Profile::Member) }).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    // Its length is known, or not before it is too long.
    for (protocol, known) in [("h2", true), ("h2", false), ("http/1.1", true), ("http/1.1", false)] {
        for (token, code) in [("t", 413), ("s", 403), ("nobody", 401)] {
            let answered = tokio::time::timeout(Duration::from_secs(30), posted(&at, protocol, token, too_long(known)));
            let (status, body) = answered.await.unwrap_or_else(|_| panic!("no answer of {code} over {protocol}, length known: {known}"));
            assert_eq!((status, body["code"].as_u64()), (code, Some(u64::from(code))), "{protocol}, length known: {known}");
        }
    }
}

type AnyBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

fn too_long(known: bool) -> AnyBody {
    if known {
        return Full::new(Bytes::from(vec![b' '; TOO_LONG])).boxed_unsync();
    }
    let pieces = (0..TOO_LONG >> 16).map(|_| Ok(Frame::data(Bytes::from(vec![b' '; 1 << 16]))));
    StreamBody::new(futures::stream::iter(pieces)).boxed_unsync()
}

/// Sends a body on a connection of its own; answers the code and the Status.
async fn posted(at: &str, protocol: &str, token: &str, body: AnyBody) -> (u16, serde_json::Value) {
    let path = "/api/v1/namespaces/default/configmaps";
    let io = TokioIo::new(tls(at, protocol).await);
    let request = |target: String| {
        let request = Request::post(target).header("host", "a").header("authorization", format!("Bearer {token}"));
        request.header("content-type", "application/json").body(body).unwrap()
    };
    let answer = if protocol == "h2" {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request(format!("https://{at}{path}"))).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request(path.to_owned())).await
    };
    let answer = answer.unwrap_or_else(|e| panic!("{protocol}, {token}: no answer: {e:?}"));
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap_or_else(|e| panic!("{protocol}, {token}: half an answer: {e:?}")).to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// More than sockets and windows hold.
const LARGE: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d33_who_does_not_read_his_answer_keeps_its_place_and_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, "t,eve,1\n").unwrap();
    let request_timeout = Duration::from_secs(4);
    let limits = Limits { readonly: 1, mutating: 0 };
    let base = Config { authorization: vec![Mode::AlwaysAllow], limits, request_timeout, ..Config::in_memory(Profile::Member) };
    let server = ready(Config { token_auth_file: Some(tokens), ..base }).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    let admin = Subject::Service(server.admin_service());
    let sam = Subject::Service(server.service(UserInfo { name: "sam".into(), ..UserInfo::default() }));
    let maps = "/api/v1/namespaces/default/configmaps";
    for n in 0..LARGE {
        let map = serde_json::json!({"metadata": {"name": format!("m{n}")}, "data": {"a": "x".repeat(1_000_000)}});
        admin.expect(201, "POST", maps, map).await;
    }
    for protocol in ["h2", "http/1.1"] {
        let io = TokioIo::new(tls(&at, protocol).await);
        let start = Instant::now();
        let auth = ("authorization", "Bearer t");
        let (answer, left) = if protocol == "h2" {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            let left = tokio::spawn(async { drop(connection.await) });
            let answer = sender.send_request(get(&format!("https://{at}{maps}"), &[auth])).await.unwrap();
            std::mem::forget(sender);
            (answer, left)
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            let left = tokio::spawn(async { drop(connection.await) });
            let answer = sender.send_request(get(maps, &[auth, ("host", "a")])).await.unwrap();
            std::mem::forget(sender);
            (answer, left)
        };
        assert_eq!(answer.status(), 200);
        let code = async || sam.send("GET", "/api/v1/namespaces/default", &[], "").await.code;
        let meanwhile = code().await;
        if start.elapsed() < request_timeout {
            assert_eq!(meanwhile, 429, "the place is taken until the answer is written ({protocol})");
        }
        let freed = async {
            while code().await == 429 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), freed).await.expect("it is cut off");
        assert!(start.elapsed() >= request_timeout, "it had its time ({protocol})");
        assert!(answer.into_body().collect().await.is_err(), "the rest never came ({protocol})");
        tokio::time::timeout(Duration::from_secs(60), left).await.expect("the connection is closed").unwrap();
    }
}

#[tokio::test]
async fn shutdown_ends_watches_and_takes_no_new_connections() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, "t,root,1,system:masters\n").unwrap();
    let server = ready(Config { token_auth_file: Some(tokens), limits: Limits::default(), ..Config::in_memory(Profile::Member) }).await;
    let listening = server.listen().await.unwrap();
    let at = listening.address().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listening.serve(async move { drop(stopped.await) }));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls(&at, "http/1.1").await)).await.unwrap();
    tokio::spawn(connection);
    let watch = get("/api/v1/namespaces?watch=true", &[("authorization", "Bearer t"), ("host", "a")]);
    let mut answer = sender.send_request(watch).await.unwrap();
    assert_eq!(answer.status(), 200, "the watch is open");
    stop.send(()).unwrap();
    let ended = async {
        while let Some(frame) = answer.frame().await {
            frame.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), serving).await.unwrap().unwrap().unwrap();
    assert!(over_connection(&at, client_config(None), get("/livez", &[])).await.is_err());
}
