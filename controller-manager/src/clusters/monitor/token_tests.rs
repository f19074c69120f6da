use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use federation_api::{
    cluster::{ClusterSpec, SecretRef, ServerAddressByClientCidr},
    keys,
    member_token::TokenTerms,
};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

use super::*;
use crate::{
    HostConnector, HostCredentials,
    clusters::{Joined, identity::Identities, needs::Clusters, renewal::TOLD},
    config,
    events::Events,
    members::Members,
};

fn terms(issued: i64, life: i64) -> TokenTerms {
    TokenTerms {
        namespace: "federation-system".into(),
        account: "gondor-rivendell".into(),
        bound_to: "gondor-rivendell-token-1".into(),
        seconds: life,
        issued,
        expires: issued + life,
    }
}

#[test]
fn issue10_what_is_wrong_with_a_tokens_end_is_told_days_before() {
    const DAY: i64 = 24 * 3600;
    let at = |second| Timestamp::from_second(second).unwrap();
    let told = |tenure: &Tenure, failures, days| notice(tenure, failures, "no", at(days * DAY), "gondor").map(|n| (n.reason, n.warning));
    let month = Tenure::Terms(terms(0, 30 * DAY));
    assert_eq!([0, 2].map(|failures| told(&month, failures, 15)), [None, None], "one bad answer is no failure");
    assert_eq!(told(&month, TOLD, 15), Some((keys::TOKEN_NOT_RENEWED, true)), "fifteen days before it ends");
    assert_eq!(told(&month, 0, 23), Some((keys::TOKEN_NOT_RENEWED, true)), "though nobody could even try");
    let ends = Tenure::Ends(at(30 * DAY));
    assert_eq!(
        [22, 24, 31].map(|day| told(&ends, 0, day)),
        [None, Some((keys::TOKEN_ENDS_SOON, true)), Some((keys::TOKEN_ENDS_SOON, true))]
    );
    assert_eq!(told(&Tenure::Endless, 0, 0), Some((keys::TOKEN_WITHOUT_END, false)));
    let message = notice(&Tenure::Endless, 0, "", at(0), "gondor").unwrap().message;
    assert!(message.contains("kubefed join gondor --rotate"), "{message}");
}

/// A member on a socket, and the secret of the host with the token for it.
struct World {
    server: String,
    secret: Arc<Mutex<Value>>,
    /// Tokens the member made.
    made: Arc<AtomicUsize>,
    /// What each request showed, with its path.
    shown: Arc<Mutex<Vec<(String, String)>>>,
    /// Tokens that the member takes.
    taken: Arc<Mutex<Vec<String>>>,
    /// Status of the next requests for a token.
    refuses: Arc<Mutex<Option<u16>>>,
    /// Whether somebody else changes the secret whenever it is to be changed.
    contended: Arc<Mutex<bool>>,
}

fn secret(server: &str, token: &str, terms: Option<&TokenTerms>) -> Value {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let mut data = BTreeMap::from([(keys::SECRET_TOKEN, bytes(token)), (keys::SECRET_SERVER, bytes(server))]);
    if let Some(terms) = terms {
        data.insert(keys::SECRET_TOKEN_TERMS, bytes(&terms.text()));
    }
    let metadata = json!({"name": "gondor", "namespace": "federation-system", "uid": "s", "resourceVersion": "1"});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
}

