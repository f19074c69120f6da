//! A backend that is away, comes back, and has forgotten what happened meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use federation_apiserver::storage::store::{EventKind, ListOptions, ReadAt, Store, WatchFrom, WatchOptions};
use federation_apiserver::storage::{Backend, Event, Expect, Page, StorageError, Unchanged, Versioned};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use crate::battery;
use crate::subject::{Subject, map, quick, soon};

battery!(a_lost_watch_misses_nothing);

/// A backend whose line can be cut.
struct Line {
    inner: Arc<dyn Backend>,
    cut: watch::Sender<bool>,
}

impl Line {
    fn open(&self) -> Result<&dyn Backend, StorageError> {
        if *self.cut.borrow() { Err(StorageError::Unavailable("the line is cut".into())) } else { Ok(&*self.inner) }
    }
}

#[async_trait]
impl Backend for Line {
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        self.open()?.get(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        self.open()?.list(prefix, after, limit, revision).await
    }
    async fn put_while(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Unchanged<'_>>,
    ) -> Result<u64, StorageError> {
        self.open()?.put_while(key, value, expect, ttl, other).await
    }
    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError> {
        self.open()?.delete(key, revision).await
    }
    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
        let mut cut = self.cut.subscribe();
        let until = async move { drop(cut.wait_for(|cut| *cut).await) };
        let broken = stream::once(async { Err(StorageError::Unavailable("the line is cut".into())) });
        Ok(self.open()?.watch(prefix, revision).await?.take_until(Box::pin(until)).chain(broken).boxed())
    }
    async fn revision(&self) -> Result<u64, StorageError> {
        self.open()?.revision().await
    }
    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        self.open()?.compact(revision).await
    }
}

pub(crate) async fn until_ready(store: &Store) {
    soon(async {
        while store.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn a_lost_watch_misses_nothing(subject: &Subject) {
    let inner = subject.backend.clone();
    let line = Arc::new(Line { inner: inner.clone(), cut: watch::Sender::new(true) });
    let store = Store::open_with(line.clone(), quick());
    let maps = store.resource("/registry/configmaps", &["data.n"], None);
    let all = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
    // Away from the start: said so, and tried again.
    for at in [ReadAt::Any, ReadAt::Latest] {
        assert!(matches!(soon(maps.get(Some("ns"), "a", at)).await, Err(StorageError::Unavailable(_))));
    }
    assert!(store.ready().is_err());
    line.cut.send_replace(false);
    until_ready(&store).await;
    let mut revisions = Vec::new();
    for name in ["kept", "gone1", "gone2", "changed"] {
        revisions.push(maps.create(Some("ns"), name, &map(name, "x", 1)).await.unwrap().revision);
    }
    // Other resources move on too: the watch begins where nothing of its own happened.
    let start = store.resource("/registry/others", &[], None).create(Some("ns"), "o", &map("o", "x", 1)).await.unwrap().revision;
    assert!(start > revisions[3]);
    // The caches have seen that.
    soon(maps.list(None, &all, None)).await.unwrap();
    let options = WatchOptions { from: WatchFrom::After(start), bookmarks: false, send_initial_events: None };
    let mut stream = maps.watch(None, options, None).await.unwrap();
    let write = async |name: &str, n, expect| {
        let value = Bytes::from(map(name, "x", n).to_string());
        inner.put(&format!("/registry/configmaps/ns/{name}"), value, expect, None).await.unwrap()
    };
    for forget in [false, true] {
        line.cut.send_replace(true);
        soon(async {
            while store.ready().is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(maps.list(None, &ListOptions { at: ReadAt::Any, ..all.clone() }, None).await.unwrap().items.len(), 4);
        assert!(matches!(maps.list(None, &all, None).await, Err(StorageError::Unavailable(_))));
        let changed = write("changed", 2, Expect::Revision(revisions[3])).await;
        for (name, at) in [("gone1", revisions[1]), ("gone2", revisions[2])] {
            inner.delete(&format!("/registry/configmaps/ns/{name}"), at).await.unwrap();
        }
        let newest = write("new", 1, Expect::Absent).await;
        if forget {
            inner.compact(newest).await.unwrap();
        }
        line.cut.send_replace(false);
        until_ready(&store).await;
        let (mut seen, mut last) = (Vec::new(), changed - 1);
        for _ in 0..4 {
            let event = soon(stream.next()).await.unwrap();
            assert!(event.revision() > last, "each event has a revision of its own to go on from");
            last = event.revision();
            seen.push((event.kind(), event.object().unwrap().head.name().to_owned()));
        }
        assert_eq!(last, newest);
        seen.sort_by_key(|(_, name)| name.clone());
        use EventKind::{Added, Deleted, Modified};
        let want = [(Modified, "changed"), (Deleted, "gone1"), (Deleted, "gone2"), (Added, "new")];
        assert_eq!(seen, want.map(|(kind, name)| (kind, name.to_owned())));
        let list = maps.list(None, &all, None).await.unwrap();
        assert_eq!(list.items.iter().map(|o| o.head.name()).collect::<Vec<_>>(), ["changed", "kept", "new"]);
        // As it was, for the second round.
        let new = list.items[2].revision;
        maps.delete(Some("ns"), "new", new).await.unwrap();
        revisions[1] = maps.create(Some("ns"), "gone1", &map("gone1", "x", 1)).await.unwrap().revision;
        revisions[2] = maps.create(Some("ns"), "gone2", &map("gone2", "x", 1)).await.unwrap().revision;
        revisions[3] = changed;
        for _ in 0..3 {
            soon(stream.next()).await.unwrap();
        }
    }
}
