//! The server under test, and steps that talk to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use federation_apiserver::{ApiService, Config, Profile, Server};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::ServiceExt;

/// Everything an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }
}

/// A server to talk to.
pub(crate) enum Subject {
    Memory { service: ApiService, _server: Box<Server> },
    Service(ApiService),
    Tls { authority: String, token: String, _server: Option<Box<Server>> },
}

/// A server in memory that is ready.
pub(crate) async fn in_memory(profile: Profile) -> Subject {
    let server = ready(Config::in_memory(profile)).await;
    let service = server.admin_service();
    Subject::Memory { service, _server: server }
}

pub(crate) async fn ready(config: Config) -> Box<Server> {
    let server = Server::start(config).await.unwrap();
    server.wait_ready(Duration::from_secs(60)).await.unwrap();
    Box::new(server)
}

/// The subjects a scenario runs over: the one of the environment, or else ours in memory and over TLS.
pub(crate) async fn subjects() -> Vec<Subject> {
    if let Ok(url) = std::env::var("KUBE_SUBJECT_URL") {
        let token = std::env::var("KUBE_SUBJECT_TOKEN").unwrap_or_default();
        return vec![Subject::Tls { authority: url.trim_start_matches("https://").to_owned(), token, _server: None }];
    }
    vec![in_memory(Profile::Member).await, over_tls().await]
}

async fn over_tls() -> Subject {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, "secret,admin,1,system:masters\n").unwrap();
    let server = ready(Config { token_auth_file: Some(tokens), ..Config::in_memory(Profile::Member) }).await;
    let listening = server.listen().await.unwrap();
    let authority = listening.address().to_string();
    tokio::spawn(listening.serve(std::future::pending()));
    Subject::Tls { authority, token: "secret".into(), _server: Some(server) }
}

impl Subject {
    /// One request; the body is read to its end.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        match self {
            Self::Memory { service, .. } | Self::Service(service) => {
                let response = service.clone().oneshot(request).await.unwrap();
                let (parts, body) = response.into_parts();
                Answer { code: parts.status.as_u16(), headers: parts.headers, bytes: body.collect().await.unwrap().to_bytes() }
            }
            Self::Tls { authority, token, .. } => {
                let bearer = format!("Bearer {token}").parse().unwrap();
                request.headers_mut().entry("authorization").or_insert(bearer);
                over_connection(authority, client_config(None), request).await.unwrap()
            }
        }
    }

    /// A request with a JSON body that must be answered with `code`.
    pub(crate) async fn expect(&self, code: u16, method: &str, path: &str, body: Value) -> Value {
        let kind = match (method, &body) {
            ("PATCH", Value::Array(_)) => "application/json-patch+json",
            ("PATCH", _) => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.send(method, path, &[("content-type", kind)], bytes).await;
        assert_eq!(answer.code, code, "{method} {path} {body}: {}", String::from_utf8_lossy(&answer.bytes));
        answer.json()
    }

    /// A namespace nobody else uses.
    pub(crate) async fn namespace(&self) -> String {
        let body = serde_json::json!({"metadata": {"generateName": "test-"}});
        let made = self.expect(201, "POST", "/api/v1/namespaces", body).await;
        made["metadata"]["name"].as_str().unwrap().to_owned()
    }
}

/// Sends one request over a connection of its own, HTTP/2 where the server takes it.
pub(crate) async fn over_connection(
    authority: &str,
    config: rustls::ClientConfig,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(authority).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let response = if http2 {
        *request.uri_mut() = format!("https://{authority}{}", request.uri()).parse()?;
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        request.headers_mut().insert("host", authority.parse()?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    let (parts, body) = response.into_parts();
    Ok(Answer { code: parts.status.as_u16(), headers: parts.headers, bytes: body.collect().await?.to_bytes() })
}

/// Trusts any server: what is tested is the server's view of the client.
pub(crate) fn client_config(identity: Option<(Vec<u8>, Vec<u8>)>) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>().unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