impl World {
    async fn start(terms: Option<&TokenTerms>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let world = Self {
            secret: Arc::new(Mutex::new(secret(&server, "first", terms))),
            server,
            made: Arc::default(),
            shown: Arc::default(),
            taken: Arc::new(Mutex::new(vec!["first".into()])),
            refuses: Arc::default(),
            contended: Arc::default(),
        };
        let (made, shown, taken, refuses) = (world.made.clone(), world.shown.clone(), world.taken.clone(), world.refuses.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (made, shown, taken, refuses) = (made.clone(), shown.clone(), taken.clone(), refuses.clone());
                tokio::spawn(async move {
                    let mut buffer = Vec::new();
                    while let Some((head, body)) = request(&mut stream, &mut buffer).await {
                        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                        let token = head.split("Bearer ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default().to_owned();
                        shown.lock().unwrap().push((path.clone(), token.clone()));
                        let (status, answer) = answer(&path, &token, &body, &made, &taken, *refuses.lock().unwrap());
                        let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
                        let whole = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                        if stream.write_all(whole.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        world
    }

    /// A monitor of this member whose clock shows `now`.
    fn monitor(&self, now: i64) -> Monitor {
        let (secret, contended) = (self.secret.clone(), self.contended.clone());
        let host = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (secret, contended) = (secret.clone(), contended.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
                let mut held = secret.lock().unwrap();
                let mut status = 200;
                if parts.method == http::Method::PATCH {
                    let patch: Value = serde_json::from_slice(&body).unwrap();
                    let next = |held: &Value| held["metadata"]["resourceVersion"].as_str().unwrap().parse::<u32>().unwrap() + 1;
                    if *contended.lock().unwrap() {
                        held["metadata"]["resourceVersion"] = next(&held).to_string().into();
                    }
                    if patch["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"] && patch["metadata"]["uid"] == "s" {
                        for (key, value) in patch["data"].as_object().unwrap() {
                            held["data"][key] = value.clone();
                        }
                        held["metadata"]["resourceVersion"] = next(&held).to_string().into();
                    } else {
                        status = 409;
                    }
                }
                let conflict = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409});
                let answer = if status == 200 { held.to_string() } else { conflict.to_string() };
                http::Response::builder().status(status).body(kube::client::Body::from(answer.into_bytes())).map_err(std::io::Error::other)
            }
        });
        let host = HostCredentials { client: kube::Client::new(host, "default"), namespace: "federation-system".into() };
        let nowhere = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::ready(Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("nobody")))
        });
        let federation = kube::Client::new(nowhere, "default");
        let clusters = Clusters {
            federation: federation.clone(),
            name: "fellowship".into(),
            connector: Arc::new(HostConnector::new(Some(host))),
            monitor: config::Monitor::default(),
            comparison: config::COMPARISON,
            members: Members::default(),
            tell: Arc::new(|_| {}),
            events: Events::new(federation).0,
            identities: Identities::default(),
            enabled: crate::kinds::PerKind::default(),
            clock: crate::time::Clock::showing(Timestamp::from_second(now).unwrap()),
        };
        let spec = ClusterSpec {
            server_address_by_client_cidrs: vec![ServerAddressByClientCidr {
                client_cidr: "0.0.0.0/0".into(),
                server_address: self.server.clone(),
            }],
            secret_ref: Some(SecretRef { name: "gondor".into() }),
        };
        let annotations =
            BTreeMap::from([(keys::INSECURE.to_owned(), "true".to_owned()), (keys::CLUSTER_UID.to_owned(), "gondors".to_owned())]);
        let joined = watch::channel(Joined { name: "gondor".into(), spec, annotations, ..Joined::default() }).1;
        Monitor::new(clusters, joined, watch::channel(None).0)
    }

    fn stored(&self) -> (String, TokenTerms) {
        let secret = self.secret.lock().unwrap().clone();
        let bytes = |key: &str| serde_json::from_value::<ByteString>(secret["data"][key].clone()).unwrap().0;
        (String::from_utf8(bytes(keys::SECRET_TOKEN)).unwrap(), TokenTerms::parse(&bytes(keys::SECRET_TOKEN_TERMS)).unwrap())
    }

    /// Who asked last for this path.
    fn last(&self, path: &str) -> Option<String> {
        self.shown.lock().unwrap().iter().rev().find(|(p, _)| p == path).map(|(_, token)| token.clone())
    }
}

