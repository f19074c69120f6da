//! What the store promises to request handlers, over every backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use federation_apiserver::storage::head::Head;
use federation_apiserver::storage::store::{
    EventKind, Filter, ListOptions, ReadAt, ResourceStore, Store, WatchEvent, WatchFrom, WatchOptions,
};
use federation_apiserver::storage::{Expect, StorageError};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::battery;
use crate::subject::{Subject, map, quick, soon};

battery!(
    objects_are_written_and_read,
    lists_are_paged_consistently,
    an_old_page_token_expires,
    watches_follow_selectors,
    watches_begin_as_asked,
    reads_are_consistent,
    the_future_is_waited_for,
    old_watches_and_slow_watchers_end,
    broken_objects_never_look_deleted,
);

const MAPS: &str = "/registry/configmaps";

fn maps(store: &Store) -> Arc<ResourceStore> {
    store.resource(MAPS, &["data.n"], None)
}

fn page(at: ReadAt, limit: usize, token: Option<String>) -> ListOptions {
    ListOptions { at, limit, continue_token: token }
}

fn from(from: WatchFrom) -> WatchOptions {
    WatchOptions { from, bookmarks: false, send_initial_events: None }
}

async fn names(maps: &ResourceStore, ns: Option<&str>, at: ReadAt) -> String {
    let list = maps.list(ns, &page(at, 0, None), None).await.unwrap();
    list.items.iter().map(|o| o.head.key()).collect::<Vec<_>>().join(" ")
}

/// The event in short: type, key, revision of the object; and what is sent agrees with it.
fn short(event: &WatchEvent) -> (EventKind, String, u64) {
    let line: Value = serde_json::from_slice(&event.line("v1", "ConfigMap")).unwrap();
    assert_eq!(line["type"], event.kind().as_str());
    assert_eq!(line["object"]["kind"], "ConfigMap");
    assert_eq!(line["object"]["metadata"]["resourceVersion"], event.revision().to_string());
    (event.kind(), event.object().map_or(String::new(), |o| o.head.key().to_owned()), event.revision())
}

async fn next(stream: &mut BoxStream<'static, WatchEvent>) -> (EventKind, String, u64) {
    short(&soon(stream.next()).await.expect("the watch ended"))
}

async fn objects_are_written_and_read(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    let created = maps.create(Some("ns"), "a", &map("a", "web", 1)).await.unwrap();
    assert_eq!(store.ready(), Ok(()));
    assert!(matches!(maps.create(Some("ns"), "a", &map("a", "web", 1)).await, Err(StorageError::Conflict { .. })));
    // Whoever was answered sees his write, whatever he asks for.
    for at in [ReadAt::Any, ReadAt::Latest, ReadAt::NotOlderThan(created.revision), ReadAt::Exact(created.revision)] {
        let read = maps.get(Some("ns"), "a", at).await.unwrap().unwrap();
        assert_eq!((&read.bytes, read.revision), (&created.bytes, created.revision));
    }
    let mut want = map("a", "web", 1);
    want["metadata"]["resourceVersion"] = created.revision.to_string().into();
    assert_eq!(created.value().unwrap(), want);
    assert_eq!((created.head.label("app"), created.head.field(0), created.head.uid()), (Some("web"), "1", "uid-a"));
    // What was read can be written back: its version is not stored.
    want["data"]["n"] = "2".into();
    let updated = maps.update(Some("ns"), "a", &want, created.revision).await.unwrap();
    assert!(updated.revision > created.revision);
    assert!(matches!(maps.update(Some("ns"), "a", &want, created.revision).await, Err(StorageError::Conflict { .. })));
    let before = maps.get(Some("ns"), "a", ReadAt::Exact(created.revision)).await.unwrap().unwrap();
    assert_eq!(before.bytes, created.bytes);
    assert!(matches!(maps.delete(Some("ns"), "a", created.revision).await, Err(StorageError::Conflict { .. })));
    let deleted = maps.delete(Some("ns"), "a", updated.revision).await.unwrap();
    assert_eq!((deleted.head.field(0), deleted.revision > updated.revision), ("2", true));
    assert!(maps.get(Some("ns"), "a", ReadAt::Any).await.unwrap().is_none());
    assert!(matches!(maps.create(Some("n/s"), "a", &map("a", "web", 1)).await, Err(StorageError::BadName(_))));
    assert!(Arc::ptr_eq(&maps, &store.resource("/registry/configmaps/", &["data.n"], None)));
}

