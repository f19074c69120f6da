//! The one client that all subjects are measured with.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::AsyncReadExt as _;
use http::{Method, Request};
use kube::{Client, Config};

/// A client of a server with a self-signed certificate.
pub(crate) fn connect(url: &str, token: &str) -> Result<Client> {
    let mut config = Config::new(url.parse().context("server address")?);
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(token.to_owned().into());
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

/// Sends a request and answers the size of the answer's body, which is read but not decoded.
pub(crate) async fn send(client: &Client, method: Method, path: &str, body: impl Into<Bytes>) -> Result<usize> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.into().to_vec())?;
    let mut stream = std::pin::pin!(client.request_stream(request).await?);
    let (mut buffer, mut size) = (vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(size),
            n => size += n,
        }
    }
}

/// A ConfigMap of about 0.4 KB.
pub(crate) fn config_map(name: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"bench": "yes"}},
        "data": {"text": "0123456789abcdef".repeat(24)},
    })
    .to_string()
}
