//! Bytes to the server and back: the way there, TLS, and what every request carries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt as _};

use super::access::{Access, Login};
use super::auth::Authorizer;
use super::identity::{identity, provider};
use super::proxy::Proxy;
use crate::Error;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// How we call ourselves.
const AGENT: &str = concat!("kubefed/", env!("CARGO_PKG_VERSION"));

/// Makes the transport of an access that was resolved.
pub(super) async fn make(access: &Access) -> Result<Transport, Error> {
    let say = |what: String| Error::Entry {
        entry: format!("context \"{}\"", access.context),
        what,
        hint: "check certificates, keys and tokens of its cluster and user".to_owned(),
    };
    let certificate = Arc::new(Certificate::default());
    if let Some((chain, key)) = &access.identity {
        let identity = identity(chain, key).map_err(|e| say(format!("client certificate and key: {e}")))?;
        certificate.0.store(Some(Arc::new(identity)));
    }
    if let Login::Exec(call) = &access.login {
        certificate.0.store(call.credentials().await?.certificate);
    }
    let mut tls = tls_config(access, &say)?;
    tls.client_auth_cert_resolver = Arc::clone(&certificate) as _;
    let connector = connector(access, tls).map_err(say)?;
    let authorizer = Authorizer::new(&access.login).map_err(|_| say("the token has characters that no header may have".to_owned()))?;
    Ok(Transport(Arc::new(Shared {
        base: access.server.clone(),
        headers: headers(access).map_err(|e| say(format!("as: {e}")))?,
        authorizer,
        certificate,
        http: ArcSwap::new(pool(&connector, access.timeouts.silence)),
        connector,
        silence: access.timeouts.silence,
    })))
}

/// TLS by `kube`: it knows the system's roots, how to take any certificate, and how to read a file of roots again.
fn tls_config(access: &Access, say: &impl Fn(String) -> Error) -> Result<rustls::ClientConfig, Error> {
    provider();
    let mut config = kube::Config::new(access.server.clone());
    config.accept_invalid_certs = access.insecure;
    config.root_cert_file.clone_from(&access.authorities_file);
    if let Some(pem) = &access.authorities {
        let roots: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem).filter_map(|c| c.ok().map(|c| c.to_vec())).collect();
        if roots.is_empty() {
            return Err(say("unable to load root certificates: certificate-authority has no certificate in PEM".to_owned()));
        }
        config.root_cert = Some(roots);
    }
    config.rustls_client_config().map_err(|e| Error::Client { entry: format!("context \"{}\"", access.context), cause: Box::new(e) })
}

/// The client certificate of the next handshake: a plugin may give another one.
#[derive(Debug, Default)]
struct Certificate(ArcSwapOption<CertifiedKey>);

impl ResolvesClientCert for Certificate {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }

    fn has_certs(&self) -> bool {
        self.0.load().is_some()
    }
}

type Connector = TimeoutConnector<HttpsConnector<Way>>;

fn connector(access: &Access, tls: rustls::ClientConfig) -> Result<Connector, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let way = match &access.route {
        None => Way::Straight(tcp),
        Some(proxy) => Way::through(proxy, tcp, &tls)?,
    };
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &access.tls_server_name {
        let name = name.clone().try_into().map_err(|_| format!("tls-server-name \"{name}\" is neither a name nor an address"))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let https = match access.timeouts.read {
        Some(_) => builder.enable_http1().wrap_connector(way),
        None => builder.enable_all_versions().wrap_connector(way),
    };
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(Some(access.timeouts.connect));
    connector.set_read_timeout(access.timeouts.read);
    connector.set_reset_reader_on_write(true);
    Ok(connector)
}

type Pool = Http<Connector, Body>;

/// Bytes of one answer that a server may send before they are read.
const STREAM_WINDOW: u32 = 1 << 20;
/// The largest window there is (RFC 9113, 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// Connections to the server, none yet.
fn pool(connector: &Connector, silence: Duration) -> Arc<Pool> {
    let mut builder = Http::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    // A process that stood still for a while finds the answer in the socket only after it looked at the time.
    builder.http2_keep_alive_interval(silence).http2_keep_alive_timeout(3 * silence).http2_keep_alive_while_idle(true);
    // Answers that wait to be read must not hold up the others of the connection: each has its own bound only.
    builder.http2_initial_stream_window_size(STREAM_WINDOW).http2_initial_connection_window_size(LARGEST_WINDOW);
    Arc::new(builder.build(connector.clone()))
}

/// The way to the server's port.
#[derive(Clone)]
enum Way {
    Straight(HttpConnector),
    Http(Tunnel<HttpConnector>),
    Https(Tunnel<HttpsConnector<HttpConnector>>),
    Socks(SocksV5<HttpConnector>),
}