async fn lists_are_paged_consistently(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    for n in 0..10 {
        let ns = if n < 7 { "ns" } else { "other" };
        maps.create(Some(ns), &format!("m{n}"), &map("m", if n % 2 == 0 { "even" } else { "odd" }, n)).await.unwrap();
    }
    assert_eq!(names(&maps, Some("other"), ReadAt::Latest).await, "other/m7 other/m8 other/m9");
    assert_eq!(names(&maps, Some("ne"), ReadAt::Latest).await, "");
    let first = maps.list(Some("ns"), &page(ReadAt::Latest, 3, None), None).await.unwrap();
    assert_eq!((first.items.len(), first.remaining), (3, Some(4)));
    // Changes behind the first page are not seen by those that follow.
    let last = maps.get(Some("ns"), "m6", ReadAt::Any).await.unwrap().unwrap();
    maps.delete(Some("ns"), "m6", last.revision).await.unwrap();
    maps.create(Some("ns"), "m60", &map("m", "even", 60)).await.unwrap();
    let second = maps.list(Some("ns"), &page(ReadAt::Latest, 3, first.continue_token), None).await.unwrap();
    let third = maps.list(Some("ns"), &page(ReadAt::Latest, 3, second.continue_token), None).await.unwrap();
    let all: Vec<_> = [&second.items[..], &third.items[..]].concat().iter().map(|o| o.head.name().to_owned()).collect();
    assert_eq!(all, ["m3", "m4", "m5", "m6"]);
    assert_eq!((third.revision, third.continue_token, third.remaining), (first.revision, None, None));
    let odd = |head: &Head| head.label("app") == Some("odd");
    let some = maps.list(None, &page(ReadAt::Latest, 4, None), Some(&odd)).await.unwrap();
    assert_eq!((some.items.len(), some.continue_token.is_some(), some.remaining), (4, true, None));
    let rest = maps.list(None, &page(ReadAt::Latest, 4, some.continue_token.clone()), Some(&odd)).await.unwrap();
    assert_eq!((rest.items.len(), rest.continue_token), (1, None));
    for (ns, token) in [(Some("ns"), some.continue_token), (None, Some("nonsense".into()))] {
        assert!(matches!(maps.list(ns, &page(ReadAt::Latest, 4, token), None).await, Err(StorageError::BadContinue(_))));
    }
}

async fn an_old_page_token_expires(subject: &Subject) {
    let tuning = federation_apiserver::storage::store::Tuning { ring: 4, ..quick() };
    let store = Store::open_with(subject.backend.clone(), tuning);
    let maps = maps(&store);
    for n in 0..6 {
        maps.create(Some("ns"), &format!("m{n}"), &map("m", "x", n)).await.unwrap();
    }
    let first = maps.list(None, &page(ReadAt::Latest, 2, None), None).await.unwrap();
    let token = first.continue_token;
    for n in 0..10 {
        let at = maps.get(Some("ns"), "m3", ReadAt::Any).await.unwrap().unwrap();
        maps.update(Some("ns"), "m3", &map("m", "x", 100 + n), at.revision).await.unwrap();
    }
    // The cache has forgotten, the backend has not.
    let second = maps.list(None, &page(ReadAt::Latest, 2, token.clone()), None).await.unwrap();
    assert_eq!((second.items[1].head.field(0), second.revision), ("3", first.revision));
    subject.backend.compact(subject.backend.revision().await.unwrap()).await.unwrap();
    let expired = maps.list(None, &page(ReadAt::Latest, 2, token), None).await;
    let Err(StorageError::ContinueExpired { token }) = expired else { panic!("{expired:?}") };
    let rest = maps.list(None, &page(ReadAt::Latest, 0, Some(token)), None).await.unwrap();
    let seen: Vec<_> = rest.items.iter().map(|o| o.head.field(0)).collect();
    assert_eq!(seen, ["2", "109", "4", "5"]);
    assert!(rest.revision > first.revision);
}

