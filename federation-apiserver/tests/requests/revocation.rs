//! Credentials that are revoked: on every replica at once, and for good.

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use federation_api::credential;
use federation_apiserver::auth::UserInfo;
use federation_apiserver::auth::authz::Mode;
use federation_apiserver::config::{ServiceAccountConfig, StorageConfig};
use federation_apiserver::store::Command;
use federation_apiserver::{Config, Profile, Server};
use http::Request;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use x509_parser::pem::parse_x509_pem;

use crate::audit::audited;
use crate::signing::{approve, authority, issued, request, until};
use crate::stores::EtcdServer;
use crate::subject::{Subject, client_config, over_connection};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const CREDENTIALS: &str = "/apis/federation/v1beta1/credentials";
/// Loaded machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time until a revoked credential is worth nothing anywhere.
const AT_ONCE: Duration = Duration::from_secs(1);

type Identity = (Vec<u8>, Vec<u8>);

/// One API server of a federation.
struct Replica {
    server: Box<Server>,
    at: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Replica {
    async fn start(config: Config) -> Self {
        let server = started(config).await;
        let listening = server.listen().await.unwrap();
        let at = listening.address().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move { listening.serve(async move { drop(stopped.await) }).await.unwrap() });
        Self { server, at, stop, serving }
    }

    fn admin(&self) -> Subject {
        Subject::Service(self.server.admin_service())
    }

    /// As what the server takes who shows these credentials.
    async fn asks(&self, identity: Option<&Identity>, token: Option<&str>) -> u16 {
        self.tries(identity, token).await.unwrap()
    }

    /// The same; an error where the connection is closed before there is an answer.
    async fn tries(&self, identity: Option<&Identity>, token: Option<&str>) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::get("/api/v1/namespaces/default");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::default()).unwrap();
        Ok(over_connection(&self.at, client_config(identity.cloned()), request).await?.code)
    }

    async fn stop(self) {
        drop(self.stop);
        self.serving.await.unwrap();
        self.server.tasks().stop(AT_ONCE).await;
    }
}

/// A server that is ready. An embedded store is closed when the last of its tasks is gone, which nobody can wait for.
async fn started(config: Config) -> Box<Server> {
    let starting = async {
        loop {
            match Server::start(config.clone()).await {
                Ok(server) => break server,
                Err(e) if e.to_string().contains("in use by another process") => tokio::task::yield_now().await,
                Err(e) => panic!("{e}"),
            }
        }
    };
    let server = tokio::time::timeout(PATIENCE, starting).await.unwrap();
    server.wait_ready(PATIENCE).await.unwrap();
    Box::new(server)
}

/// A configuration that signs certificates and tokens, and lets everybody do everything.
fn config(dir: &Path, storage: StorageConfig) -> Config {
    let key = dir.join("sa.key");
    if !key.exists() {
        std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    }
    let issuer = "https://fellowship.example.com".to_owned();
    let service_accounts =
        ServiceAccountConfig { audiences: vec![issuer.clone()], issuer, signing_key: key, keys: Vec::new(), jwks_uri: None, longest: None };
    let (service_accounts, authorization) = (Some(service_accounts), vec![Mode::AlwaysAllow]);
    Config { storage, service_accounts, authorization, ..Config::in_memory(Profile::Federation) }
}

/// A certificate for a user, and its name among credentials.
async fn certificate(admin: &Subject, user: &str) -> (Identity, String) {
    let (object, key) = request(user, "kube-apiserver-client", (user, "hobbits"), &["client auth", "digital signature"]);
    admin.expect(201, "POST", REQUESTS, object).await;
    approve(admin, user).await;
    let signed = until(admin, user, issued).await;
    let cert = STANDARD.decode(signed["status"]["certificate"].as_str().unwrap()).unwrap();
    let (_, pem) = parse_x509_pem(&cert).unwrap();
    let name = credential::of_serial(pem.parse_x509().unwrap().raw_serial());
    // Where several replicas signed at once, it is the only one in the end.
    let alone = async {
        while named(admin, user).await != [name.as_str()] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, alone).await.unwrap();
    ((cert, key.into_bytes()), name)
}

