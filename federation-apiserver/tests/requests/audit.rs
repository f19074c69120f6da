//! The audit log, and what one user may take of the server.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use federation_apiserver::audit::{AuditConfig, Destination, Policy};
use federation_apiserver::auth::UserInfo;
use federation_apiserver::config::Limits;
use federation_apiserver::{Config, Profile};
use http::Request;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::service_accounts::issuer;
use crate::subject::ready;

const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver"]
- level: RequestResponse
  verbs: [create]
  omitManagedFields: true
- level: Metadata
"#;

pub(crate) fn audited(dir: &Path) -> Config {
    let policy = dir.join("policy.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    let to = Destination { path: Some(dir.join("audit.log")), max_size: 0, max_backups: 0, max_age: Duration::ZERO };
    Config { audit: Some(AuditConfig { policy: Policy::load(&policy).unwrap(), to }), ..Config::in_memory(Profile::Federation) }
}

/// The events in the file, when there are so many.
async fn events(dir: &Path, n: usize) -> Vec<Value> {
    let read = async {
        loop {
            let text = tokio::fs::read_to_string(dir.join("audit.log")).await.unwrap();
            if text.lines().count() >= n && text.ends_with('\n') {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("the events are written")
}

fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", "application/json").body(Full::from(body.to_owned())).unwrap()
}

/// Only `cluster-admin` holds the right to `put` there.
#[tokio::test(flavor = "multi_thread")]
async fn issue7_the_log_level_is_changed_by_who_may() {
    let server = ready(Config::in_memory(Profile::Federation)).await;
    let _logs = daemon::logs::install("test", &daemon::logs::LogOptions::default()).unwrap();
    let put = |body: &str| Request::put("/debug/flags/v").body(Full::from(body.to_owned())).unwrap();
    // Not `tracing::enabled!`: tests on other threads listen to everything.
    let is_logged = || daemon::logs::level().unwrap().now().contains("federation_apiserver=trace");
    let eve = UserInfo { name: "eve".into(), groups: vec!["system:authenticated".into()], ..UserInfo::default() };
    // Whatever the environment says.
    assert_eq!(server.admin_service().oneshot(put("0")).await.unwrap().status().as_u16(), 200);
    assert!(!is_logged());
    assert_eq!(server.service(eve).oneshot(put("9")).await.unwrap().status().as_u16(), 403);
    assert!(!is_logged());
    for (level, status, logged) in [("9", 200, true), ("sauron", 400, true), ("0", 200, false)] {
        assert_eq!(server.admin_service().oneshot(put(level)).await.unwrap().status().as_u16(), status, "{level}");
        assert_eq!(is_logged(), logged, "{level}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d22_both_users_and_the_result_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let server = ready(audited(dir.path())).await;
    let mut request = post("/api/v1/namespaces/default/configmaps", r#"{"metadata":{"name":"ring"},"data":{"a":"b"}}"#);
    for (name, value) in [("impersonate-user", "sam"), ("impersonate-group", "system:masters"), ("audit-id", "my-id")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = server.admin_service().oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["audit-id"]), (201, &"my-id".parse::<http::HeaderValue>().unwrap()));
    let made: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let secret = post("/api/v1/namespaces/default/secrets", r#"{"metadata":{"name":"s"},"stringData":{"a":"precious"}}"#);
    let response = server.admin_service().oneshot(secret).await.unwrap();
    assert_eq!(response.headers()["audit-id"].len(), 36);
    let nobody = UserInfo { name: "eve".into(), ..UserInfo::default() };
    let refused = server.service(nobody).oneshot(post("/api/v1/namespaces", "{}")).await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
    let events = events(dir.path(), 3).await;
    let [ring, secret, refused] = events.as_slice() else { panic!("{events:?}") };
    for (pointer, want) in [
        ("/kind", "Event"),
        ("/apiVersion", "audit.k8s.io/v1"),
        ("/level", "RequestResponse"),
        ("/stage", "ResponseComplete"),
        ("/auditID", "my-id"),
        ("/verb", "create"),
        ("/requestURI", "/api/v1/namespaces/default/configmaps"),
        ("/user/username", "system:admin"),
        ("/impersonatedUser/username", "sam"),
        ("/objectRef/resource", "configmaps"),
        ("/objectRef/namespace", "default"),
        ("/requestObject/data/a", "b"),
        ("/responseObject/metadata/name", "ring"),
        ("/annotations/authorization.k8s.io~1decision", "allow"),
        ("/annotations/federation.kubernetes.io~1uid", made["metadata"]["uid"].as_str().unwrap()),
        ("/annotations/federation.kubernetes.io~1resource-version", made["metadata"]["resourceVersion"].as_str().unwrap()),
    ] {
        assert_eq!(ring.pointer(pointer).and_then(Value::as_str), Some(want), "{pointer} of {ring}");
    }
    assert_eq!((&ring["responseStatus"]["code"], &ring["responseObject"]["metadata"]["managedFields"]), (&201.into(), &Value::Null));
    assert_eq!(secret["level"], "Metadata");
    assert!(!secret.to_string().contains("precious"), "{secret}");
    assert_eq!((&refused["user"]["username"], &refused["responseStatus"]["code"]), (&"eve".into(), &403.into()));
    assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
}

/// A ConfigMap `ring` with data `a: b`, as Go clients send it.
const PROTOBUF: &[u8] = b"k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x10\n\x06\n\x04ring\x12\x06\n\x01a\x12\x01b";

#[tokio::test(flavor = "multi_thread")]
async fn d22_what_is_carried_out_is_recorded_in_whatever_form_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let server = ready(audited(dir.path())).await;
    let json = r#"{"metadata":{"name":"pipe"},"data":{"a":"b"}}"#;
    let large = format!(r#"{{"metadata":{{"name":"large"}},"data":{{"a":"{}"}}}}"#, "x".repeat(256 << 10));
    for (kind, body) in [
        ("application/vnd.kubernetes.protobuf", PROTOBUF),
        ("*/*", json.as_bytes()),
        ("text/yaml", b"metadata: {name: weed}\ndata: {a: b}"),
        ("application/json", large.as_bytes()),
    ] {
        let request = Request::post("/api/v1/namespaces/default/configmaps").header("content-type", kind);
        let request = request.body(Full::from(Bytes::copy_from_slice(body))).unwrap();
        assert_eq!(server.admin_service().oneshot(request).await.unwrap().status().as_u16(), 201, "{kind}");
    }
    let events = events(dir.path(), 4).await;
    for (event, name) in events.iter().zip(["ring", "pipe", "weed"]) {
        for object in ["requestObject", "responseObject"] {
            assert_eq!((&event[object]["metadata"]["name"], &event[object]["data"]["a"]), (&name.into(), &"b".into()), "{event}");
        }
    }
    let (event, size) = (&events[3], large.len());
    assert!(event.to_string().len() < 4096 && event["requestObject"].is_null(), "{event}");
    let annotations = &event["annotations"];
    assert_eq!(annotations["federation.kubernetes.io/requestObject"], format!("{size} bytes which are too many to be recorded"));
    assert!(annotations["federation.kubernetes.io/responseObject"].is_string(), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn issue10_no_token_is_recorded_whatever_the_policy_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = ready(Config { service_accounts: Some(issuer(dir.path())), ..audited(dir.path()) }).await;
    let send = async |path: &str, kind: &str, body: String| {
        let request = Request::post(path).header("content-type", kind).header("accept", "application/json");
        let response = server.admin_service().oneshot(request.body(Full::<Bytes>::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 201, "{path}");
        serde_json::from_slice::<Value>(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    };
    let (accounts, reviews) = ("/api/v1/namespaces/default/serviceaccounts", "/apis/authentication.k8s.io/v1/tokenreviews");
    let json = "application/json";
    send(accounts, json, r#"{"metadata":{"name":"frodo"}}"#.to_owned()).await;
    let made = send(&format!("{accounts}/frodo/token"), json, r#"{"spec":{"expirationSeconds":600}}"#.to_owned()).await;
    let token = made["status"]["token"].as_str().unwrap();
    for (kind, body) in [
        (json, format!(r#"{{"spec":{{"token":"{token}"}}}}"#)),
        ("application/yaml", format!("Spec: {{TOKEN: {token}}}\nspec: {{token: '{token}'}}")),
    ] {
        let review = send(reviews, kind, body).await;
        assert_eq!(review["status"]["authenticated"], true, "{review}");
    }
    let events = events(dir.path(), 4).await;
    let [account, request, reviews @ ..] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(account["requestObject"]["metadata"]["name"], "frodo");
    assert_eq!(
        (&request["requestObject"]["spec"]["expirationSeconds"], &request["responseObject"]["status"]["token"]),
        (&600.into(), &"REDACTED".into())
    );
    for review in reviews {
        assert_eq!(review["requestObject"]["spec"]["token"], "REDACTED");
        assert_eq!(review["responseObject"]["status"]["authenticated"], true, "the rest is there: {review}");
    }
    // The part that makes it one.
    let signature = token.rsplit('.').next().unwrap();
    assert!(!events.iter().any(|event| event.to_string().contains(signature)), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d22_a_watch_is_recorded_when_it_begins_and_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = ready(audited(dir.path())).await;
    let watch = Request::get("/api/v1/namespaces/default/configmaps?watch=true").body(Full::<Bytes>::default()).unwrap();
    let response = server.admin_service().oneshot(watch).await.unwrap();
    assert_eq!(events(dir.path(), 1).await[0]["stage"], "ResponseStarted");
    drop(response);
    let all = events(dir.path(), 2).await;
    assert_eq!((&all[1]["stage"], &all[1]["auditID"]), (&"ResponseComplete".into(), &all[0]["auditID"]));
}

#[tokio::test]
async fn d6_bodies_that_do_not_come_take_no_slots() {
    let limits = Limits { readonly: 0, mutating: 4 };
    let server = ready(Config { limits, ..Config::in_memory(Profile::Federation) }).await;
    let user = |name: &str| UserInfo { name: name.into(), uid: String::new(), groups: vec!["system:authenticated".into()] };
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (eve, sam) = (server.service(user("eve")), server.service(user("sam")));
    let mut held = Vec::new();
    for _ in 0..20 {
        let body = StreamBody::new(futures::stream::pending::<Result<hyper::body::Frame<Bytes>, std::convert::Infallible>>());
        let request = Request::post(path).header("content-type", "application/json").body(body).unwrap();
        let mut waiting = Box::pin(eve.clone().oneshot(request));
        assert!(futures::poll!(&mut waiting).is_pending());
        held.push(waiting);
    }
    let question = r#"{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}"#;
    for service in [&eve, &sam] {
        let answer = service.clone().oneshot(post(path, question)).await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
    }
}

#[tokio::test]
async fn d5_large_delete_options_are_read_off_the_worker() {
    let server = ready(Config::in_memory(Profile::Federation)).await;
    for (length, at_once) in [(10, true), (300_000, false)] {
        let options = format!("kind: DeleteOptions\napiVersion: v1\ndryRun: [{:?}]\n", "x".repeat(length));
        for path in ["/api/v1/namespaces/default/configmaps/ring", "/api/v1/namespaces/default/configmaps"] {
            // What is done elsewhere may be done before it is asked for, but not every time.
            let mut waited = false;
            for _ in 0..if at_once { 1 } else { 200 } {
                let request =
                    Request::delete(path).header("content-type", "application/yaml").body(Full::<Bytes>::from(options.clone())).unwrap();
                let mut answer = Box::pin(server.admin_service().oneshot(request));
                let first = futures::poll!(&mut answer);
                waited = first.is_pending();
                let answer = if let std::task::Poll::Ready(answer) = first { answer } else { answer.await };
                assert_eq!(answer.unwrap().status().as_u16(), 422, "{path}");
                if waited {
                    break;
                }
            }
            assert_ne!(waited, at_once, "{path} {length}");
        }
    }
}

/// What spans said when they ended.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Spans {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn issue7_a_write_is_followed_from_the_audit_id_to_uid_and_resource_version() {
    let spans = Spans::default();
    let to = spans.clone();
    let log = tracing_subscriber::fmt()
        .with_env_filter("off,span=info")
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || to.clone())
        .with_ansi(false)
        .finish();
    let server = ready(Config::in_memory(Profile::Federation)).await;
    let _collecting = daemon::logs::here(log);
    let mut request = post("/api/v1/namespaces/default/configmaps", r#"{"metadata":{"name":"ring"}}"#);
    request.headers_mut().insert("audit-id", "my-id".parse().unwrap());
    let response = server.admin_service().oneshot(request).await.unwrap();
    let made: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let text = String::from_utf8(spans.0.lock().unwrap().clone()).unwrap();
    let line = |name: &str| text.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    for part in ["audit_id=\"my-id\"", "verb=\"create\"", "resource=\"configmaps\"", "user=\"system:admin\"", "code=201"] {
        assert!(line("request{").contains(part), "{part} in {text}");
    }
    let (uid, version) = (&made["metadata"]["uid"], &made["metadata"]["resourceVersion"]);
    for part in ["audit_id=\"my-id\"".to_owned(), format!("uid={uid}"), format!("resource_version={version}")] {
        assert!(line("stored{").contains(&part), "{part} in {text}");
    }
}
