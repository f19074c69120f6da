//! What every backend promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use federation_apiserver::storage::{Event, Expect, StorageError, Unchanged, Versioned};
use futures::StreamExt;

use crate::battery;
use crate::subject::{Subject, soon};

battery!(
    writes_expect_what_is_there,
    writes_depend_on_another_key,
    ranges_are_exact,
    history_ends_at_compaction,
    no_update_is_lost,
    keys_expire
);

fn value(n: u64) -> Bytes {
    n.to_string().into()
}

async fn writes_expect_what_is_there(subject: &Subject) {
    let b = &subject.backend;
    let key = "/registry/configmaps/ns/a";
    assert_eq!(b.get(key).await.unwrap().0, None);
    let first = b.put(key, value(1), Expect::Absent, None).await.unwrap();
    let there = Versioned { key: key.into(), value: value(1), revision: first, damaged: false };
    assert_eq!(b.get(key).await.unwrap(), (Some(there.clone()), first));
    let refused = [
        b.put(key, value(2), Expect::Absent, None).await,
        b.put(key, value(2), Expect::Revision(first - 1), None).await,
        b.delete(key, first + 1).await,
    ];
    for answer in refused {
        assert!(matches!(&answer, Err(StorageError::Conflict { current: Some(c) }) if *c == there), "{answer:?}");
    }
    let second = b.put(key, value(2), Expect::Revision(first), None).await.unwrap();
    let gone = b.delete(key, second).await.unwrap();
    for answer in [b.put(key, value(3), Expect::Revision(second), None).await, b.delete(key, second).await] {
        assert!(matches!(answer, Err(StorageError::Conflict { current: None })), "{answer:?}");
    }
    let again = b.put(key, value(4), Expect::Absent, None).await.unwrap();
    assert!(first < second && second < gone && gone < again);
    assert_eq!(b.revision().await.unwrap(), again);
}

async fn writes_depend_on_another_key(subject: &Subject) {
    let b = &subject.backend;
    let (key, other) = ("/registry/configmaps/ns/a", "/registry/namespaces/ns");
    let put = async |expect, revision| b.put_while(key, value(1), expect, None, Some(Unchanged { key: other, revision })).await;
    let home = b.put(other, value(1), Expect::Absent, None).await.unwrap();
    let there = put(Expect::Absent, home).await.unwrap();
    // Both are in the way: the key itself is told.
    assert!(matches!(put(Expect::Absent, home).await, Err(StorageError::Conflict { current: Some(c) }) if c.revision == there));
    assert!(matches!(put(Expect::Absent, home - 1).await, Err(StorageError::Conflict { .. })));
    let changed = b.put(other, value(2), Expect::Revision(home), None).await.unwrap();
    assert!(matches!(put(Expect::Revision(there), home).await, Err(StorageError::Changed)));
    let there = put(Expect::Revision(there), changed).await.unwrap();
    b.delete(other, changed).await.unwrap();
    assert!(matches!(put(Expect::Revision(there), changed).await, Err(StorageError::Changed)));
    assert_eq!(b.get(key).await.unwrap().0.map(|found| found.revision), Some(there));
}

async fn ranges_are_exact(subject: &Subject) {
    let b = &subject.backend;
    // Neighbours in the order of bytes, some outside the prefix.
    let names = ["a-b/x", "a/x", "a/y", "b/x", "b/z"];
    let mut revisions = Vec::new();
    for name in names {
        revisions.push(b.put(&format!("/registry/maps/{name}"), value(1), Expect::Absent, None).await.unwrap());
    }
    for outside in ["/registry/map/q/q", "/registry/maps-2/q/q"] {
        b.put(outside, value(9), Expect::Absent, None).await.unwrap();
    }
    let at = b.revision().await.unwrap();
    b.delete("/registry/maps/a/y", revisions[2]).await.unwrap();
    b.put("/registry/maps/b/x", value(2), Expect::Revision(revisions[3]), None).await.unwrap();
    let now = b.put("/registry/maps/c/x", value(3), Expect::Absent, None).await.unwrap();
    let list = async |prefix: &str, after: Option<&str>, limit, revision| {
        let (prefix, after) = (format!("/registry/maps/{prefix}"), after.map(|a| format!("/registry/maps/{a}")));
        let page = b.list(&prefix, after.as_deref(), limit, revision).await.unwrap();
        let items = page.items.iter().map(|v| format!("{}={}", &v.key["/registry/maps/".len()..], String::from_utf8_lossy(&v.value)));
        (items.collect::<Vec<_>>().join(" "), page.revision, page.more)
    };
    assert_eq!(list("", None, 0, 0).await, ("a-b/x=1 a/x=1 b/x=2 b/z=1 c/x=3".into(), now, false));
    assert_eq!(list("", None, 0, at).await, ("a-b/x=1 a/x=1 a/y=1 b/x=1 b/z=1".into(), at, false));
    assert_eq!(list("a/", None, 0, at).await, ("a/x=1 a/y=1".into(), at, false));
    assert_eq!(list("", None, 2, at).await, ("a-b/x=1 a/x=1".into(), at, true));
    assert_eq!(list("", Some("a/x"), 3, at).await, ("a/y=1 b/x=1 b/z=1".into(), at, false));
    assert_eq!(list("", Some("a/x"), 1, now).await, ("b/x=2".into(), now, true));
    assert_eq!(list("", Some("c/x"), 1, 0).await, (String::new(), now, false));
    let future = b.list("/registry/maps/", None, 0, now + 10).await;
    assert!(matches!(future, Err(StorageError::Future { requested, .. }) if requested == now + 10), "{future:?}");
}