/// A token for a service account, and its name among credentials.
async fn token(admin: &Subject, account: &str) -> (String, String) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    admin.expect(201, "POST", accounts, json!({"metadata": {"name": account}})).await;
    let made = admin.expect(201, "POST", &format!("{accounts}/{account}/token"), json!({"spec": {}})).await;
    let name = named(admin, &format!("system:serviceaccount:default:{account}")).await.remove(0);
    (made["status"]["token"].as_str().unwrap().to_owned(), name)
}

/// Names of the credentials of a user.
async fn named(admin: &Subject, user: &str) -> Vec<String> {
    let all = admin.expect(200, "GET", &format!("{CREDENTIALS}?fieldSelector=spec.user={user}"), Value::Null).await;
    let all = all["items"].as_array().unwrap();
    all.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn revoke(admin: &Subject, name: &str) {
    let body = json!({"status": {"revoked": {"reason": "a laptop was lost"}}});
    let revoked = admin.expect(200, "PATCH", &format!("{CREDENTIALS}/{name}/status"), body).await;
    assert!(revoked["status"]["revoked"]["time"].is_string(), "{revoked}");
}

/// A watch that is open: when it ends, and when its connection does.
struct Watch {
    ended: JoinHandle<Instant>,
    closed: JoinHandle<Instant>,
}

impl Watch {
    async fn open(at: &str, identity: Option<&Identity>, token: Option<&str>) -> Self {
        let config = client_config(identity.cloned());
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), TcpStream::connect(at).await.unwrap())
            .await
            .unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let closed = tokio::spawn(async move {
            drop(connection.await);
            Instant::now()
        });
        let mut request = Request::get(format!("https://{at}/api/v1/namespaces?watch=true"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok(), "there are namespaces");
        let ended = tokio::spawn(async move {
            while let Some(Ok(_)) = body.frame().await {}
            // The connection is the client's to keep until here.
            drop(sender);
            Instant::now()
        });
        Self { ended, closed }
    }
}

