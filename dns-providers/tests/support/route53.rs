//! moto as Route 53, behind a proxy that refuses what Route 53 refuses, loses answers and has no time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dns_providers::RecordSet;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::hosted::{Hosted, Set, VALUES};
use super::{Process, free_port, xml};

const API: &str = "/2013-04-01/hostedzone";
/// The key that nobody checks.
pub const KEY: &str = "AKIDSTATIC";
/// Whoever asks with such a key asks for Route 53; moto looks at nothing else.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=HAND/20261127/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0";
/// Token of the metadata services, the container's and the machine's.
pub const TOKEN: &str = "speak-friend";
const EXPIRATION: &str = "2037-01-01T00:00:00Z";

/// Amazon's services as far as they are needed, with nothing in them.
pub struct Route53 {
    pub address: SocketAddr,
    /// Id of the zone example.com.
    pub zone: String,
    shared: Arc<Shared>,
    directory: tempfile::TempDir,
    _moto: Process,
}

struct Shared {
    moto: SocketAddr,
    zones: Mutex<BTreeMap<String, Hosted>>,
    calls: Mutex<Vec<String>>,
    keys: Mutex<Vec<String>>,
    changed: AtomicU64,
    pub throttle: AtomicUsize,
    pub lose: AtomicUsize,
    pub swallow: AtomicUsize,
    /// Answers of lists that succeed before one fails; all where it is `usize::MAX`.
    pub pages: AtomicUsize,
    /// Sets of one answer of a list at most.
    pub page: AtomicUsize,
    denied: AtomicBool,
}

