//! A real etcd that is restarted, lost, or another one than before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use federation_apiserver::storage::etcd::{Etcd, EtcdConfig, EtcdConfigError};
use federation_apiserver::storage::store::{ReadAt, Store, WatchFrom, WatchOptions};
use federation_apiserver::storage::{Backend, Expect, StorageError};
use futures::StreamExt;

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
        assert!(matches!(write, Err(StorageError::Unavailable(_))), "{write:?}");
        assert!(begin.elapsed() < Duration::from_secs(10), "two failures took {:?}", begin.elapsed());
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
                    Err(StorageError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                    Err(other) => panic!("{other}"),
                }
            }
        })
        .await;
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
        while !store.ready().is_err_and(|why| why.contains("went back")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(maps.get(Some("ns"), "m1", ReadAt::Any).await.unwrap().is_some());
    assert!(tokio::time::timeout(Duration::from_millis(500), stream.next()).await.is_err(), "nothing was deleted");
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
    assert!(matches!(error, StorageError::Unavailable(_)) && begin.elapsed() < Duration::from_secs(5), "{error}");
}
