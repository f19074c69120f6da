use federation_api::cluster::{SecretRef, ServerAddressByClientCidr};
use http::{Request, Response};
use k8s_openapi::ByteString;
use kube::client::Body;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn spec(address: &str, secret: Option<&str>) -> ClusterSpec {
    ClusterSpec {
        server_address_by_client_cidrs: vec![ServerAddressByClientCidr { client_cidr: "0.0.0.0/0".into(), server_address: address.into() }],
        secret_ref: secret.map(|name| SecretRef { name: name.into() }),
    }
}

#[test]
fn a_missing_scheme_is_https_and_what_is_no_address_is_refused() {
    let url = |address: &str| server_url(&spec(address, None));
    assert_eq!(url("10.0.0.1:6443").unwrap(), "https://10.0.0.1:6443");
    assert_eq!(url("http://10.0.0.1").unwrap(), "http://10.0.0.1");
    for bad in ["", "ftp://gondor", "https://", "https://user@gondor", "https://gondor?x=y", "not a url", "file:///etc/passwd"] {
        let error = url(bad).unwrap_err();
        assert!(error.reason() == "InvalidAddress" && error.forbids(), "{bad}: {error}");
    }
    assert!(server_url(&ClusterSpec::default()).is_err());
}

#[test]
fn a_fingerprint_changes_with_address_and_secret() {
    let data = |token: &str| Data::from([("token".to_owned(), ByteString(token.as_bytes().to_vec()))]);
    let a = fingerprint("https://a", &data("1"));
    assert_eq!(a, fingerprint("https://a", &data("1")));
    assert_ne!(a, fingerprint("https://b", &data("1")));
    assert_ne!(a, fingerprint("https://a", &data("2")));
}

#[tokio::test]
async fn a_member_that_cannot_be_checked_is_refused_unless_allowed() {
    let spec = spec("https://10.0.0.1", None);
    let connector = HostConnector::new(None);
    let annotated = |value: &str| allows_insecure(&[(keys::INSECURE.to_owned(), value.to_owned())].into());
    for insecure in [allows_insecure(&BTreeMap::new()), annotated("false"), annotated("")] {
        let error = connector.connect("gondor", &spec, insecure, None).await.err().expect("a refusal");
        assert!(error.forbids() && error.to_string().contains("federation.kubernetes.io/insecure=true"), "{error}");
        let known = fingerprint("https://10.0.0.1", &Data::new());
        assert!(connector.connect("gondor", &spec, insecure, Some(&known)).await.is_err(), "a client in hand does not help");
    }
    assert!(connector.connect("gondor", &spec, annotated("true"), None).await.unwrap().is_some());
}

/// A host with one secret, `gondor`, of this data.
fn host(data: &[(&str, &str)]) -> HostConnector {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let data: serde_json::Map<_, _> = data.iter().map(|(k, v)| ((*k).to_owned(), STANDARD.encode(v).into())).collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gondor"}, "data": data});
    let service = tower::service_fn(move |request: Request<Body>| {
        let there = request.uri().path().ends_with("/secrets/gondor");
        let missing = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
        let (status, body) = if there { (200, &secret) } else { (404, &missing) };
        let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
        std::future::ready(response.map_err(std::io::Error::other))
    });
    HostConnector::new(Some(HostCredentials { client: kube::Client::new(service, "default"), namespace: "federation-system".into() }))
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_from_one_that_cannot_be_read() {
    let connector = host(&[]);
    let reason = |error: Option<ConnectError>| error.map(|e| (e.reason(), e.forbids()));
    let found = connector.connect("gondor", &spec("https://gondor", Some("other")), false, None).await;
    assert_eq!(reason(found.err()), Some(("CredentialsNotFound", false)));
    let found = HostConnector::new(None).connect("gondor", &spec("https://gondor", Some("gondor")), false, None).await;
    assert_eq!(reason(found.err()), Some(("CredentialsUnreadable", false)));
}

#[tokio::test]
async fn d8_a_redirect_takes_no_credentials_elsewhere() {
    let (member, elsewhere) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = member.local_addr().unwrap();
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = member.accept().await.unwrap();
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            let read = stream.read(&mut buffer).await.unwrap();
            head.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let server = format!("http://{at}");
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let connector = host(&[("token", "secret"), ("server", &server)]);
    let connection = connector.connect("gondor", &spec(&server, Some("gondor")), true, None).await.unwrap().unwrap();
    let reply = crate::request::Call::get("/healthz").send(&connection.client, Duration::from_secs(30)).await.unwrap();
    assert_eq!(reply.status, 302);
    assert!(asked.await.unwrap().contains("authorization: Bearer secret"), "the member itself gets them");
    let visited = std::future::poll_fn(|cx| std::task::Poll::Ready(elsewhere.poll_accept(cx).is_ready())).await;
    assert!(!visited, "nobody came to the other server");
}
