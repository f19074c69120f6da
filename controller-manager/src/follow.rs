//! Follows one collection of an API server: lists it in pages, watches on from there, and lists it again whenever
//! the watch may have missed something.
//!
//! kube's watcher was left for this because it takes a server's word: it resumes a watch from a version that a
//! restored store has not reached yet and then hears nothing, it gives up a whole collection for one object that
//! cannot be read, and it tells of a list neither the version nor the reason.

use std::{marker::PhantomData, time::Duration};

use daemon::backoff::Policy;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use crate::members::request::{LARGEST, chain, query_value};

mod lines;
#[cfg(test)]
mod tests;

use lines::Lines;

/// Objects per page; halved as long as a page is too large or too slow.
const PAGE: usize = 500;
/// Longest wait for one page.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a list may begin anew because its pages became too old on the way.
const LIST_TRIES: usize = 3;
/// Seconds after which a server is asked to end a watch, plus up to as many again.
const WATCH_SECONDS: u64 = 150;
/// Longest wait for the begin of a watch, and for its end after the server should have ended it.
const WATCH_GRACE: Duration = Duration::from_secs(30);

/// Between tries of a collection that can be neither listed nor watched.
const RETRY: Policy = Policy::doubling(Duration::from_millis(500), Duration::from_secs(30));

/// Forms of an answer: of a list, and of a watch, whose events are single objects. A server that is asked for the
/// wrong one of the two forms of metadata refuses.
struct Forms {
    list: &'static str,
    watch: &'static str,
}

const WHOLE: Forms = Forms { list: "application/json", watch: "application/json" };
const METADATA: Forms = Forms {
    list: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    watch: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
};

/// What to follow.
pub(crate) struct Source<K> {
    client: kube::Client,
    path: String,
    selector: String,
    forms: Forms,
    compare: Option<Duration>,
    /// The version up to which everything was told.
    version: Option<u64>,
    page: usize,
    objects: PhantomData<fn() -> K>,
}

/// What happened in the collection.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// All there is.
    Listed(Listing<K>),
    /// Made or changed.
    Changed(K),
    /// Gone, as it was last; or, of an object that cannot be read, nothing but its head.
    Gone(Head, Option<K>),
    /// It is there and cannot be read; with the reason.
    Unreadable(Head, String),
    /// The watch works again after failures.
    Watching,
    /// It can neither be listed nor watched; it is tried again.
    Failing(String),
}

/// Everything in a collection at one moment.
#[derive(Debug)]
pub(crate) struct Listing<K> {
    pub(crate) objects: Vec<K>,
    /// Objects that are there and cannot be read.
    pub(crate) unreadable: Vec<Head>,
    /// Version of the whole; absent where the server's versions are not numbers.
    pub(crate) version: Option<u64>,
    pub(crate) why: Why,
    /// How large the answers were.
    pub(crate) bytes: u64,
}

/// Why a collection was listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// It was not known yet.
    First,
    /// Its history is too short to go on.
    Expired,
    /// Versions are lower than before: the store is an older copy of itself, and what was known is worth nothing.
    WentBack,
    /// Only to see whether what is known is true.
    Comparison,
}

/// What can be read of any object, however it is made.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Headed {
    metadata: Head,
}

#[derive(Deserialize)]
struct RawList<'a> {
    #[serde(borrow, deserialize_with = "or_null")]
    items: Vec<&'a RawValue>,
}

/// kube-apiserver writes a list of metadata without objects as `null`. What has no list at all is no empty one.
fn or_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    token: Option<String>,
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type")]
    type_: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{1}")]
    Refused(StatusCode, String),
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    #[error("one page has more than {} MiB", LARGEST >> 20)]
    Large,
    #[error("{0}")]
    Transport(String),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

/// How a watch ended.
enum End {
    /// To be resumed from the version reached.
    Resume,
    /// To be listed.
    List(Why),
}

impl<K: DeserializeOwned> Source<K> {
    /// The collection at `path`, narrowed by a label selector unless that is empty.
    pub(crate) fn new(client: kube::Client, path: String, selector: &str) -> Self {
        let selector = if selector.is_empty() { String::new() } else { format!("&labelSelector={}", query_value(selector)) };
        Self { client, path, selector, forms: WHOLE, compare: None, version: None, page: PAGE, objects: PhantomData }
    }

    /// Metadata alone is asked for.
    pub(crate) fn metadata_only(mut self) -> Self {
        self.forms = METADATA;
        self
    }

    /// Lists again once in a while, spread over `period`, whatever the watch says.
    pub(crate) fn compared_every(mut self, period: Duration) -> Self {
        self.compare = Some(period);
        self
    }