async fn history_ends_at_compaction(subject: &Subject) {
    let b = &subject.backend;
    let key = "/registry/maps/ns/a";
    let mut revisions = vec![b.put(key, value(0), Expect::Absent, None).await.unwrap()];
    for n in 1..6 {
        revisions.push(b.put(key, value(n), Expect::Revision(revisions[revisions.len() - 1]), None).await.unwrap());
    }
    let gone = b.put("/registry/maps/ns/b", value(0), Expect::Absent, None).await.unwrap();
    let gone = b.delete("/registry/maps/ns/b", gone).await.unwrap();
    b.compact(revisions[3]).await.unwrap();
    b.compact(revisions[3]).await.unwrap();
    // Pruning may take its time, what can be seen may not.
    for _ in 0..3 {
        let old = b.list("/registry/maps/", None, 0, revisions[2]).await;
        assert!(matches!(old, Err(StorageError::Compacted { requested, .. }) if requested == revisions[2]), "{old:?}");
        let page = b.list("/registry/maps/", None, 0, revisions[3]).await.unwrap();
        assert_eq!((page.items.len(), &page.items[0].value), (1, &value(3)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // etcd tells it as the first event, others at once.
    let compacted = match b.watch("/registry/", revisions[2]).await {
        Ok(mut stream) => soon(stream.next()).await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(compacted, StorageError::Compacted { .. }), "{compacted:?}");
    let mut stream = b.watch("/registry/", revisions[3]).await.unwrap();
    let Event::Put { new, old } = soon(stream.next()).await.unwrap().unwrap() else { panic!("no put") };
    assert_eq!((new.revision, new.value, old), (revisions[4], value(4), Some(value(3))));
    b.compact(gone).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(b.get("/registry/maps/ns/b").await.unwrap().0, None);
    assert_eq!(b.get(key).await.unwrap().0.unwrap().value, value(5));
}

/// Writers race for a few counters: every answered increment counts, revisions never repeat, and a watch
/// tells each change exactly once, in order, with what was there before.
async fn no_update_is_lost(subject: &Subject) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let b = &subject.backend;
    let keys = ["a", "b", "c"].map(|k| format!("/registry/counters/{k}"));
    let mut start = 0;
    for key in &keys {
        start = b.put(key, value(0), Expect::Absent, None).await.unwrap();
    }
    let mut stream = b.watch("/registry/counters/", start).await.unwrap();
    let writers = (0..WRITERS).map(|w| {
        let (b, keys) = (b.clone(), keys.clone());
        tokio::spawn(async move {
            let mut done = Vec::new();
            for n in 0..EACH {
                let key = &keys[(w + n) % keys.len()];
                let mut at = b.get(key).await.unwrap().0.unwrap();
                let revision = loop {
                    let next: u64 = std::str::from_utf8(&at.value).unwrap().parse::<u64>().unwrap() + 1;
                    match b.put(key, value(next), Expect::Revision(at.revision), None).await {
                        Ok(revision) => break revision,
                        Err(StorageError::Conflict { current: Some(current) }) => at = current,
                        Err(other) => panic!("{other}"),
                    }
                };
                done.push(revision);
            }
            done
        })
    });
    let mut answered = BTreeSet::new();
    for writer in futures::future::join_all(writers).await {
        for revision in writer.unwrap() {
            assert!(revision > start && answered.insert(revision), "revision {revision} twice");
        }
    }
    let mut last: BTreeMap<String, Bytes> = keys.iter().map(|k| (k.clone(), value(0))).collect();
    let mut told = Vec::new();
    while told.len() < WRITERS * EACH {
        match soon(stream.next()).await.unwrap().unwrap() {
            Event::Put { new, old } => {
                assert_eq!(old, last.insert(new.key, new.value), "before revision {}", new.revision);
                told.push(new.revision);
            }
            Event::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, answered.into_iter().collect::<Vec<_>>());
    let sum: usize = last.values().map(|v| std::str::from_utf8(v).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(sum, WRITERS * EACH);
}

async fn keys_expire(subject: &Subject) {
    let b = &subject.backend;
    let ttl = Some(Duration::from_secs(1));
    let start = b.revision().await.unwrap();
    let short = b.put("/registry/events/ns/short", value(1), Expect::Absent, ttl).await.unwrap();
    let kept = b.put("/registry/events/ns/kept", value(2), Expect::Absent, ttl).await.unwrap();
    let kept = b.put("/registry/events/ns/kept", value(3), Expect::Revision(kept), None).await.unwrap();
    let mut stream = b.watch("/registry/events/", start).await.unwrap();
    let deleted = loop {
        match soon(stream.next()).await.unwrap().unwrap() {
            Event::Delete { key, old, revision } => break (key, old, revision),
            _ => continue,
        }
    };
    assert_eq!((deleted.0.as_str(), deleted.1), ("/registry/events/ns/short", value(1)));
    assert!(deleted.2 > kept && kept > short);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let left = b.list("/registry/events/", None, 0, 0).await.unwrap();
    assert_eq!(left.items, [Versioned { key: "/registry/events/ns/kept".into(), value: value(3), revision: kept, damaged: false }]);
}