async fn watches_follow_selectors(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    let start = store.latest().await.unwrap();
    let web: Filter = Arc::new(|head| head.label("app") == Some("web"));
    let mut all = maps.watch(None, from(WatchFrom::After(start)), None).await.unwrap();
    let mut selected = maps.watch(Some("ns"), from(WatchFrom::After(start)), Some(web)).await.unwrap();
    let mut elsewhere = maps.watch(Some("other"), from(WatchFrom::After(start)), None).await.unwrap();
    let a = maps.create(Some("ns"), "a", &map("a", "db", 1)).await.unwrap();
    let b = maps.update(Some("ns"), "a", &map("a", "web", 2), a.revision).await.unwrap();
    let c = maps.update(Some("ns"), "a", &map("a", "web", 3), b.revision).await.unwrap();
    let d = maps.update(Some("ns"), "a", &map("a", "db", 4), c.revision).await.unwrap();
    let e = maps.delete(Some("ns"), "a", d.revision).await.unwrap();
    let f = maps.create(Some("other"), "a", &map("a", "web", 5)).await.unwrap();
    use EventKind::{Added, Deleted, Modified};
    let key = "ns/a".to_owned();
    for (kind, revision) in
        [(Added, a.revision), (Modified, b.revision), (Modified, c.revision), (Modified, d.revision), (Deleted, e.revision)]
    {
        assert_eq!(next(&mut all).await, (kind, key.clone(), revision));
    }
    assert_eq!(next(&mut selected).await, (Added, key.clone(), b.revision));
    assert_eq!(next(&mut selected).await, (Modified, key.clone(), c.revision));
    // It stopped matching: gone for this watcher, in the state it had when it matched.
    let left = soon(selected.next()).await.unwrap();
    assert_eq!(short(&left), (Deleted, key, d.revision));
    assert_eq!(left.object().unwrap().head.field(0), "3");
    assert_eq!(next(&mut elsewhere).await, (Added, "other/a".into(), f.revision));
    // Encoded once for all watchers.
    let mut twin = maps.watch(None, from(WatchFrom::After(e.revision)), None).await.unwrap();
    let (one, two) = (soon(all.next()).await.unwrap(), soon(twin.next()).await.unwrap());
    assert_eq!(one.line("v1", "ConfigMap").as_ptr(), two.line("v1", "ConfigMap").as_ptr());
}