    /// Tells all that happens, until it is dropped.
    pub(crate) async fn follow(mut self, mut tell: impl FnMut(Change<K>)) {
        let mut failures = 0;
        let mut list = Some(Why::First);
        let mut due = self.compare.map(|period| Instant::now() + spread(period));
        loop {
            let step = self.step(list, due, &mut failures, &mut tell).await;
            match step {
                Ok(End::List(why)) => list = Some(why),
                Ok(End::Resume) => list = None,
                Err(problem) => {
                    tell(Change::Failing(problem.to_string()));
                    sleep(RETRY.spread(failures)).await;
                    failures += 1;
                    continue;
                }
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                due = self.compare.map(|period| Instant::now() + spread(period));
            }
        }
    }

    /// Lists, where that is due, and watches on.
    async fn step(
        &mut self,
        list: Option<Why>,
        due: Option<Instant>,
        failures: &mut u32,
        tell: &mut impl FnMut(Change<K>),
    ) -> Result<End, Problem> {
        let version = match list {
            Some(why) => {
                let (mut listing, version) = self.list(why).await?;
                if self.version.zip(listing.version).is_some_and(|(known, now)| now < known) {
                    // Whatever it was asked for: what was known is of a store that is no more.
                    listing.why = Why::WentBack;
                }
                self.version = listing.version;
                *failures = 0;
                tell(Change::Listed(listing));
                version
            }
            None => {
                // A store that was put back would answer the next watch with silence.
                let now = self.page(1, "").await?.1;
                if let (Some(now), Some(known)) = (now.resource_version.parse::<u64>().ok(), self.version)
                    && now < known
                {
                    tracing::warn!(
                        path = self.path,
                        known,
                        now,
                        "versions went back: the store is an older one; everything is looked at anew"
                    );
                    return Ok(End::List(Why::WentBack));
                }
                self.version.map_or(now.resource_version, |v| v.to_string())
            }
        };
        self.watch(&version, due, failures, tell).await
    }

    /// All pages. A token that became too old on the way is no failure of the collection.
    async fn list(&mut self, why: Why) -> Result<(Listing<K>, String), Problem> {
        for _ in 0..LIST_TRIES {
            let mut listing = Listing { objects: Vec::new(), unreadable: Vec::new(), version: None, why, bytes: 0 };
            let mut token = String::new();
            loop {
                let (body, meta) = match self.page(self.page, &token).await {
                    Ok(page) => page,
                    Err(Problem::Refused(StatusCode::GONE, _)) if !token.is_empty() => break,
                    Err(Problem::Large | Problem::Slow(_)) if self.page > 1 => {
                        self.page = (self.page / 4).max(1);
                        continue;
                    }
                    Err(problem) => return Err(problem),
                };
                listing.bytes += body.len() as u64;
                let list: RawList<'_> = serde_json::from_slice(&body).map_err(unreadable)?;
                for item in list.items {
                    match serde_json::from_str(item.get()) {
                        Ok(object) => listing.objects.push(object),
                        Err(error) => {
                            let head = head(item)?;
                            tracing::warn!(path = self.path, name = head.name, namespace = head.namespace, %error, "an object cannot be read and stays as it is known");
                            listing.unreadable.push(head);
                        }
                    }
                }
                match meta.token.filter(|t| !t.is_empty()) {
                    Some(next) => token = next,
                    None => {
                        self.page = PAGE.min(self.page * 2);
                        listing.version = meta.resource_version.parse().ok();
                        return Ok((listing, meta.resource_version));
                    }
                }
            }
        }
        Err(Problem::Unreadable("its pages become too old before the last is read".into()))
    }

    async fn page(&self, limit: usize, token: &str) -> Result<(bytes::Bytes, ListMeta), Problem> {
        #[derive(Deserialize)]
        struct Meta {
            #[serde(default)]
            metadata: ListMeta,
        }
        let path = format!("{}?limit={limit}{}&continue={}", self.path, self.selector, query_value(token));
        let exchange = async {
            let response = self.open(&path, self.forms.list).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(too_large)?.to_bytes();
            if parts.status != StatusCode::OK {
                return Err(Problem::Refused(parts.status, words(parts.status, &body)));
            }
            let meta: Meta = serde_json::from_slice(&body).map_err(unreadable)?;
            Ok((body, meta.metadata))
        };
        timeout(LIST_TIMEOUT, exchange).await.unwrap_or(Err(Problem::Slow(LIST_TIMEOUT)))
    }