impl Route53 {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let moto: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let mut command = kit::setup::moto(&|told| eprintln!("{told}")).unwrap();
        command.args(["-H", "127.0.0.1", "-p", &moto.port().to_string()]);
        let mut process = Process::spawn(&mut command, Arc::new(tempfile::tempdir().unwrap()));
        let end = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(moto).await.is_err() {
            assert!(!process.has_ended(), "{command:?} ended");
            assert!(Instant::now() < end, "moto does not listen at {moto}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let shared = Arc::new(Shared {
            moto,
            zones: Mutex::default(),
            calls: Mutex::default(),
            keys: Mutex::default(),
            changed: AtomicU64::new(0),
            throttle: AtomicUsize::new(0),
            lose: AtomicUsize::new(0),
            swallow: AtomicUsize::new(0),
            pages: AtomicUsize::new(usize::MAX),
            page: AtomicUsize::new(300),
            denied: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, shared.clone()));
        let mut this = Route53 { address, zone: String::new(), shared, directory, _moto: process };
        this.zone = this.create("example.com.", "").await;
        this
    }

    /// Makes a hosted zone and answers with its id; `more` is what else the request has.
    pub async fn create(&self, name: &str, more: &str) -> String {
        let reference = self.shared.changed.fetch_add(1, Ordering::SeqCst);
        let body = format!(
            "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>{name}</Name>\
             <CallerReference>{reference}</CallerReference>{more}</CreateHostedZoneRequest>"
        );
        let (status, answer) = send(self.shared.moto, Method::POST, API, body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let id = xml::text(&answer, "Id").unwrap().trim_start_matches("/hostedzone/").to_owned();
        self.shared
            .zones
            .lock()
            .unwrap()
            .insert(id.clone(), Hosted { name: name.to_owned(), most: VALUES, room: usize::MAX, sets: BTreeMap::new() });
        id
    }

    /// The provider's configuration in a file: a key, no bound of its own, and more lines.
    pub fn config(&self, more: &str) -> std::path::PathBuf {
        let keys = self.file("keys", &format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n"));
        let text = format!("{}credentials-file = {}\nregion = us-east-1\n{more}", self.bare(), keys.display());
        self.file("route53.conf", &text)
    }

    /// The configuration without a word about credentials.
    pub fn bare(&self) -> String {
        format!("[Global]\nendpoint = http://{}\nrequests-per-second = 1000\n", self.address)
    }

    /// A home with nothing of Amazon's in it.
    pub fn home(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Writes a file of the test.
    pub fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What was asked since the last time: `list`, `zones`, or `change` with the number of values.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.calls.lock().unwrap())
    }

    /// Access keys that requests were signed with, each once.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = std::mem::take(&mut *self.shared.keys.lock().unwrap());
        keys.sort();
        keys.dedup();
        keys
    }

    /// The next requests are too many.
    pub fn throttle(&self, count: usize) {
        self.shared.throttle.store(count, Ordering::SeqCst);
    }

    /// The answers to the next changes are lost after they have taken effect.
    pub fn lose_answers(&self, count: usize) {
        self.shared.lose.store(count, Ordering::SeqCst);
    }

    /// The next changes are lost before they take effect.
    pub fn swallow_changes(&self, count: usize) {
        self.shared.swallow.store(count, Ordering::SeqCst);
    }

    /// Lists have so many sets a page, and fail after so many pages.
    pub fn pages(&self, sets: usize, fail_after: Option<usize>) {
        self.shared.page.store(sets, Ordering::SeqCst);
        self.shared.pages.store(fail_after.unwrap_or(usize::MAX), Ordering::SeqCst);
    }

    /// Sets have so many values at most, as AWS has it for some accounts.
    pub fn values_of_a_set(&self, most: usize) {
        self.shared.zones.lock().unwrap().values_mut().for_each(|zone| zone.most = most);
    }

    /// Zones have so many sets at most, beside those they are made with.
    pub fn sets_of_a_zone(&self, most: usize) {
        self.shared.zones.lock().unwrap().values_mut().for_each(|zone| zone.room = most);
    }

    /// Nobody may do anything.
    pub fn deny(&self, denied: bool) {
        self.shared.denied.store(denied, Ordering::SeqCst);
    }

    /// Somebody sends changes, as XML: what is between the tags of `Change`.
    pub async fn change(&self, zone: &str, changes: &[&str]) {
        let changes: String = changes.iter().map(|change| format!("<Change>{change}</Change>")).collect();
        let (status, answer) = send(self.address, Method::POST, &format!("{API}/{zone}/rrset"), request(&changes)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        self.asked();
    }

    /// Somebody writes a set with the console.
    pub async fn by_hand(&self, set: &RecordSet) {
        self.change(&self.zone, &[&format!("<Action>CREATE</Action>{}", of(set))]).await;
    }

    /// A number that grows with each change, and all sets of a zone as moto has them.
    pub async fn dump(&self, zone: &str) -> (u64, Vec<String>) {
        let path = format!("{API}/{zone}/rrset?maxitems=100000");
        let (status, answer) = send(self.shared.moto, Method::GET, &path, String::new()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let mut sets: Vec<String> =
            xml::all(&answer, "ResourceRecordSet").into_iter().map(|set| format!("{:?}", Set::parse(set))).collect();
        sets.sort();
        (self.shared.changed.load(Ordering::SeqCst), sets)
    }
}

/// A set as requests have it.
pub fn of(set: &RecordSet) -> String {
    let value = |value: &String| format!("<ResourceRecord><Value>{}</Value></ResourceRecord>", xml::escape(value));
    let values: String = set.data.values().iter().map(value).collect();
    let (name, kind, ttl) = (&set.name, set.data.kind(), set.ttl);
    format!(
        "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>"
    )
}

async fn send(to: SocketAddr, method: Method, path: &str, body: String) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(path).header("host", "route53.amazonaws.com").header("authorization", AUTHORIZATION);
    let (status, body) = exchange(to, request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn exchange(to: SocketAddr, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(to).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
    let bytes = body.collect().await.ok()?.to_bytes();
    connection.abort();
    Some((parts.status, bytes))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, &shared));
            // A lost answer ends the connection.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// Why there is no answer.
type Lost = &'static str;

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Response<Full<Bytes>>, Lost> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| "the request was cut")?.to_bytes();
    if let Some(told) = metadata(&parts) {
        return Ok(told);
    }
    let path = parts.uri.path().to_owned();
    if !path.starts_with("/2013-04-01/") {
        // The token service.
        return forward(shared, parts, body).await;
    }
    let signed = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = signed.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default().to_owned();
    shared.keys.lock().unwrap().push(key);
    let text = String::from_utf8(body.to_vec()).map_err(|_| "no text")?;
    let is_change = parts.method == Method::POST && path.ends_with("/rrset");
    let values = || xml::all(&text, "Value").len();
    let call = if is_change {
        format!("change {}", values())
    } else if path.ends_with("/rrset") {
        "list".to_owned()
    } else {
        "zones".to_owned()
    };
    shared.calls.lock().unwrap().push(call.clone());
    if shared.denied.load(Ordering::SeqCst) {
        let message = "User: dns is not authorized to perform: route53:ListResourceRecordSets";
        return Ok(error(StatusCode::FORBIDDEN, "AccessDenied", message));
    }
    if count_down(&shared.throttle) {
        let code = if is_change { "PriorRequestNotComplete" } else { "Throttling" };
        return Ok(error(StatusCode::BAD_REQUEST, code, "Rate exceeded"));
    }
    if is_change {
        return change(shared, parts, text).await;
    }
    if call == "list" {
        if shared
            .pages
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| if left == usize::MAX { Some(left) } else { left.checked_sub(1) })
            .is_err()
        {
            return Ok(error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "try again"));
        }
        let asked = |pair: &&str| !pair.starts_with("maxitems=");
        let rest: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').filter(asked).collect();
        let limit = shared.page.load(Ordering::SeqCst).min(300);
        parts.uri = format!("{path}?{}&maxitems={limit}", rest.join("&")).parse().map_err(|_| "no address")?;
    }
    forward(shared, parts, body).await
}

