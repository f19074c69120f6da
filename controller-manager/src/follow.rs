//! Follows one collection of an API server: lists it in pages, watches on from there, and lists it again whenever
//! the watch may have missed something.
//!
//! kube's watcher was left for this because it takes a server's word: it resumes a watch from a version that a
//! restored store has not reached yet and then hears nothing, it gives up a whole collection for one object that
//! cannot be read, and it tells of a list neither the version nor the reason.

use std::time::Duration;

use daemon::backoff::Policy;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};

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

/// A watch that lived for so long worked: nothing is wrong with the server when it ends.
const LIVES: Duration = Duration::from_secs(5);
/// Bounds of one list, far above any real one: pages, objects, and bytes of all answers.
const MOST_PAGES: usize = 20_000;
const MOST_OBJECTS: usize = 250_000;
const MOST_BYTES: u64 = 1 << 30;
/// Pages that are read at a time, over all members: each may be large.
static READING: Semaphore = Semaphore::const_new(16);

/// Between tries of a collection that cannot be followed: it can be neither listed nor watched, its watches end at
/// once, or each of them makes another list necessary.
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

/// Makes what is to be known of an object out of its JSON.
type Read<K> = Box<dyn Fn(&str) -> Result<K, serde_json::Error> + Send + Sync>;