    async fn open(&self, path: &str, form: &str) -> Result<http::Response<Body>, Problem> {
        let request = Request::get(path).header(header::ACCEPT, form).body(Body::empty());
        let request = request.map_err(|e| Problem::Transport(e.to_string()))?;
        self.client.send(request).await.map_err(|e| Problem::Transport(chain(&e)))
    }

    /// Watches from a version until the server ends it, something is wrong with it, or a comparison is due.
    async fn watch(
        &mut self,
        version: &str,
        due: Option<Instant>,
        failures: &mut u32,
        tell: &mut impl FnMut(Change<K>),
    ) -> Result<End, Problem> {
        let seconds = WATCH_SECONDS + spread(Duration::from_secs(WATCH_SECONDS)).as_secs();
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}{}",
            self.path, self.selector
        );
        let response = timeout(WATCH_GRACE, self.open(&path, self.forms.watch)).await.unwrap_or(Err(Problem::Slow(WATCH_GRACE)))?;
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::GONE {
            return Ok(End::List(Why::Expired));
        }
        if parts.status != StatusCode::OK {
            let body = timeout(WATCH_GRACE, Limited::new(body, 1 << 20).collect()).await;
            let body = body.map(|b| b.map(|b| b.to_bytes()).unwrap_or_default()).unwrap_or_default();
            return Err(Problem::Refused(parts.status, words(parts.status, &body)));
        }
        if std::mem::take(failures) > 0 {
            tell(Change::Watching);
        }
        let end = Instant::now() + Duration::from_secs(seconds) + WATCH_GRACE;
        let stop = due.map_or(end, |due| due.min(end));
        let mut lines = Lines::new(body);
        loop {
            let line = tokio::select! {
                biased;
                line = lines.next() => line.map_err(Problem::Transport)?,
                () = tokio::time::sleep_until(stop) => {
                    return Ok(if due.is_some_and(|due| due <= Instant::now()) { End::List(Why::Comparison) } else { End::Resume });
                }
            };
            let Some(line) = line else { return Ok(End::Resume) };
            if let Some(end) = self.event(&line, tell)? {
                return Ok(end);
            }
        }
    }

    /// Takes one event. Says whether the watch is over with it.
    fn event(&mut self, line: &[u8], tell: &mut impl FnMut(Change<K>)) -> Result<Option<End>, Problem> {
        let event: RawEvent<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        if event.type_ == "ERROR" {
            let status: serde_json::Value = serde_json::from_str(event.object.get()).map_err(unreadable)?;
            let code = status["code"].as_u64().and_then(|c| u16::try_from(c).ok()).and_then(|c| StatusCode::from_u16(c).ok());
            return match code {
                Some(StatusCode::GONE) => Ok(Some(End::List(Why::Expired))),
                code => {
                    let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    Err(Problem::Refused(code, words(code, event.object.get().as_bytes())))
                }
            };
        }
        let head = head(event.object)?;
        let at: Option<u64> = head.resource_version.parse().ok();
        match event.type_.as_str() {
            "ADDED" | "MODIFIED" => {
                if let (Some(at), Some(known)) = (at, self.version)
                    && at < known
                {
                    tracing::warn!(path = self.path, known, now = at, "versions went back within a watch; everything is looked at anew");
                    return Ok(Some(End::List(Why::WentBack)));
                }
                match serde_json::from_str(event.object.get()) {
                    Ok(object) => tell(Change::Changed(object)),
                    Err(error) => tell(Change::Unreadable(head, error.to_string())),
                }
            }
            "DELETED" => tell(Change::Gone(head, serde_json::from_str(event.object.get()).ok())),
            // Bookmarks only say how far it is.
            _ => {}
        }
        self.version = self.version.max(at);
        Ok(None)
    }
}

fn head(object: &RawValue) -> Result<Head, Problem> {
    serde_json::from_str::<Headed>(object.get()).map(|h| h.metadata).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: serde_json::Error) -> Problem {
    Problem::Unreadable(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn too_large(error: Box<dyn std::error::Error + Send + Sync>) -> Problem {
    if error.is::<http_body_util::LengthLimitError>() { Problem::Large } else { Problem::Transport(chain(error.as_ref())) }
}

/// The server's own words about a failure.
fn words(status: StatusCode, body: &[u8]) -> String {
    crate::members::request::Reply { status, retry_after: None, body: bytes::Bytes::copy_from_slice(body) }.message()
}

/// Between half of a time and all of it, so that what begins together does not go on together.
fn spread(time: Duration) -> Duration {
    Policy { jitter: 0.5, ..Policy::steady(time) }.spread(0)
}
