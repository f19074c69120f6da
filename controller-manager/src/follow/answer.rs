//! Answers of a server: asking for them, and what is read of them before anybody knows what the objects are.

use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{change::Head, source::Source};
use crate::request::{LARGEST, Reply, chain};

/// Bounds of one list, far above any real one: pages, objects, and bytes of all answers.
pub(super) const MOST_PAGES: usize = 20_000;
pub(super) const MOST_OBJECTS: usize = 250_000;
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// Longest wait for one page.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages that are read at a time, over all members: each may be large.
static READING: Semaphore = Semaphore::const_new(16);

/// One answer of a list. As long as it is kept, it counts among those that are read.
pub(super) struct Page {
    pub(super) body: bytes::Bytes,
    pub(super) meta: ListMeta,
    _permit: Option<SemaphorePermit<'static>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Headed {
    pub(super) metadata: Head,
}

#[derive(Deserialize)]
pub(super) struct RawList<'a> {
    #[serde(borrow, deserialize_with = "or_null")]
    pub(super) items: Vec<&'a RawValue>,
}

/// kube-apiserver writes a list of metadata without objects as `null`. What has no list at all is no empty one.
fn or_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RawEvent<'a> {
    #[serde(rename = "type")]
    pub(super) type_: String,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{1}")]
    Refused(StatusCode, String),
    /// An API server says that there is no such thing; a 404 of anybody else is a refusal like others.
    #[error("{0}")]
    NotFound(String),
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    #[error("one page has more than {} MiB", LARGEST >> 20)]
    Large,
    #[error("{0}")]
    Transport(String),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    #[error("the collection has more than {MOST_OBJECTS} objects, {MOST_PAGES} pages or {} MiB", MOST_BYTES >> 20)]
    Endless,
}

impl<K> Source<K> {
    pub(super) async fn page(&self, path: &str, form: &str) -> Result<Page, Problem> {
        #[derive(Deserialize)]
        struct Meta {
            #[serde(default)]
            metadata: ListMeta,
        }
        let (body, permit) = self.body(path, form).await?;
        let meta: Meta = serde_json::from_slice(&body).map_err(unreadable)?;
        Ok(Page { body, meta: meta.metadata, _permit: permit })
    }

    /// A whole answer. It may be large, so that only some are read at a time; who does not answer at all is in nobody's
    /// way.
    pub(super) async fn body(&self, path: &str, form: &str) -> Result<(bytes::Bytes, Option<SemaphorePermit<'static>>), Problem> {
        let slow = |_| Problem::Slow(LIST_TIMEOUT);
        let response = timeout(LIST_TIMEOUT, self.open(path, form)).await.map_err(slow)??;
        let permit = READING.acquire().await.ok();
        let (parts, body) = response.into_parts();
        let body = timeout(LIST_TIMEOUT, Limited::new(body, LARGEST).collect()).await.map_err(slow)?;
        let body = body.map_err(too_large)?.to_bytes();
        if parts.status != StatusCode::OK {
            let reply = Reply { status: parts.status, retry_after: None, body };
            let message = reply.message();
            return Err(if reply.is_not_found() { Problem::NotFound(message) } else { Problem::Refused(parts.status, message) });
        }
        Ok((body, permit))
    }

    pub(super) async fn open(&self, path: &str, form: &str) -> Result<http::Response<Body>, Problem> {
        let request = Request::get(path).header(header::ACCEPT, form).body(Body::empty());
        let request = request.map_err(|e| Problem::Transport(e.to_string()))?;
        self.client.send(request).await.map_err(|e| Problem::Transport(chain(&e)))
    }
}

pub(super) fn head(object: &RawValue) -> Result<Head, Problem> {
    serde_json::from_str::<Headed>(object.get()).map(|h| h.metadata).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unreadable(error: serde_json::Error) -> Problem {
    Problem::Unreadable(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn too_large(error: Box<dyn std::error::Error + Send + Sync>) -> Problem {
    if error.is::<http_body_util::LengthLimitError>() { Problem::Large } else { Problem::Transport(chain(error.as_ref())) }
}

/// The server's own words about a failure.
pub(super) fn words(status: StatusCode, body: &[u8]) -> String {
    Reply { status, retry_after: None, body: bytes::Bytes::copy_from_slice(body) }.message()
}