impl Way {
    fn through(proxy: &Proxy, tcp: HttpConnector, tls: &rustls::ClientConfig) -> Result<Self, String> {
        let basic = proxy.login.as_ref().map(|(name, password)| {
            HeaderValue::from_str(&format!("Basic {}", BASE64.encode(format!("{name}:{password}")))).map_err(|e| e.to_string())
        });
        let basic = basic.transpose()?;
        let uri = proxy.uri.clone();
        Ok(match proxy.uri.scheme_str() {
            Some("socks5") => {
                let socks = SocksV5::new(uri, tcp);
                Self::Socks(match &proxy.login {
                    Some((name, password)) => socks.with_auth(name.clone(), password.clone()),
                    None => socks,
                })
            }
            Some("https") => {
                // As Go does it: the proxy is checked by the same authorities as the server.
                let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_only().enable_http1().wrap_connector(tcp);
                let tunnel = Tunnel::new(uri, https);
                Self::Https(match basic {
                    Some(basic) => tunnel.with_auth(basic),
                    None => tunnel,
                })
            }
            _ => {
                let tunnel = Tunnel::new(uri, tcp);
                Self::Http(match basic {
                    Some(basic) => tunnel.with_auth(basic),
                    None => tunnel,
                })
            }
        })
    }
}

impl Service<Uri> for Way {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Each connection is made by a connector of its own, which waits until it is ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let way = self.clone();
        Box::pin(async move {
            Ok(match way {
                Self::Straight(tcp) => MaybeHttpsStream::Http(tcp.oneshot(to).await?),
                Self::Http(tunnel) => MaybeHttpsStream::Http(tunnel.oneshot(to).await.map_err(by_proxy)?),
                Self::Https(tunnel) => tunnel.oneshot(to).await.map_err(by_proxy)?,
                Self::Socks(socks) => MaybeHttpsStream::Http(socks.oneshot(to).await.map_err(by_proxy)?),
            })
        })
    }
}

/// The server is not to blame for what happens on the way to it.
fn by_proxy(error: impl Into<BoxError>) -> BoxError {
    let error: BoxError = error.into();
    format!("by the proxy: {}", program::failure::chain(&*error)).into()
}

/// What all requests of a client share.
struct Shared {
    base: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    authorizer: Authorizer,
    certificate: Arc<Certificate>,
    connector: Connector,
    silence: Duration,
    http: ArcSwap<Pool>,
}

/// Sends requests to one server as one user.
#[derive(Clone)]
pub(super) struct Transport(Arc<Shared>);

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(Arc::clone(&self.0).send(request))
    }
}

impl Shared {
    async fn send(self: Arc<Self>, mut request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        *request.uri_mut() = self.absolute(request.uri())?;
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        let authorization = self.authorizer.authorization().await?;
        if let Some(header) = authorization.header {
            request.headers_mut().entry(AUTHORIZATION).or_insert(header);
        }
        if let Some(given) = &authorization.given {
            self.present(given.certificate.as_ref());
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        tracing::debug!(%method, %uri, "request");
        let pool = self.http.load_full();
        let mut waiting = Waiting { shared: &self, by: Some(Arc::clone(&pool)) };
        let answer = pool.request(request).await;
        waiting.by = None;
        drop(waiting);
        match &answer {
            Ok(response) => tracing::debug!(%method, %uri, status = response.status().as_u16(), "answer"),
            Err(error) => tracing::debug!(%method, %uri, error = program::failure::chain(error), "no answer"),
        }
        let response = answer?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.authorizer.refused(authorization.given.as_ref()).await;
        }
        Ok(response)
    }

    /// The certificate a plugin gave; connections made with another one are not used any more.
    fn present(&self, certificate: Option<&Arc<CertifiedKey>>) {
        let same = match (self.certificate.0.load().as_ref(), certificate) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !same {
            self.certificate.0.store(certificate.cloned());
            self.connect_anew();
        }
    }

    /// Requests from now on go by new connections; those under way end by theirs.
    fn connect_anew(&self) {
        self.http.store(pool(&self.connector, self.silence));
    }

    /// A request's path under the server's.
    fn absolute(&self, request: &Uri) -> Result<Uri, http::Error> {
        let prefix = self.base.path().trim_end_matches('/');
        let path = request.path_and_query().map_or("/", |p| p.as_str());
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(format!("{prefix}{path}").parse()?);
        Ok(Uri::from_parts(parts)?)
    }
}

/// A request without an answer yet. Who gives up on it may do so because its connection is dead, as when a load balancer
/// forgot it. With HTTP/1 the connection went with the request; with HTTP/2 the next request would go the same way.
struct Waiting<'a> {
    shared: &'a Shared,
    by: Option<Arc<Pool>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.by.as_ref().is_some_and(|by| Arc::ptr_eq(by, &self.shared.http.load())) {
            self.shared.connect_anew();
        }
    }
}

/// Bytes that may not stand in the name of a header, and `%`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Who we are as a program, and whom to act as.
fn headers(access: &Access) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|e| e.to_string());
    let mut all = vec![(USER_AGENT, HeaderValue::from_static(AGENT))];
    let who = &access.impersonate;
    if who.user.is_empty() {
        return Ok(all);
    }
    all.push((HeaderName::from_static("impersonate-user"), value(&who.user)?));
    if !who.uid.is_empty() {
        all.push((HeaderName::from_static("impersonate-uid"), value(&who.uid)?));
    }
    for group in &who.groups {
        all.push((HeaderName::from_static("impersonate-group"), value(group)?));
    }
    for (key, values) in &who.extra {
        let name = format!("impersonate-extra-{}", utf8_percent_encode(key, ESCAPED)).to_lowercase();
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
        for one in values {
            all.push((name.clone(), value(one)?));
        }
    }
    Ok(all)
}
