//! Several endpoints of etcd, of which one dies or hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use federation_apiserver::storage::etcd::{Etcd, EtcdConfig};
use federation_apiserver::storage::store::{EventKind, ReadAt, ResourceStore, Store, WatchFrom, WatchOptions};
use federation_apiserver::storage::{Backend, Expect, StorageError};
use futures::StreamExt;
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::lost::until_ready;
use crate::subject::{EtcdServer, map, quick, soon};

fn config(servers: Vec<String>) -> EtcdConfig {
    EtcdConfig { servers, ..EtcdConfig::default() }
}

/// Requests that go on all the time, and what came of them.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// Rounds each worker has done.
    rounds: [AtomicUsize; WORKERS],
    /// Milliseconds the longest of them took.
    longest: AtomicU64,
}

const WORKERS: usize = 4;
/// Longest time of a round.
const ROUND: Duration = Duration::from_secs(15);

impl Load {
    /// Workers at their work.
    fn start(maps: &Arc<ResourceStore>) -> (Arc<Self>, Vec<JoinHandle<u64>>) {
        let load = Arc::new(Self::default());
        let workers = (0..WORKERS).map(|w| tokio::spawn(load.clone().work(maps.clone(), w))).collect();
        (load, workers)
    }

    /// Comes back when every worker has been answered some times more.
    async fn goes_on(&self) {
        let before: Vec<_> = self.rounds.iter().map(|r| r.load(Ordering::Relaxed)).collect();
        soon(async {
            while self.rounds.iter().zip(&before).any(|(now, before)| now.load(Ordering::Relaxed) < before + 10) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Insists that no death was felt for long.
    fn never_stood(&self) {
        let longest = Duration::from_millis(self.longest.load(Ordering::Relaxed));
        assert!(longest < ROUND, "a round of five requests took {longest:?}");
    }

    /// Counts one object up, makes and deletes others, and reads; any failure ends the test.
    async fn work(self: Arc<Self>, maps: Arc<ResourceStore>, worker: usize) -> u64 {
        let name = format!("counter{worker}");
        let mut at = maps.create(Some("ns"), &name, &map(&name, "x", 0)).await.unwrap();
        let mut n = 0;
        while !self.stop.load(Ordering::Relaxed) {
            n += 1;
            let begun = Instant::now();
            at = maps.update(Some("ns"), &name, &map(&name, "x", n), at.revision).await.unwrap();
            let passing = format!("passing{worker}-{n}");
            let made = maps.create(Some("ns"), &passing, &map(&passing, "x", n)).await.unwrap();
            let read = maps.get(Some("ns"), &passing, ReadAt::Latest).await.unwrap().unwrap();
            assert_eq!(read.revision, made.revision);
            let again = maps.create(Some("ns"), &passing, &map(&passing, "x", n)).await;
            assert!(matches!(again, Err(StorageError::Conflict { .. })), "{again:?}");
            maps.delete(Some("ns"), &passing, made.revision).await.unwrap();
            self.longest.fetch_max(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
            self.rounds[worker].fetch_add(1, Ordering::Relaxed);
        }
        n
    }
}

/// What a client's watch sees, begun again where it ended; comes back when it has seen `end`.
async fn watch(maps: Arc<ResourceStore>, mut after: u64) -> Vec<(EventKind, String, u64)> {
    let mut seen = Vec::new();
    loop {
        let options = WatchOptions { from: WatchFrom::After(after), bookmarks: false, send_initial_events: None };
        let mut stream = maps.watch(None, options, None).await.unwrap();
        while let Some(event) = stream.next().await {
            after = event.revision();
            let object = event.object().unwrap();
            seen.push((event.kind(), object.head.name().to_owned(), after));
            if object.head.name() == "end" {
                return seen;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_11_endpoints_die_in_turn_under_load_and_nothing_fails() {
    let mut servers = EtcdServer::start_cluster(3);
    join_all(servers.iter().map(EtcdServer::joined)).await;
    let etcd = Etcd::connect(&config(servers.iter().map(EtcdServer::url).collect())).await.unwrap();
    let store = Store::open_with(Arc::new(etcd), quick());
    let maps = store.resource("/registry/configmaps", &["data.n"], None);
    until_ready(&store).await;
    let start = store.latest().await.unwrap();
    let watching = tokio::spawn(watch(maps.clone(), start));
    let (load, workers) = Load::start(&maps);
    load.goes_on().await;
    for server in &mut servers {
        server.stop();
        load.goes_on().await;
        server.start_again();
        server.joined().await;
        load.goes_on().await;
        server.signal("STOP");
        load.goes_on().await;
        server.signal("CONT");
        server.joined().await;
        load.goes_on().await;
    }
    load.stop.store(true, Ordering::Relaxed);
    let mut counted = Vec::new();
    for worker in workers {
        counted.push(worker.await.unwrap());
    }
    maps.create(Some("ns"), "end", &map("end", "x", 1)).await.unwrap();
    load.never_stood();
    // Each answered write happened once, and was told once and in order.
    let seen = soon(watching).await.unwrap();
    assert!(seen.is_sorted_by_key(|(.., revision)| *revision));
    for (worker, n) in counted.into_iter().enumerate() {
        let of = |name: &str, kind| seen.iter().filter(|(k, of, _)| *k == kind && of == name).count() as u64;
        let counter = format!("counter{worker}");
        assert_eq!((of(&counter, EventKind::Added), of(&counter, EventKind::Modified)), (1, n));
        for n in 1..=n {
            let passing = format!("passing{worker}-{n}");
            assert_eq!((of(&passing, EventKind::Added), of(&passing, EventKind::Deleted)), (1, 1), "{passing}");
        }
    }
}

/// The cluster has more members than the flag names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_11_one_of_two_endpoints_dies_under_load() {
    let mut servers = EtcdServer::start_cluster(3);
    join_all(servers.iter().map(EtcdServer::joined)).await;
    let etcd = Etcd::connect(&config(servers[..2].iter().map(EtcdServer::url).collect())).await.unwrap();
    let store = Store::open_with(Arc::new(etcd), quick());
    let maps = store.resource("/registry/configmaps", &["data.n"], None);
    until_ready(&store).await;
    let (load, workers) = Load::start(&maps);
    load.goes_on().await;
    // The first is the one that is asked.
    servers[0].stop();
    load.goes_on().await;
    load.stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    load.never_stood();
    until_ready(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_11_one_endpoint_is_dead_from_the_start() {
    let server = EtcdServer::start();
    let dead = "http://127.0.0.1:1".to_owned();
    for servers in [vec![dead.clone(), server.url()], vec![server.url(), dead]] {
        let etcd = Arc::new(Etcd::connect(&config(servers)).await.unwrap());
        let store = Store::open_with(etcd.clone(), quick());
        let maps = store.resource("/registry/configmaps", &[], None);
        until_ready(&store).await;
        for n in 0..100 {
            let made = maps.create(Some("ns"), "a", &map("a", "x", n)).await.unwrap();
            assert!(maps.get(Some("ns"), "a", ReadAt::Latest).await.unwrap().is_some());
            maps.delete(Some("ns"), "a", made.revision).await.unwrap();
            etcd.put("/registry/events/e", "1".into(), Expect::Absent, Some(Duration::from_secs(60))).await.unwrap();
            let (event, _) = etcd.get("/registry/events/e").await.unwrap();
            etcd.delete("/registry/events/e", event.unwrap().revision).await.unwrap();
        }
        until_ready(&store).await;
    }
}
