//! Requests to one API server with a time limit, below kube's typed API: the status code decides.

use std::time::Duration;

use bytes::Bytes;
use federation_client::Trouble;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

/// Bytes of the largest answer that is read: whoever sends more, by malice or mistake, does not fill our memory. Lists
/// come in pages of some hundred objects.
pub(crate) const LARGEST: usize = 64 << 20;

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
    #[error("{message}")]
    Transport { trouble: Trouble, message: String },
}

impl CallError {
    fn transport(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Transport { trouble: Trouble::of(error), message: chain(error) }
    }

    /// What was in the way.
    pub(crate) fn trouble(&self) -> Trouble {
        match self {
            Self::Timeout(_) => Trouble::Timeout,
            Self::Transport { trouble, .. } => *trouble,
        }
    }
}

/// A request that did not come to what was wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
    /// What the server says instead.
    #[error("{0}")]
    Refused(String),
}

impl From<Reply> for RequestError {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply.message())
    }
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
            .body(kube::client::Body::from(self.body))
            .map_err(|e| CallError::transport(&e))?;
        let exchange = async {
            let response = client.send(request).await.map_err(|e| CallError::transport(&e))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(|e| CallError::transport(e.as_ref()))?.to_bytes();
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

    /// Whether an API server says that what was asked for is not there. A proxy or load balancer on the way answers 404
    /// as well, and so does an API server for a kind it does not serve: without a `metav1.Status` of this reason nobody
    /// looked, and nothing follows from it.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.has_reason("NotFound")
    }

    /// Whether an API server says that the resource is there and cannot be asked for in this way.
    pub(crate) fn is_not_allowed(&self) -> bool {
        self.status == StatusCode::METHOD_NOT_ALLOWED && self.has_reason("MethodNotAllowed")
    }

    /// Whether the body is a `metav1.Status` with this reason.
    fn has_reason(&self, reason: &str) -> bool {
        let status: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        status["kind"] == "Status" && status["apiVersion"] == "v1" && status["reason"] == reason
    }

    /// Whether the server says that it has too much to do.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
    }
}

/// The pages of a list, one after the other, in a bounded number.
pub(crate) struct Pages {
    path: String,
    next: Option<String>,
    left: usize,
}

/// The list goes on for longer than any real one.
#[derive(Debug, thiserror::Error)]
#[error("the list has more than {MOST_PAGES} pages")]
pub(crate) struct Endless;

const MOST_PAGES: usize = 1000;

impl Pages {
    /// The pages of the list at `path`, whose query has a limit.
    pub(crate) fn of(path: &str) -> Self {
        Self { path: path.to_owned(), next: Some(path.to_owned()), left: MOST_PAGES }
    }

    /// Path of the next page to ask for.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.next.take()
    }

    /// Takes note of a page.
    pub(crate) fn read(&mut self, page: &Value) -> Result<(), Endless> {
        let Some(token) = page["metadata"]["continue"].as_str().filter(|t| !t.is_empty()) else { return Ok(()) };
        self.left = self.left.checked_sub(1).ok_or(Endless)?;
        self.next = Some(format!("{}&continue={}", self.path, query_value(token)));
        Ok(())
    }
}

/// Percent-encodes a query value.
pub(crate) fn query_value(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn d20_an_answer_larger_than_the_bound_is_an_error_and_not_our_memory() {
        let client = |bytes: usize| {
            let service = tower::service_fn(move |_: Request<kube::client::Body>| {
                std::future::ready(Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::from(vec![b' '; bytes]))))
            });
            kube::Client::new(service, "default")
        };
        let limit = Duration::from_secs(60);
        assert!(Call::get("/api/v1/nodes").send(&client(LARGEST), limit).await.is_ok());
        let error = Call::get("/api/v1/nodes").send(&client(LARGEST + 1), limit).await.unwrap_err();
        assert!(error.to_string().contains("length limit exceeded"), "{error}");
    }

    #[test]
    fn issue7_only_an_api_server_says_that_something_is_not_there() {
        let reply = |status, body: &str| Reply { status, retry_after: None, body: body.to_owned().into() };
        let status = |reason: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}).to_string();
        assert!(reply(StatusCode::NOT_FOUND, &status("NotFound")).is_not_found());
        for body in ["", "404 page not found\n", "<html>404</html>", r#"{"reason": "NotFound"}"#, &status("Forbidden")] {
            assert!(!reply(StatusCode::NOT_FOUND, body).is_not_found(), "{body}");
        }
        assert!(!reply(StatusCode::FORBIDDEN, &status("NotFound")).is_not_found());
        assert!(reply(StatusCode::METHOD_NOT_ALLOWED, &status("MethodNotAllowed")).is_not_allowed());
        assert!(!reply(StatusCode::METHOD_NOT_ALLOWED, "").is_not_allowed());
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(query_value("app in (a,b),!x"), "app%20in%20%28a%2Cb%29%2C%21x");
    }

    #[test]
    fn d20_lists_come_in_pages_and_not_for_ever() {
        let mut pages = Pages::of("/api/v1/nodes?limit=500");
        assert_eq!(pages.next().as_deref(), Some("/api/v1/nodes?limit=500"));
        pages.read(&json!({"metadata": {"continue": "a=b"}})).unwrap();
        assert_eq!(pages.next().as_deref(), Some("/api/v1/nodes?limit=500&continue=a%3Db"));
        pages.read(&json!({"metadata": {}})).unwrap();
        assert_eq!(pages.next(), None);
        let endless = json!({"metadata": {"continue": "x"}});
        assert_eq!((0..2 * MOST_PAGES).take_while(|_| pages.read(&endless).is_ok()).count(), MOST_PAGES - 1);
    }
}