/// When the first request was sent that is answered 401; no answer may be another one than that or those before the revocation. A connection
/// that was made before may be closed.
async fn refused(replica: &Replica, identity: Option<&Identity>, token: Option<&str>) -> Instant {
    loop {
        let sent = Instant::now();
        match replica.tries(identity, token).await {
            Ok(401) => return sent,
            Ok(200) | Err(_) => {}
            Ok(code) => panic!("{code}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_what_is_revoked_ends_on_every_replica_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = EtcdServer::start();
    let config = authority(dir.path(), config(dir.path(), StorageConfig::Etcd(etcd.config())));
    let replicas = [Replica::start(config.clone()).await, Replica::start(config.clone()).await];
    let admin = replicas[0].admin();
    let ((frodo, frodos), (sam, sams)) = (certificate(&admin, "frodo").await, token(&admin, "sam").await);
    let (other, _) = certificate(&admin, "gandalf").await;
    let mut watches = Vec::new();
    for replica in &replicas {
        assert_eq!((replica.asks(Some(&frodo), None).await, replica.asks(None, Some(&sam)).await), (200, 200));
        watches.push((Watch::open(&replica.at, Some(&frodo), None).await, Watch::open(&replica.at, None, Some(&sam)).await));
    }
    let stays = Watch::open(&replicas[1].at, Some(&other), None).await;

    let begun = Instant::now();
    revoke(&admin, &frodos).await;
    revoke(&admin, &sams).await;
    let answered = Instant::now();
    let told = answered - begun;
    for (n, (replica, (certificate, token))) in replicas.iter().zip(watches).enumerate() {
        let (by_certificate, by_token) = tokio::join!(refused(replica, Some(&frodo), None), refused(replica, None, Some(&sam)));
        let (watch, connection, other) = (certificate.ended.await.unwrap(), certificate.closed.await.unwrap(), token.ended.await.unwrap());
        let since = |at: Instant| at.duration_since(begun);
        println!(
            "replica {n}: both revoked in {told:?}; certificate refused after {:?}, token {:?}; watch ended {:?}, its connection {:?}, the \
             token's watch {:?}",
            since(by_certificate),
            since(by_token),
            since(watch),
            since(connection),
            since(other)
        );
        for at in [by_certificate, by_token, watch, connection, other] {
            let late = at.saturating_duration_since(answered);
            assert!(late < AT_ONCE, "{late:?}");
        }
    }
    assert!(!stays.ended.is_finished(), "others are not concerned");
    assert_eq!(replicas[1].asks(Some(&other), None).await, 200);

    // It is never taken back.
    let path = format!("{CREDENTIALS}/{frodos}");
    let said = admin.expect(403, "DELETE", &path, Value::Null).await;
    assert!(said["message"].as_str().unwrap().contains("kept until it has expired"), "{said}");
    let still = admin.expect(200, "PATCH", &format!("{path}/status"), json!({"status": {"revoked": null}})).await;
    assert_eq!(still["status"]["revoked"]["reason"], "a laptop was lost");
    let [first, second] = replicas;
    first.stop().await;
    second.stop().await;
    let again = Replica::start(config).await;
    assert_eq!((again.asks(Some(&frodo), None).await, again.asks(None, Some(&sam)).await), (401, 401), "after a restart");
    assert_eq!(again.asks(Some(&other), None).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_a_body_that_was_begun_before_the_revocation_comes_to_nothing_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = EtcdServer::start();
    let replica = Replica::start(authority(dir.path(), config(dir.path(), StorageConfig::Etcd(etcd.config())))).await;
    let admin = replica.admin();
    let (sam, sams) = token(&admin, "sam").await;
    let stream = TlsConnector::from(Arc::new(client_config(None)))
        .connect(ServerName::try_from("localhost").unwrap(), TcpStream::connect(&replica.at).await.unwrap())
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (piece, body) = futures::channel::mpsc::unbounded::<Result<hyper::body::Frame<Bytes>, Infallible>>();
    let maps = "/api/v1/namespaces/default/configmaps";
    let request = Request::post(format!("https://{}{maps}", replica.at)).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {sam}")).body(StreamBody::new(body)).unwrap();
    let say = |text: &'static str| piece.unbounded_send(Ok(hyper::body::Frame::data(text.into()))).unwrap();
    say("{\"metadata\": ");
    let answer = tokio::spawn(sender.send_request(request));
    // The head is read before another request that begins later is answered.
    tokio::time::sleep(Duration::from_millis(500)).await;
    revoke(&admin, &sams).await;
    refused(&replica, None, Some(&sam)).await;
    say("{\"name\": \"ring\"}}");
    drop(piece);
    assert_eq!(tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap().status(), 401);
    admin.expect(404, "GET", &format!("{maps}/ring"), Value::Null).await;
}

/// Comes back when etcd and the server work again.
async fn writable(etcd: &EtcdServer, admin: &Subject) {
    etcd.joined().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let works = async {
        let map = json!({"metadata": {"generateName": "works-"}}).to_string();
        while admin.send("POST", path, &[("content-type", "application/json")], map.clone()).await.code != 201 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, works).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_an_etcd_that_is_put_back_gives_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut etcd = EtcdServer::start();
    let config = authority(dir.path(), config(dir.path(), StorageConfig::Etcd(etcd.config())));
    let replica = Replica::start(config.clone()).await;
    let admin = replica.admin();
    let (frodo, frodos) = certificate(&admin, "frodo").await;
    etcd.stop();
    let copy = etcd.backup();
    etcd.start_again();
    writable(&etcd, &admin).await;
    // The name of the other is in no copy.
    let (sam, sams) = certificate(&admin, "sam").await;
    for (identity, name) in [(&frodo, &frodos), (&sam, &sams)] {
        revoke(&admin, name).await;
        refused(&replica, Some(identity), None).await;
    }
    etcd.stop();
    etcd.restore(copy);
    etcd.start_again();
    let put_back = async |name: &str| {
        let answer = admin.send("GET", &format!("{CREDENTIALS}/{name}"), &[], "").await;
        answer.code == 200 && answer.json()["status"]["revoked"].is_object()
    };
    let waiting = async {
        while !put_back(&frodos).await || !put_back(&sams).await {
            for identity in [&frodo, &sam] {
                assert!(matches!(replica.asks(Some(identity), None).await, 401 | 503), "never in between either");
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the store knows again");
    replica.stop().await;
    let again = Replica::start(config).await;
    for identity in [&frodo, &sam] {
        assert_eq!(again.asks(Some(identity), None).await, 401);
    }
}

#[tokio::test]
async fn issue10_who_revokes_and_why_is_in_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let config = authority(dir.path(), Config { authorization: vec![Mode::AlwaysAllow], ..audited(dir.path()) });
    let server = started(config).await;
    let (_, frodos) = certificate(&Subject::Service(server.admin_service()), "frodo").await;
    let gandalf = UserInfo { name: "gandalf".into(), uid: String::new(), groups: vec!["wizards".into()] };
    revoke(&Subject::Service(server.service(gandalf)), &frodos).await;
    let log = dir.path().join("audit.log");
    let told = async {
        loop {
            let text = tokio::fs::read_to_string(&log).await.unwrap();
            let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(event) = events.into_iter().find(|event| event["user"]["username"] == "gandalf") {
                break event;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    for (pointer, want) in [
        ("/level", "Metadata"),
        ("/verb", "patch"),
        ("/objectRef/resource", "credentials"),
        ("/objectRef/name", frodos.as_str()),
        ("/objectRef/subresource", "status"),
        ("/annotations/federation.kubernetes.io~1revoked-user", "frodo"),
        ("/annotations/federation.kubernetes.io~1revoked-reason", "a laptop was lost"),
    ] {
        assert_eq!(told.pointer(pointer).and_then(Value::as_str), Some(want), "{pointer} of {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_when_and_from_where_a_credential_was_used_last_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::start(authority(dir.path(), config(dir.path(), StorageConfig::Memory))).await;
    let admin = replica.admin();
    let ((frodo, frodos), (sam, sams)) = (certificate(&admin, "frodo").await, token(&admin, "sam").await);
    let (_, never) = certificate(&admin, "gandalf").await;
    let last =
        async |name: &str| admin.expect(200, "GET", &format!("{CREDENTIALS}/{name}"), Value::Null).await["status"]["lastUsed"].clone();
    assert_eq!((replica.asks(Some(&frodo), None).await, replica.asks(None, Some(&sam)).await), (200, 200));
    let begun = Instant::now();
    for name in [&frodos, &sams] {
        let told = async {
            loop {
                let last = last(name).await;
                if last["address"] == "127.0.0.1" && last["time"].is_string() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("within a minute");
    }
    println!("told {:?} after the use", begun.elapsed());
    assert_eq!(last(&never).await, Value::Null);
    // It is the server's to say.
    let said = json!({"status": {"lastUsed": {"address": "192.0.2.1"}}});
    for name in [&frodos, &never] {
        let before = last(name).await;
        admin.expect(200, "PATCH", &format!("{CREDENTIALS}/{name}/status"), said.clone()).await;
        assert_eq!(last(name).await, before);
    }
    revoke(&admin, &frodos).await;
    assert_eq!(last(&frodos).await["address"], "127.0.0.1");
}

/// Who could say that a credential ends earlier than it does could have it forgotten that it was revoked.
#[tokio::test]
async fn issue10_nobody_but_the_issuer_says_what_a_credential_is() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(authority(dir.path(), Config::in_memory(Profile::Federation))).await;
    let admin = Subject::Service(server.admin_service());
    let spec = json!({"type": "Certificate", "user": "sam", "notAfter": "2020-01-01T00:00:00Z"});
    let made = json!({"metadata": {"name": "certificate-abc"}, "spec": spec, "status": {"revoked": {"time": "2020-01-01T00:00:00Z"}}});
    let made = admin.expect(201, "POST", CREDENTIALS, made).await;
    assert_eq!((&made["spec"], &made["status"]), (&json!({"type": "Certificate"}), &Value::Null));
    // It refuses nobody, so it may go.
    admin.expect(200, "DELETE", &format!("{CREDENTIALS}/certificate-abc"), Value::Null).await;

    let (_, frodos) = certificate(&admin, "frodo").await;
    let path = format!("{CREDENTIALS}/{frodos}");
    let before = admin.expect(200, "GET", &path, Value::Null).await;
    let after = admin.expect(200, "PATCH", &path, json!({"spec": {"notAfter": "2020-01-01T00:00:00Z", "user": "sam"}})).await;
    assert_eq!(before["spec"], after["spec"]);
    admin.expect(403, "DELETE", &path, Value::Null).await;
    admin.expect(405, "DELETE", CREDENTIALS, Value::Null).await;
    for (name, type_) in [("certificate-0A", "Certificate"), ("certificate-1", "Token"), ("sam", "Token"), ("token-1", "Ring")] {
        admin.expect(422, "POST", CREDENTIALS, json!({"metadata": {"name": name}, "spec": {"type": type_}})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_an_embedded_store_that_is_put_back_gives_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("store");
    let config = authority(dir.path(), config(dir.path(), StorageConfig::Embedded { dir: data.clone() }));
    let config = Config { revocations: Some(data.join("revoked.json")), ..config };
    let replica = Replica::start(config.clone()).await;
    let (frodo, frodos) = certificate(&replica.admin(), "frodo").await;
    replica.stop().await;
    let copy = dir.path().join("copy");
    std::fs::copy(data.join("federation.redb"), &copy).unwrap();
    let replica = Replica::start(config.clone()).await;
    revoke(&replica.admin(), &frodos).await;
    refused(&replica, Some(&frodo), None).await;
    // Until it is written down, too.
    let file = data.join("revoked.json");
    let written = async {
        while !tokio::fs::read_to_string(&file).await.is_ok_and(|text| text.contains(&frodos)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.unwrap();
    replica.stop().await;
    // Something may still close it.
    let restored = async {
        while (Command::Restore { file: copy.clone(), data_dir: data.clone() }).run() != ExitCode::SUCCESS {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, restored).await.unwrap();
    let again = Replica::start(config).await;
    assert_eq!(again.asks(Some(&frodo), None).await, 401, "the store that was put back knows nothing of it");
    let admin = again.admin();
    let waiting = async {
        while !admin.expect(200, "GET", &format!("{CREDENTIALS}/{frodos}"), Value::Null).await["status"]["revoked"].is_object() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the store knows again");
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_a_replica_without_its_storage_lets_nobody_in_who_may_have_been_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = EtcdServer::start();
    let config = authority(dir.path(), config(dir.path(), StorageConfig::Etcd(etcd.config())));
    let replica = Replica::start(Config { bootstrap_tokens: true, ..config }).await;
    let admin = replica.admin();
    let ((frodo, _), (sam, _)) = (certificate(&admin, "frodo").await, token(&admin, "sam").await);
    let secret = json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token", "stringData": {
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}});
    admin.expect(201, "POST", "/api/v1/namespaces/kube-system/secrets", secret).await;
    let path = "/api?of=somebody";
    let ask = async |identity: Option<&Identity>, token: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        over_connection(&replica.at, client_config(identity.cloned()), request.body(Full::default()).unwrap()).await.unwrap().code
    };
    let all = async || [ask(Some(&frodo), None).await, ask(None, Some(&sam)).await, ask(None, Some("abcdef.0123456789abcdef")).await];
    assert_eq!(all().await, [200; 3]);
    let watch = Watch::open(&replica.at, Some(&frodo), None).await;
    drop(etcd);
    let waiting = async {
        while all().await != [503; 3] {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("they are refused after a while");
    tokio::time::timeout(PATIENCE, watch.ended).await.expect("so is what was open").unwrap();
}
