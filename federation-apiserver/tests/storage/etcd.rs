//! A real etcd that is restarted, lost, or another one than before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use federation_apiserver::storage::etcd::{Etcd, EtcdConfig, EtcdConfigError};
use federation_apiserver::storage::store::{ListOptions, ReadAt, Store, WatchFrom, WatchOptions};
use federation_apiserver::storage::{Backend, Expect, StorageError};
use futures::StreamExt;
use machinery::status::ApiError;

use crate::subject::{EtcdServer, map, quick, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_of_a_watch_is_survived() {
    let mut server = EtcdServer::start();
    let store = Store::open_with(Arc::new(server.client().await), quick());
    let maps = store.resource("/registry/configmaps", &[], None);
    let a = maps.create(Some("ns"), "a", &map("a", "x", 1)).await.unwrap();
    let options = WatchOptions { from: WatchFrom::After(a.revision), bookmarks: false, send_initial_events: None };
    let mut stream = maps.watch(None, options, None).await.unwrap();
    for round in 0..2 {
        server.stop();
        let begin = Instant::now();
        let read = maps.get(Some("ns"), "a", ReadAt::Latest).await;
        assert!(matches!(read, Err(StorageError::Unavailable(_))), "{read:?}");
        let write = maps.create(Some("ns"), "never", &map("never", "x", 1)).await;
        // What went out on a connection that nobody had seen break is not known to be undone.
        assert!(matches!(write, Err(StorageError::Unavailable(_) | StorageError::Unanswered(_))), "{write:?}");
        assert!(begin.elapsed() < Duration::from_secs(20), "two failures took {:?}", begin.elapsed());
        assert!(maps.get(Some("ns"), "a", ReadAt::Any).await.unwrap().is_some());
        soon(async {
            while store.ready().is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        server.start_again();
        let name = format!("b{round}");
        let written = soon(async {
            loop {
                match maps.create(Some("ns"), &name, &map(&name, "x", 1)).await {
                    Ok(object) => break object,
                    Err(StorageError::Unavailable(_) | StorageError::Unanswered(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                    Err(other) => panic!("{other}"),
                }
            }
        })
        .await;
        assert!(maps.get(Some("ns"), "never", ReadAt::Latest).await.unwrap().is_none());
        let event = soon(stream.next()).await.unwrap();
        assert_eq!((event.object().unwrap().head.name(), event.revision()), (name.as_str(), written.revision));
        assert!(maps.get(Some("ns"), &name, ReadAt::Latest).await.unwrap().is_some());
        soon(async {
            while store.ready().is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

/// An etcd that lost its data is not taken for one whose objects were all deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_data_is_not_taken_for_deletions() {
    let mut server = EtcdServer::start();
    let store = Store::open_with(Arc::new(server.client().await), quick());
    let maps = store.resource("/registry/configmaps", &[], None);
    for n in 0..5 {
        maps.create(Some("ns"), &format!("m{n}"), &map("m", "x", n)).await.unwrap();
    }
    let options = WatchOptions { from: WatchFrom::After(store.revision()), bookmarks: false, send_initial_events: None };
    let mut stream = maps.watch(None, options, None).await.unwrap();
    server.stop();
    server.lose_data();
    server.start_again();
    soon(async {
        while !store.ready().is_err_and(|why| why.to_string().contains("went back")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(maps.get(Some("ns"), "m1", ReadAt::Any).await.unwrap().is_some());
    assert!(tokio::time::timeout(Duration::from_millis(500), stream.next()).await.is_err(), "nothing was deleted");
}

/// A backup is restored under a running server, and written to until it is further than the server was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d21_a_restored_backup_is_read_anew() {
    for overtaken in [false, true] {
        let mut server = EtcdServer::start();
        let store = Store::open_with(Arc::new(server.client().await), quick());
        let maps = store.resource("/registry/configmaps", &["data.n"], None);
        let a = maps.create(Some("ns"), "a", &map("a", "x", 1)).await.unwrap();
        let kept = maps.create(Some("ns"), "kept", &map("kept", "x", 1)).await.unwrap();
        server.stop();
        let backup = server.backup();
        server.start_again();
        let changed = soon(async {
            loop {
                match maps.update(Some("ns"), "a", &map("a", "x", 2), a.revision).await {
                    Ok(object) => break object,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        })
        .await;
        let later = maps.create(Some("ns"), "later", &map("later", "x", 1)).await.unwrap();
        let options = |revision| WatchOptions { from: WatchFrom::After(revision), bookmarks: false, send_initial_events: None };
        let mut stream = maps.watch(None, options(later.revision), None).await.unwrap();
        server.stop();
        server.restore(backup);
        server.start_again();
        if overtaken {
            let other = server.client().await;
            let mut at = 0;
            while at < later.revision + 10 {
                let name = format!("/registry/others/{at}");
                at = other.put(&name, map("o", "x", 1).to_string().into(), Expect::Absent, None).await.unwrap_or_default();
            }
        }
        assert!(soon(stream.next()).await.is_none(), "what it tells would not follow from what it told");
        soon(async {
            while store.ready().is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let now = maps.get(Some("ns"), "a", ReadAt::Latest).await.unwrap().unwrap();
        assert_eq!((now.revision, now.head.field(0)), (a.revision, "1"), "not {}", changed.revision);
        let all = ListOptions { at: ReadAt::Any, limit: 0, continue_token: None };
        let names: Vec<_> = maps.list(None, &all, None).await.unwrap().items.iter().map(|o| o.head.name().to_owned()).collect();
        assert_eq!(names, ["a", "kept"]);
        assert_eq!(maps.get(Some("ns"), "kept", ReadAt::Any).await.unwrap().unwrap().revision, kept.revision);
        if !overtaken {
            let future = maps.watch(None, options(later.revision), None).await.map(drop);
            assert!(matches!(future, Err(StorageError::Future { requested, .. }) if requested == later.revision), "{future:?}");
        }
        let current = maps.create(Some("ns"), "b", &map("b", "x", 1)).await.unwrap();
        let mut again = maps.watch(None, options(current.revision - 1), None).await.unwrap();
        assert_eq!(soon(again.next()).await.unwrap().revision(), current.revision);
    }
}

#[tokio::test]
async fn d11_lists_are_read_in_parts_that_fit() {
    let server = EtcdServer::start();
    let writer = server.client().await;
    let value = bytes::Bytes::from(vec![b'x'; 900_000]);
    for n in 0..12 {
        writer.put(&format!("/registry/maps/{n:02}"), value.clone(), Expect::Absent, None).await.unwrap();
    }
    let etcd = Etcd::connect(&EtcdConfig { largest_answer: Some(4 << 20), ..server.config() }).await.unwrap();
    for limit in [0, 500, 7] {
        let page = etcd.list("/registry/maps/", None, limit, 0).await.unwrap();
        assert_eq!((page.items.len(), page.more), if limit == 7 { (7, true) } else { (12, false) });
        assert!(page.items.is_sorted_by_key(|item| item.key.clone()) && page.items.iter().all(|item| item.value == value));
    }
    let rest = etcd.list("/registry/maps/", Some("/registry/maps/06"), 0, 0).await.unwrap();
    assert_eq!(rest.items.len(), 5);
}

#[tokio::test]
async fn d34_what_is_too_large_for_etcd_is_refused_as_such() {
    let server = EtcdServer::start();
    let etcd = server.client().await;
    // Beyond --max-request-bytes, and beyond what etcd reads at all.
    for size in [1_700_000, 2_900_000] {
        let refused = etcd.put("/registry/maps/a", vec![b'x'; size].into(), Expect::Absent, None).await;
        assert!(matches!(refused, Err(StorageError::TooLarge(_))), "{refused:?}");
        assert_eq!(ApiError::from(refused.unwrap_err()).code, 413);
    }
    etcd.put("/registry/maps/a", vec![b'x'; 1_400_000].into(), Expect::Absent, None).await.unwrap();
}

#[tokio::test]
async fn prefixes_keep_federations_apart() {
    let server = EtcdServer::start();
    let mut revisions = Vec::new();
    for prefix in ["/one/registry", "two/"] {
        let config = EtcdConfig { servers: vec![server.url()], prefix: prefix.into(), ..EtcdConfig::default() };
        let etcd = Etcd::connect(&config).await.unwrap();
        revisions.push(etcd.put("/registry/maps/a", prefix.into(), Expect::Absent, None).await.unwrap());
        let all = etcd.list("/registry/maps/", None, 0, 0).await.unwrap().items;
        assert_eq!((all.len(), &all[0].key[..], &all[0].value[..]), (1, "/registry/maps/a", prefix.as_bytes()));
    }
    assert!(revisions[0] < revisions[1]);
    let plain = server.client().await;
    assert_eq!(plain.get("/registry/maps/a").await.unwrap().0, None);
}

#[tokio::test]
async fn tls_is_spoken_with_a_certificate() {
    let server = EtcdServer::start_tls();
    let etcd = server.client().await;
    let revision = etcd.put("/registry/maps/a", "1".into(), Expect::Absent, None).await.unwrap();
    assert_eq!(etcd.revision().await.unwrap(), revision);
    let anonymous = EtcdConfig { cert_file: None, key_file: None, ..server.config() };
    let refused = Etcd::connect(&anonymous).await.unwrap().revision().await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn wrong_settings_are_explained() {
    let server = || EtcdConfig { servers: vec!["https://127.0.0.1:1".into()], ..EtcdConfig::default() };
    let explain = async |config: EtcdConfig| Etcd::connect(&config).await.map(drop).unwrap_err();
    assert!(matches!(explain(server()).await, EtcdConfigError::NoCa(_)));
    let error = explain(EtcdConfig { ca_file: Some("/nowhere/ca.crt".into()), ..server() }).await;
    assert!(error.to_string().starts_with("cannot read /nowhere/ca.crt:"), "{error}");
    assert!(matches!(explain(EtcdConfig { key_file: Some("/nowhere".into()), ..server() }).await, EtcdConfigError::HalfIdentity));
    assert!(matches!(explain(EtcdConfig::default()).await, EtcdConfigError::Servers(_)));
    let away = EtcdConfig { servers: vec!["http://127.0.0.1:1".into()], ..EtcdConfig::default() };
    let begin = Instant::now();
    let error = Etcd::connect(&away).await.unwrap().revision().await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)) && begin.elapsed() < Duration::from_secs(15), "{error}");
}
