//! What the past costs: no more is read from the backend than is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use federation_apiserver::storage::head::Head;
use federation_apiserver::storage::store::{ListOptions, ReadAt, Store, Tuning, WatchFrom, WatchOptions};
use federation_apiserver::storage::{Backend, Event, Expect, Page, StorageError, Unchanged, Versioned};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::battery;
use crate::subject::{Subject, map, quick, soon};

battery!(an_old_page_reads_a_page, an_old_watch_reads_its_changes);

/// A backend that counts the objects it gives out.
struct Counting {
    inner: Arc<dyn Backend>,
    listed: AtomicUsize,
    told: Arc<AtomicUsize>,
}

impl Counting {
    fn new(inner: &Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), listed: AtomicUsize::default(), told: Arc::default() })
    }
}

#[async_trait]
impl Backend for Counting {
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        let page = self.inner.list(prefix, after, limit, revision).await?;
        self.listed.fetch_add(page.items.len(), Ordering::Relaxed);
        Ok(page)
    }
    async fn put_while(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Unchanged<'_>>,
    ) -> Result<u64, StorageError> {
        self.inner.put_while(key, value, expect, ttl, other).await
    }
    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError> {
        self.inner.delete(key, revision).await
    }
    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
        let told = self.told.clone();
        let count = move |event: &Result<Event, StorageError>| {
            if matches!(event, Ok(Event::Put { .. } | Event::Delete { .. })) {
                told.fetch_add(1, Ordering::Relaxed);
            }
        };
        Ok(self.inner.watch(prefix, revision).await?.inspect(count).boxed())
    }
    async fn revision(&self) -> Result<u64, StorageError> {
        self.inner.revision().await
    }
    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        self.inner.compact(revision).await
    }
}

async fn an_old_page_reads_a_page(subject: &Subject) {
    let backend = Counting::new(&subject.backend);
    let store = Store::open_with(backend.clone(), Tuning { ring: 4, ..quick() });
    let maps = store.resource("/registry/configmaps", &["data.n"], None);
    for n in 0..60 {
        let ns = if n < 50 { "ns" } else { "other" };
        maps.create(Some(ns), &format!("m{n:02}"), &map("m", if n % 10 == 0 { "ten" } else { "x" }, n)).await.unwrap();
    }
    let page = |limit, continue_token| ListOptions { at: ReadAt::Latest, limit, continue_token };
    let ten = |head: &Head| head.label("app") == Some("ten");
    let first = maps.list(Some("ns"), &page(5, None), None).await.unwrap();
    let first_ten = maps.list(None, &page(2, None), Some(&ten)).await.unwrap();
    for n in 0..10 {
        maps.create(Some("ns"), &format!("n{n}"), &map("n", "x", n)).await.unwrap();
    }
    let last = maps.get(Some("ns"), "m49", ReadAt::Latest).await.unwrap().unwrap();
    maps.delete(Some("ns"), "m49", last.revision).await.unwrap();

    backend.listed.store(0, Ordering::Relaxed);
    let (mut seen, mut token, mut pages) = (Vec::new(), first.continue_token.clone(), 0);
    while token.is_some() {
        let next = maps.list(Some("ns"), &page(5, token), None).await.unwrap();
        assert_eq!(next.revision, first.revision);
        seen.extend(next.items.iter().map(|o| o.head.name().to_owned()));
        token = next.continue_token;
        pages += 1;
    }
    let want: Vec<_> = (5..50).map(|n| format!("m{n:02}")).collect();
    assert_eq!((seen, pages), (want, 9), "all that were there, and a page each time");
    assert_eq!(backend.listed.load(Ordering::Relaxed), 45, "nothing was read twice");

    let rest = maps.list(None, &page(10, first_ten.continue_token), Some(&ten)).await.unwrap();
    let names: Vec<_> = rest.items.iter().map(|o| o.head.name()).collect();
    assert_eq!((names, rest.continue_token), (vec!["m20", "m30", "m40", "m50"], None));

    backend.listed.store(0, Ordering::Relaxed);
    let was = maps.get(Some("ns"), "m49", ReadAt::Exact(first.revision)).await.unwrap().unwrap();
    assert_eq!((was.revision, backend.listed.load(Ordering::Relaxed)), (last.revision, 1));
    assert!(maps.get(Some("ns"), "m4", ReadAt::Exact(first.revision)).await.unwrap().is_none());
}

async fn an_old_watch_reads_its_changes(subject: &Subject) {
    let b = &subject.backend;
    let value = |n: u64| Bytes::from(map("m", "x", n).to_string());
    let start = b.put("/registry/configmaps/ns/a", value(0), Expect::Absent, None).await.unwrap();
    for n in 0..300 {
        b.put(&format!("/registry/secrets/ns/s{n}"), value(n), Expect::Absent, None).await.unwrap();
    }
    let mut at = start;
    for n in 1..4 {
        at = b.put("/registry/configmaps/ns/a", value(n), Expect::Revision(at), None).await.unwrap();
    }
    b.put("/registry/configmaps/other/b", value(9), Expect::Absent, None).await.unwrap();
    for n in 300..600 {
        b.put(&format!("/registry/secrets/ns/s{n}"), value(n), Expect::Absent, None).await.unwrap();
    }
    // As after a restart: the cache knows nothing of what was.
    let backend = Counting::new(b);
    let store = Store::open_with(backend.clone(), quick());
    let maps = store.resource("/registry/configmaps", &["data.n"], None);
    let options = WatchOptions { from: WatchFrom::After(start), bookmarks: false, send_initial_events: None };
    let mut watch = maps.watch(Some("ns"), options, None).await.unwrap();
    for n in 1..4 {
        let event = soon(watch.next()).await.unwrap();
        assert_eq!(event.object().unwrap().head.field(0), n.to_string());
    }
    // It reaches the present although nothing of its own happens.
    let new = maps.create(Some("ns"), "new", &map("new", "x", 5)).await.unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().revision(), new.revision);
    let told = backend.told.load(Ordering::Relaxed);
    assert!(told <= 3 + 2, "{told} changes were read for 4");
}