/// What to follow.
pub(crate) struct Source<K> {
    client: kube::Client,
    path: String,
    selector: String,
    forms: Forms,
    compare: Option<Duration>,
    read: Read<K>,
    /// The version up to which everything was told.
    version: Option<u64>,
    page: usize,
    /// Why the next thing to do is a list, if it is.
    list: Option<Why>,
    /// When the next comparison is due.
    due: Option<Instant>,
    /// When the watch began.
    opened: Option<Instant>,
    /// It was told to be failing.
    failing: bool,
    /// The newest object that was told, and whether it is there: what a store that is another one does not have.
    newest: Option<(Head, bool)>,
    /// The last watch did not end in its time, so that the server may have been away.
    broken: bool,
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

impl<K> Listing<K> {
    fn new(why: Why) -> Self {
        Self { objects: Vec::new(), unreadable: Vec::new(), version: None, why, bytes: 0 }
    }
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

impl Head {
    fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}

/// One answer of a list. As long as it is kept, it counts among those that are read.
struct Page {
    body: bytes::Bytes,
    meta: ListMeta,
    _permit: Option<SemaphorePermit<'static>>,
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
    #[error("the collection has more than {MOST_OBJECTS} objects, {MOST_PAGES} pages or {} MiB", MOST_BYTES >> 20)]
    Endless,
}

/// How a watch ended.
enum End {
    /// To be resumed from the version reached.
    Resume,
    /// The same, and it ended before its time.
    Broken,
    /// To be listed.
    List(Why),
}

impl<K: DeserializeOwned + 'static> Source<K> {
    /// The collection at `path`, narrowed by a label selector unless that is empty.
    pub(crate) fn new(client: kube::Client, path: String, selector: &str) -> Self {
        Self::reading(client, path, selector, |text| serde_json::from_str(text))
    }
}

impl<K> Source<K> {
    /// As [`Source::new`], with what is to be known of each object: no more than that is kept of a list.
    pub(crate) fn reading(
        client: kube::Client,
        path: String,
        selector: &str,
        read: impl Fn(&str) -> Result<K, serde_json::Error> + Send + Sync + 'static,
    ) -> Self {
        let selector = if selector.is_empty() { String::new() } else { format!("&labelSelector={}", query_value(selector)) };
        Self {
            client,
            path,
            selector,
            forms: WHOLE,
            compare: None,
            read: Box::new(read),
            version: None,
            page: PAGE,
            list: Some(Why::First),
            due: None,
            opened: None,
            failing: false,
            newest: None,
            broken: false,
        }
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
        // Tries in a row that led to nothing: what was known had to be listed again, or no watch lived.
        let mut vain = 0;
        loop {
            if self.is_due() {
                self.list.get_or_insert(Why::Comparison);
            }
            let result = self.step(&mut tell).await;
            let lived = self.opened.take().is_some_and(|at| at.elapsed() >= LIVES);
            let in_vain = match result {
                Ok(End::List(Why::Comparison)) => false,
                Ok(End::List(why)) => {
                    self.list = Some(why);
                    true
                }
                Ok(End::Resume) => !lived,
                Ok(End::Broken) => {
                    self.broken = true;
                    !lived
                }
                // Whatever is between us and the server cut what was idle.
                Err(Problem::Transport(_)) if lived => {
                    self.broken = true;
                    false
                }
                Err(problem) => {
                    // Who refuses was not away.
                    self.broken |= !matches!(problem, Problem::Refused(..));
                    self.failing = true;
                    tell(Change::Failing(problem.to_string()));
                    true
                }
            };
            if in_vain {
                sleep(RETRY.spread(vain)).await;
                vain += 1;
            } else if lived {
                vain = 0;
            }
        }
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Lists, where that is due, and watches on.
    async fn step(&mut self, tell: &mut impl FnMut(Change<K>)) -> Result<End, Problem> {
        let version = match self.list {
            Some(why) => {
                let (mut listing, version) = self.list(why).await?;
                if self.version.zip(listing.version).is_some_and(|(known, now)| now < known) {
                    // Whatever it was asked for: what was known is of a store that is no more.
                    listing.why = Why::WentBack;
                }
                self.version = listing.version;
                self.due = self.compare.map(|period| Instant::now() + spread(period));
                (self.list, self.failing, self.broken) = (None, false, false);
                tell(Change::Listed(listing));
                version
            }
            None => {
                // A store that was put back would answer the next watch with silence.
                let now = self.now().await?.parse::<u64>().ok();
                let (Some(now), Some(known)) = (now, self.version) else { return Ok(End::List(Why::Expired)) };
                if now < known {
                    tracing::warn!(
                        path = self.path,
                        known,
                        now,
                        "versions went back: the store is an older one; everything is looked at anew"
                    );
                    return Ok(End::List(Why::WentBack));
                }
                if self.broken && !self.is_as_known().await? {
                    tracing::info!(path = self.path, "the newest object changed while it was not watched; everything is listed");
                    return Ok(End::List(Why::Expired));
                }
                self.broken = false;
                known.to_string()
            }
        };
        self.watch(&version, tell).await
    }

    /// Everything, if need be page by page.
    async fn list(&mut self, why: Why) -> Result<(Listing<K>, String), Problem> {
        if let (Why::Comparison, Some(known)) = (why, self.version)
            && let Some(list) = self.cached(known).await?
        {
            return Ok(list);
        }
        // A token that became too old on the way is no failure of the collection.
        for _ in 0..LIST_TRIES {
            if let Some(list) = self.pages(why).await? {
                return Ok(list);
            }
        }
        Err(Problem::Unreadable("its pages become too old before the last is read".into()))
    }

    /// The whole as it was at a version or later, which kube-apiserver takes from its watch cache: with a limit it would
    /// read everything up to as many objects with our label from etcd. Nothing where that is not to be had in one piece.
    async fn cached(&mut self, known: u64) -> Result<Option<(Listing<K>, String)>, Problem> {
        let path = format!("{}?resourceVersion={known}&resourceVersionMatch=NotOlderThan{}", self.path, self.selector);
        let page = match self.page(&path, self.forms.list).await {
            Ok(page) => page,
            Err(problem @ (Problem::Transport(_) | Problem::Refused(StatusCode::TOO_MANY_REQUESTS, _))) => return Err(problem),
            Err(_) => return Ok(None),
        };
        let is_whole = page.meta.token.as_deref().is_none_or(str::is_empty);
        if !is_whole || page.meta.resource_version.parse::<u64>().is_ok_and(|now| now < known) {
            return Ok(None);
        }
        let mut listing = Listing::new(Why::Comparison);
        self.take(&page, &mut listing)?;
        listing.version = page.meta.resource_version.parse().ok();
        Ok(Some((listing, page.meta.resource_version)))
    }

    /// All pages, or nothing where they became too old on the way.
    async fn pages(&mut self, why: Why) -> Result<Option<(Listing<K>, String)>, Problem> {
        let mut listing = Listing::new(why);
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let path = format!("{}?limit={}{}&continue={}", self.path, self.page, self.selector, query_value(&token));
            let page = match self.page(&path, self.forms.list).await {
                Ok(page) => page,
                Err(Problem::Refused(StatusCode::GONE, _)) if !token.is_empty() => return Ok(None),
                Err(Problem::Large | Problem::Slow(_)) if self.page > 1 => {
                    self.page = (self.page / 4).max(1);
                    continue;
                }
                Err(problem) => return Err(problem),
            };
            self.take(&page, &mut listing)?;
            match page.meta.token.filter(|t| !t.is_empty()) {
                Some(next) => token = next,
                None => {
                    self.page = PAGE.min(self.page * 2);
                    listing.version = page.meta.resource_version.parse().ok();
                    return Ok(Some((listing, page.meta.resource_version)));
                }
            }
        }
        Err(Problem::Endless)
    }

    /// Takes what is needed of the objects of a page.
    fn take(&mut self, page: &Page, listing: &mut Listing<K>) -> Result<(), Problem> {
        listing.bytes += page.body.len() as u64;
        let list: RawList<'_> = serde_json::from_slice(&page.body).map_err(unreadable)?;
        if listing.bytes > MOST_BYTES || listing.objects.len() + listing.unreadable.len() + list.items.len() > MOST_OBJECTS {
            return Err(Problem::Endless);
        }
        for item in list.items {
            let head = head(item)?;
            match (self.read)(item.get()) {
                Ok(object) => listing.objects.push(object),
                Err(error) => {
                    tracing::warn!(path = self.path, name = head.name, namespace = head.namespace, %error, "an object cannot be read and stays as it is known");
                    listing.unreadable.push(head.clone());
                }
            }
            self.note(head, true);
        }
        Ok(())
    }

