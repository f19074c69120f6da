//! Requests to one API server with a time limit, below kube's typed API: the status code decides.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// What the server asks to wait before the next request.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// No answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("{0}")]
    Transport(String),
}

/// What to send.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// Content type of server-side apply with a JSON body, which is YAML too.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";
/// Content type of a JSON merge patch.
pub(crate) const MERGE: &str = "application/merge-patch+json";
/// Content type of an object.
pub(crate) const JSON: &str = "application/json";

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, content_type: JSON, body: Bytes::new() }
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self, client: &kube::Client, limit: Duration) -> Result<Reply, CallError> {
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::ACCEPT, JSON)
            .body(kube::client::Body::from(self.body.to_vec()))
            .map_err(|e| CallError::Transport(e.to_string()))?;
        let exchange = async {
            let response = client.send(request).await.map_err(|e| CallError::Transport(chain(&e)))?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|e| CallError::Transport(e.to_string()))?.to_bytes();
            let retry_after = parts.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            Ok(Reply { status: parts.status, retry_after, body })
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(CallError::Timeout(limit)))
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl Reply {
    /// The server's own words about a failure: the message of its Status, or the code.
    pub(crate) fn message(&self) -> String {
        let status: Option<Value> = serde_json::from_slice(&self.body).ok();
        let message = status.as_ref().and_then(|s| s["message"].as_str()).filter(|m| !m.is_empty());
        message.map_or_else(|| format!("HTTP {}", self.status), |m| m.chars().take(1024).collect())
    }

    /// Whether the server says that it has too much to do.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
    }
}