/// One request; none when the other side has closed.
async fn request(stream: &mut tokio::net::TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned().replace("bearer ", "Bearer ");
            let length =
                head.to_lowercase().split("content-length: ").nth(1).and_then(|l| l.split("\r\n").next()?.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => buffer.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

/// What the member says; a token it made is `made-N` and taken from then on, but for the first, which it forgets.
fn answer(path: &str, token: &str, body: &[u8], made: &AtomicUsize, taken: &Mutex<Vec<String>>, refuses: Option<u16>) -> (u16, Value) {
    if !taken.lock().unwrap().iter().any(|t| t == token) {
        return (401, json!({"kind": "Status", "message": "Unauthorized"}));
    }
    match path {
        "/healthz" => (200, json!("ok")),
        "/api/v1/namespaces/kube-system" => (200, json!({"metadata": {"name": "kube-system", "uid": "gondors"}})),
        "/api/v1/namespaces/federation-system/serviceaccounts/gondor-rivendell/token" => {
            if let Some(status) = refuses {
                return (status, json!({"kind": "Status", "message": "not now"}));
            }
            let asked: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(asked["spec"]["boundObjectRef"], json!({"apiVersion": "v1", "kind": "Secret", "name": "gondor-rivendell-token-1"}));
            let token = format!("made-{}", made.fetch_add(1, Ordering::SeqCst));
            if token != "made-0" {
                taken.lock().unwrap().push(token.clone());
            }
            let status = json!({"token": token, "expirationTimestamp": "2030-01-01T00:00:00Z"});
            (201, json!({"spec": {"expirationSeconds": asked["spec"]["expirationSeconds"]}, "status": status}))
        }
        _ => (404, json!("404 page not found")),
    }
}

/// A step of the monitor, as its loop does it.
async fn step(monitor: &mut Monitor) {
    monitor.connect().await;
    let answer = monitor.ask().await;
    monitor.verdict.take(answer);
    monitor.renew().await;
}

#[tokio::test]
async fn issue10_a_token_is_renewed_at_half_of_its_life_after_the_next_was_proven() {
    const LIFE: i64 = 3600;
    let world = World::start(Some(&terms(1_000_000, LIFE))).await;
    let mut early = world.monitor(1_000_000 + LIFE / 2 - 60);
    step(&mut early).await;
    assert_eq!(world.made.load(Ordering::SeqCst), 0, "its time has not come");

    let mut monitor = world.monitor(1_000_000 + LIFE / 2 + LIFE / 10);
    step(&mut monitor).await;
    // The member does not take the first it makes: nothing is stored, and what is in use goes on.
    assert_eq!((world.made.load(Ordering::SeqCst), world.stored()), (1, ("first".into(), terms(1_000_000, LIFE))));
    assert!(monitor.renewal.why.contains("the new token is not taken: 401"), "{}", monitor.renewal.why);
    step(&mut monitor).await;
    assert_eq!(world.made.load(Ordering::SeqCst), 1, "not at once again");

    let session = monitor.client.clone().unwrap();
    monitor.renewal.next = None;
    step(&mut monitor).await;
    let (token, renewed) = world.stored();
    assert_eq!((token.as_str(), renewed.life(), renewed.seconds, renewed.account.as_str()), ("made-1", LIFE, LIFE, "gondor-rivendell"));
    assert_eq!(world.last("/healthz").as_deref(), Some("first"));
    step(&mut monitor).await;
    assert_eq!(world.last("/healthz").as_deref(), Some("made-1"), "what is stored is used");
    assert_eq!(world.made.load(Ordering::SeqCst), 2, "once is enough");
    assert_eq!(monitor.renewal.failures, 0);
    // Who has the client already says the new token too: sessions go on.
    let reply = crate::request::Call::get("/api/v1/namespaces/kube-system").send(&session, LIMIT).await.unwrap();
    assert_eq!((reply.status.as_u16(), world.last("/api/v1/namespaces/kube-system").as_deref()), (200, Some("made-1")));
    assert!(world.taken.lock().unwrap().contains(&"first".to_owned()), "the last one was not taken back");
}

#[tokio::test]
async fn issue10_what_somebody_else_stored_meanwhile_is_not_overwritten() {
    let world = World::start(Some(&terms(0, 3600))).await;
    world.made.store(1, Ordering::SeqCst);
    *world.contended.lock().unwrap() = true;
    let mut monitor = world.monitor(2200);
    step(&mut monitor).await;
    assert_eq!((world.stored().0.as_str(), monitor.renewal.failures), ("first", 0));
    assert!(monitor.credentials_read.is_none(), "it is read again at once");
    // What was changed was not the token: this one is still to be renewed.
    *world.contended.lock().unwrap() = false;
    let session = monitor.client.clone().unwrap();
    monitor.renewal.next = None;
    step(&mut monitor).await;
    assert_eq!(world.stored().0, "made-2");
    crate::request::Call::get("/api/v1/namespaces/kube-system").send(&session, LIMIT).await.unwrap();
    step(&mut monitor).await;
    assert_eq!(world.last("/healthz").as_deref(), Some("made-2"));
}

#[tokio::test]
async fn issue10_where_clocks_are_apart_a_token_is_not_renewed_for_ever() {
    let world = World::start(Some(&terms(0, 3600))).await;
    world.made.store(1, Ordering::SeqCst);
    // What the member gives is over by this clock as soon as it is given.
    let mut monitor = world.monitor(2_000_000_000);
    for _ in 0..4 {
        step(&mut monitor).await;
    }
    assert_eq!((world.made.load(Ordering::SeqCst), world.stored().0.as_str()), (2, "made-1"));
    monitor.renewal.rest = None;
    step(&mut monitor).await;
    assert_eq!(world.made.load(Ordering::SeqCst), 3, "but after a while");
}

#[tokio::test]
async fn issue10_a_renewal_that_fails_is_told_and_the_member_stays_ready() {
    let world = World::start(Some(&terms(0, 3600))).await;
    let mut monitor = world.monitor(2200);
    for (failures, status) in [(1, 403), (2, 404), (3, 500)] {
        *world.refuses.lock().unwrap() = Some(status);
        monitor.renewal.next = None;
        step(&mut monitor).await;
        assert_eq!((monitor.renewal.failures, monitor.verdict.finding.reason), (failures, "ClusterReady"));
        assert_eq!(monitor.token_condition("now").is_some(), failures == TOLD);
    }
    let condition = monitor.token_condition("now").unwrap();
    assert_eq!((condition.type_.as_str(), condition.reason.as_str()), ("CredentialsRenewed", "TokenNotRenewed"));
    assert!(condition.message.contains("500") && condition.message.contains("not now"), "{}", condition.message);
    assert_eq!(world.stored().0, "first");
    // It is over by itself.
    *world.refuses.lock().unwrap() = None;
    world.made.store(1, Ordering::SeqCst);
    monitor.renewal.next = None;
    step(&mut monitor).await;
    step(&mut monitor).await;
    assert_eq!(monitor.token_condition("now"), None);
}

#[tokio::test]
async fn issue10_a_token_that_nobody_can_renew_is_left_alone() {
    let world = World::start(None).await;
    let mut monitor = world.monitor(3000);
    step(&mut monitor).await;
    assert_eq!((world.made.load(Ordering::SeqCst), monitor.token_condition("now").unwrap().reason.as_str()), (0, "TokenWithoutEnd"));
    assert_eq!(monitor.verdict.finding.reason, "ClusterReady");
}