/// A batch: refused as Route 53 does, or passed on.
async fn change(shared: &Shared, parts: hyper::http::request::Parts, text: String) -> Result<Response<Full<Bytes>>, Lost> {
    if count_down(&shared.swallow) {
        return Err("lost on its way there");
    }
    let id = parts.uri.path().split('/').nth(3).unwrap_or_default().to_owned();
    let after = match shared.zones.lock().unwrap().get_mut(&id) {
        None => return Ok(error(StatusCode::NOT_FOUND, "NoSuchHostedZone", &format!("No hosted zone found with ID: {id}"))),
        Some(zone) => zone.after(&text).map(|(after, _)| *zone = after),
    };
    if let Err(messages) = after {
        // Route 53 has two forms of this error.
        if let [message] = messages.as_slice() {
            return Ok(error(StatusCode::BAD_REQUEST, "InvalidChangeBatch", &xml::escape(&format!("[{message}]"))));
        }
        let messages: String = messages.iter().map(|message| format!("<Message>{}</Message>", xml::escape(message))).collect();
        let body = format!(
            "<?xml version=\"1.0\"?><InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Messages>{messages}\
             </Messages><RequestId>1</RequestId></InvalidChangeBatch>"
        );
        return Ok(xml_answer(StatusCode::BAD_REQUEST, body));
    }
    shared.changed.fetch_add(1, Ordering::SeqCst);
    let mut answer = Err("the batch is empty");
    for part in for_moto(&text) {
        let taken = forward(shared, parts.clone(), part.into()).await?;
        assert_eq!(taken.status(), StatusCode::OK, "moto does not take what Route 53 would");
        answer = Ok(taken);
    }
    let answer = answer?;
    if count_down(&shared.lose) { Err("lost on its way back") } else { Ok(answer) }
}

/// The batch as moto takes it: it refuses to create again what was deleted, and counts what it puts in place twice.
fn for_moto(batch: &str) -> Vec<String> {
    let changes: Vec<&str> = xml::all(batch, "Change");
    let body = |changes: &[&str]| {
        let changes: String = changes.iter().map(|change| format!("<Change>{change}</Change>")).collect();
        request(&changes.replace("<Action>CREATE</Action>", "<Action>UPSERT</Action>"))
    };
    let mut parts: Vec<Vec<&str>> = Vec::new();
    let mut values = 0;
    for change in changes {
        let more = 2 * xml::all(change, "Value").len();
        values += more;
        match parts.last_mut() {
            Some(last) if values <= 1000 => last.push(change),
            _ => {
                values = more;
                parts.push(vec![change]);
            }
        }
    }
    parts.iter().map(|part| body(part)).collect()
}

/// The body of a request with changes.
fn request(changes: &str) -> String {
    format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>{changes}\
         </Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

async fn forward(shared: &Shared, mut parts: hyper::http::request::Parts, body: Bytes) -> Result<Response<Full<Bytes>>, Lost> {
    parts.headers.remove("content-length");
    let (status, body) = exchange(shared.moto, Request::from_parts(parts, Full::new(body))).await.ok_or("moto is away")?;
    let answer = Response::builder().status(status).header("content-type", "text/xml").body(Full::new(body));
    answer.map_err(|_| "no answer")
}

/// The credentials of containers (EKS Pod Identity) and of machines (IMDSv2).
fn metadata(parts: &hyper::http::request::Parts) -> Option<Response<Full<Bytes>>> {
    let header = |name: &str| parts.headers.get(name).is_some_and(|value| value == TOKEN);
    let keys = |id: &str| {
        format!(
            "{{\"Code\": \"Success\", \"Type\": \"AWS-HMAC\", \"LastUpdated\": \"2026-01-01T00:00:00Z\", \"AccessKeyId\": \"{id}\", \
             \"SecretAccessKey\": \"secret\", \"Token\": \"session\", \"Expiration\": \"{EXPIRATION}\"}}"
        )
    };
    let (allowed, body) = match parts.uri.path() {
        "/container" => (header("authorization"), keys("AKIDPOD")),
        "/latest/api/token" => (parts.method == Method::PUT, TOKEN.to_owned()),
        "/latest/meta-data/iam/security-credentials/" => (header("x-aws-ec2-metadata-token"), "node".to_owned()),
        "/latest/meta-data/iam/security-credentials/node" => (header("x-aws-ec2-metadata-token"), keys("AKIDNODE")),
        path if path.starts_with("/latest/") => return Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()).ok(),
        _ => return None,
    };
    let status = if allowed { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    let answer = Response::builder().status(status).header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    answer.body(Full::new(Bytes::from(body))).ok()
}

fn count_down(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    let body = format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    xml_answer(status, body)
}

fn xml_answer(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/xml"));
    answer
}