async fn watches_begin_as_asked(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    let a = maps.create(Some("ns"), "a", &map("a", "web", 1)).await.unwrap();
    let b = maps.create(Some("ns"), "b", &map("b", "db", 2)).await.unwrap();
    use EventKind::{Added, Bookmark};
    for start in [WatchFrom::Latest, WatchFrom::Any] {
        let mut stream = maps.watch(None, from(start), None).await.unwrap();
        assert_eq!(next(&mut stream).await, (Added, "ns/a".into(), a.revision));
        assert_eq!(next(&mut stream).await, (Added, "ns/b".into(), b.revision));
    }
    let options = WatchOptions { from: WatchFrom::Latest, bookmarks: true, send_initial_events: Some(true) };
    let db: Filter = Arc::new(|head| head.label("app") == Some("db"));
    let mut streaming_list = maps.watch(None, options, Some(db)).await.unwrap();
    let silent = WatchOptions { from: WatchFrom::Any, bookmarks: false, send_initial_events: Some(false) };
    let mut silent = maps.watch(None, silent, None).await.unwrap();
    assert_eq!(next(&mut streaming_list).await, (Added, "ns/b".into(), b.revision));
    let end = soon(streaming_list.next()).await.unwrap();
    assert!(end.initial_events_end() && end.revision() >= b.revision);
    let line: Value = serde_json::from_slice(&end.line("v1", "ConfigMap")).unwrap();
    assert_eq!(line["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let c = maps.create(Some("ns"), "c", &map("c", "web", 3)).await.unwrap();
    assert_eq!(next(&mut silent).await, (Added, "ns/c".into(), c.revision));
    // Nothing for its selector, but it learns how far it is.
    loop {
        let bookmark = soon(streaming_list.next()).await.unwrap();
        assert_eq!((bookmark.kind(), bookmark.initial_events_end()), (Bookmark, false));
        if bookmark.revision() >= c.revision {
            break;
        }
    }
}

/// A write of somebody else is seen by the next consistent read, soon, even when nothing of this
/// resource changed.
async fn reads_are_consistent(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    assert_eq!(names(&maps, None, ReadAt::Latest).await, "");
    let begin = Instant::now();
    for n in 0..20 {
        let value = Bytes::from(map("m", "x", n).to_string());
        let written = subject.backend.put(&format!("{MAPS}/ns/m{n:02}"), value, Expect::Absent, None).await.unwrap();
        let list = maps.list(None, &page(ReadAt::Latest, 0, None), None).await.unwrap();
        assert_eq!(list.items.len() as u64, n + 1);
        assert!(list.revision >= written);
        // Outside of what is cached.
        let other = subject.backend.put(&format!("/registry/elsewhere/{n}"), Bytes::from("{}"), Expect::Absent, None).await.unwrap();
        assert!(maps.list(None, &page(ReadAt::Latest, 0, None), None).await.unwrap().revision >= other);
    }
    assert!(begin.elapsed() < Duration::from_secs(11), "40 consistent reads took {:?}", begin.elapsed());
    // A resource that is opened later joins in.
    let later = store.resource("/registry/elsewhere", &[], None);
    // None of them is an object.
    assert_eq!(names(&later, None, ReadAt::Latest).await, "");
    assert!(matches!(later.get(None, "1", ReadAt::Latest).await, Err(StorageError::Corrupt(_))));
    let empty = store.resource("/registry/nothing", &[], None);
    assert_eq!(names(&empty, None, ReadAt::Latest).await, "");
}

async fn the_future_is_waited_for(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    let now = store.latest().await.unwrap();
    let waiting = tokio::spawn({
        let maps = maps.clone();
        async move { maps.list(None, &page(ReadAt::NotOlderThan(now + 1), 0, None), None).await.map(|l| l.items.len()) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    maps.create(Some("ns"), "a", &map("a", "x", 1)).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap().unwrap(), 1);
    // A watch from there is refused at once, and not left to wait in silence.
    let options = WatchOptions { from: WatchFrom::After(now + 1000), bookmarks: true, send_initial_events: None };
    let future = soon(maps.watch(None, options, None)).await.map(drop);
    assert!(matches!(future, Err(StorageError::Future { requested, current }) if requested == now + 1000 && current > now));
    for at in [ReadAt::NotOlderThan(now + 1000), ReadAt::Exact(now + 1000)] {
        let begin = Instant::now();
        let future = maps.get(Some("ns"), "a", at).await;
        assert!(
            matches!(future, Err(StorageError::Future { requested, current }) if requested == now + 1000 && current > now),
            "{future:?}"
        );
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}

async fn old_watches_and_slow_watchers_end(subject: &Subject) {
    let tuning = federation_apiserver::storage::store::Tuning { ring: 8, ..quick() };
    let store = Store::open_with(subject.backend.clone(), tuning);
    let maps = maps(&store);
    let first = maps.create(Some("ns"), "a", &map("a", "x", 0)).await.unwrap();
    let mut slow = maps.watch(None, from(WatchFrom::After(first.revision)), None).await.unwrap();
    let mut at = first.revision;
    for n in 1..30 {
        at = maps.update(Some("ns"), "a", &map("a", "x", n), at).await.unwrap().revision;
    }
    assert!(soon(slow.next()).await.is_none(), "it would have missed changes");
    // Who comes back with an old revision gets what the ring has forgotten from the backend, and then goes on.
    let restarted = Store::open_with(subject.backend.clone(), tuning);
    let again = self::maps(&restarted);
    let mut streams = Vec::new();
    for maps in [&maps, &again] {
        let small: Filter = Arc::new(|head| head.field(0).len() == 1);
        let mut all = maps.watch(Some("ns"), from(WatchFrom::After(first.revision)), None).await.unwrap();
        let mut some = maps.watch(None, from(WatchFrom::After(first.revision)), Some(small)).await.unwrap();
        let mut last = first.revision;
        while last < at {
            let (kind, _, revision) = next(&mut all).await;
            assert!(kind == EventKind::Modified && revision > last);
            last = revision;
        }
        // 1 to 9, and away with 10.
        for n in 1..=10 {
            let want = if n < 10 { EventKind::Modified } else { EventKind::Deleted };
            assert_eq!(next(&mut some).await.0, want, "{n}");
        }
        streams.extend([all, some]);
    }
    let created = maps.create(Some("ns"), "b", &map("b", "x", 1)).await.unwrap();
    for stream in &mut streams {
        assert_eq!(next(stream).await, (EventKind::Added, "ns/b".into(), created.revision));
    }
    let newest = subject.backend.revision().await.unwrap();
    subject.backend.compact(newest).await.unwrap();
    let old = again.watch(None, from(WatchFrom::After(first.revision)), None).await;
    let Err(StorageError::Compacted { requested, oldest }) = old.map(drop) else { panic!("it should have expired") };
    assert!(requested == first.revision && oldest > requested);
}

/// Lists and watches leave out what cannot be read, nobody takes that for its deletion, and it heals when it is written
/// again.
async fn broken_objects_never_look_deleted(subject: &Subject) {
    let store = subject.store();
    let maps = maps(&store);
    let a = maps.create(Some("ns"), "a", &map("a", "x", 1)).await.unwrap();
    maps.create(Some("ns"), "b", &map("b", "x", 1)).await.unwrap();
    let mut stream = maps.watch(None, from(WatchFrom::After(a.revision)), None).await.unwrap();
    next(&mut stream).await;
    let key = format!("{MAPS}/ns/a");
    let bad = subject.backend.put(&key, Bytes::from("not an object"), Expect::Revision(a.revision), None).await.unwrap();
    assert!(matches!(maps.get(Some("ns"), "a", ReadAt::Latest).await, Err(StorageError::Corrupt(_))));
    assert!(maps.get(Some("ns"), "b", ReadAt::Latest).await.unwrap().is_some());
    assert_eq!(names(&maps, None, ReadAt::Latest).await, "ns/b");
    // As it was, and as it is.
    assert_eq!(maps.get(Some("ns"), "a", ReadAt::Exact(a.revision)).await.unwrap().unwrap().revision, a.revision);
    assert!(matches!(maps.get(Some("ns"), "a", ReadAt::Exact(bad)).await, Err(StorageError::Corrupt(_))));
    // So it is for a server that starts now.
    let restarted = subject.store();
    let again = self::maps(&restarted);
    assert_eq!(names(&again, None, ReadAt::Latest).await, "ns/b");
    assert!(matches!(again.get(Some("ns"), "a", ReadAt::Latest).await, Err(StorageError::Corrupt(_))));
    let repaired = Bytes::from(map("a", "x", 2).to_string());
    let good = subject.backend.put(&key, repaired, Expect::Revision(bad), None).await.unwrap();
    assert_eq!(names(&maps, None, ReadAt::Latest).await, "ns/a ns/b");
    assert_eq!(names(&again, None, ReadAt::Latest).await, "ns/a ns/b");
    assert_eq!(next(&mut stream).await, (EventKind::Modified, "ns/a".into(), good));
    // Whoever had it hears of it when what cannot be read is deleted.
    assert!(matches!(maps.delete_unreadable(Some("ns"), "a").await, Err(StorageError::Conflict { .. })));
    subject.backend.put(&key, Bytes::from("not an object"), Expect::Revision(good), None).await.unwrap();
    maps.delete_unreadable(Some("ns"), "a").await.unwrap();
    let (kind, gone, revision) = next(&mut stream).await;
    assert_eq!((kind, gone.as_str()), (EventKind::Deleted, "ns/a"));
    assert!(revision > good && maps.get(Some("ns"), "a", ReadAt::Latest).await.unwrap().is_none());
}