    /// Remembers the newest object.
    fn note(&mut self, head: Head, there: bool) {
        if self.newest.as_ref().is_none_or(|(known, _)| known.version() <= head.version()) {
            self.newest = Some((head, there));
        }
    }

    /// The version of the store, asked for without our label: with it and a limit, kube-apiserver reads the whole kind.
    async fn now(&self) -> Result<String, Problem> {
        Ok(self.page(&format!("{}?limit=1", self.path), METADATA.list).await?.meta.resource_version)
    }

    /// Whether the newest object that was told is still as it was: in another store, whatever its version, it is not.
    async fn is_as_known(&self) -> Result<bool, Problem> {
        let Some((known, there)) = &self.newest else { return Ok(true) };
        let (collection, resource) = self.path.rsplit_once('/').unwrap_or_default();
        let namespace = if known.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", known.namespace) };
        let path = format!("{collection}{namespace}/{resource}/{}", known.name);
        match self.body(&path, METADATA.watch).await {
            Ok((body, _)) => {
                let now = serde_json::from_slice::<Headed>(&body).map_err(unreadable)?.metadata;
                Ok(if *there { now.uid == known.uid && now.resource_version == known.resource_version } else { now.uid != known.uid })
            }
            Err(Problem::Refused(StatusCode::NOT_FOUND, _)) => Ok(!there),
            Err(Problem::Refused(..)) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    async fn page(&self, path: &str, form: &str) -> Result<Page, Problem> {
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
    async fn body(&self, path: &str, form: &str) -> Result<(bytes::Bytes, Option<SemaphorePermit<'static>>), Problem> {
        let slow = |_| Problem::Slow(LIST_TIMEOUT);
        let response = timeout(LIST_TIMEOUT, self.open(path, form)).await.map_err(slow)??;
        let permit = READING.acquire().await.ok();
        let (parts, body) = response.into_parts();
        let body = timeout(LIST_TIMEOUT, Limited::new(body, LARGEST).collect()).await.map_err(slow)?;
        let body = body.map_err(too_large)?.to_bytes();
        if parts.status != StatusCode::OK {
            return Err(Problem::Refused(parts.status, words(parts.status, &body)));
        }
        Ok((body, permit))
    }

    async fn open(&self, path: &str, form: &str) -> Result<http::Response<Body>, Problem> {
        let request = Request::get(path).header(header::ACCEPT, form).body(Body::empty());
        let request = request.map_err(|e| Problem::Transport(e.to_string()))?;
        self.client.send(request).await.map_err(|e| Problem::Transport(chain(&e)))
    }

    /// Watches from a version until the server ends it, something is wrong with it, or a comparison is due.
    async fn watch(&mut self, version: &str, tell: &mut impl FnMut(Change<K>)) -> Result<End, Problem> {
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
        let opened = Instant::now();
        self.opened = Some(opened);
        let end = opened + Duration::from_secs(seconds) + WATCH_GRACE;
        let stop = self.due.map_or(end, |due| due.min(end));
        let mut lines = Lines::new(body);
        loop {
            let line = tokio::select! {
                biased;
                line = lines.next() => line.map_err(Problem::Transport)?,
                () = tokio::time::sleep_until(stop) => {
                    return Ok(if self.is_due() { End::List(Why::Comparison) } else { End::Resume });
                }
                () = tokio::time::sleep_until(opened + LIVES), if self.failing => {
                    self.works(tell);
                    continue;
                }
            };
            let Some(line) = line else {
                // A server that ends a watch in its time ends it to the second.
                let in_time = opened.elapsed() + Duration::from_secs(2) >= Duration::from_secs(seconds);
                return Ok(if in_time { End::Resume } else { End::Broken });
            };
            if let Some(end) = self.event(&line, tell)? {
                return Ok(end);
            }
        }
    }

    /// A watch tells something, or lives.
    fn works(&mut self, tell: &mut impl FnMut(Change<K>)) {
        if std::mem::take(&mut self.failing) {
            tell(Change::Watching);
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
        self.works(tell);
        let head = head(event.object)?;
        let at = head.version();
        match event.type_.as_str() {
            "ADDED" | "MODIFIED" => {
                if let (Some(at), Some(known)) = (at, self.version)
                    && at < known
                {
                    tracing::warn!(path = self.path, known, now = at, "versions went back within a watch; everything is looked at anew");
                    return Ok(Some(End::List(Why::WentBack)));
                }
                self.note(head.clone(), true);
                match (self.read)(event.object.get()) {
                    Ok(object) => tell(Change::Changed(object)),
                    Err(error) => tell(Change::Unreadable(head, error.to_string())),
                }
            }
            "DELETED" => {
                self.note(head.clone(), false);
                tell(Change::Gone(head, (self.read)(event.object.get()).ok()));
            }
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
