//! A client that costs little, so that what is measured is the server: one request at a time on each of some kept
//! connections, bodies read and not decoded.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt as _;
use kube::config::Config;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    /// Whether the answer may be compressed.
    pub(crate) gzip: bool,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Ask {
    /// Asks for something in JSON.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            accept: "application/json",
            gzip: false,
            content_type: "application/json",
            body: Bytes::new(),
        }
    }

    /// Creates something.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(path) }
    }

    /// Changes something by a merge patch.
    pub(crate) fn merge(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::PATCH, content_type: "application/merge-patch+json", body: body.into(), ..Self::get(path) }
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_gzip(&self) -> bool {
        self.headers.get(CONTENT_ENCODING).is_some_and(|value| value == "gzip")
    }
}

/// A server and how to come in.
#[derive(Clone)]
pub(crate) struct Wire {
    address: SocketAddr,
    token: &'static str,
    tls: TlsConnector,
}

impl Wire {
    /// A server with a self-signed certificate at an address of this machine.
    pub(crate) fn new(url: &str, token: &'static str) -> Result<Self> {
        let mut config = Config::new(url.parse().context("server address")?);
        config.accept_invalid_certs = true;
        let address = url.trim_start_matches("https://").parse().context("server address")?;
        Ok(Self { address, token, tls: TlsConnector::from(Arc::new(config.rustls_client_config()?)) })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(ServerName::from(self.address.ip()), tcp).await?;
        let (sender, connection) = handshake(TokioIo::new(tls)).await?;
        // Ends with its sender; what goes wrong shows in the request.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(ACCEPT, ask.accept)
            .header(CONTENT_TYPE, ask.content_type);
        if ask.gzip {
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        Ok(request.body(Full::new(ask.body))?)
    }

    /// Opens a stream on a connection of its own.
    pub(crate) async fn stream(&self, ask: Ask) -> Result<Incoming> {
        let mut connection = self.connect().await?;
        let response = connection.send_request(self.request(ask)?).await?;
        ensure!(response.status().is_success(), "a stream was answered with {}", response.status());
        Ok(response.into_body())
    }
}

/// Connections that are kept.
pub(crate) struct Pool {
    wire: Wire,
    free: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Pool {
    pub(crate) fn new(wire: Wire) -> Arc<Self> {
        Arc::new(Self { wire, free: Mutex::default() })
    }

    /// Asks, and reads the whole answer, on a connection that nobody else uses.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => self.wire.connect().await.context("connecting")?,
        };
        connection.ready().await.context("waiting for a connection")?;
        let response = connection.send_request(self.wire.request(ask)?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("reading the answer")?.to_bytes();
        ensure!(head.status.is_success(), "answered with {}: {}", head.status, String::from_utf8_lossy(&body));
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(Answer { headers: head.headers, body })
    }
}
