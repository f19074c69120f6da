//! When a Cluster counts as gone.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use async_trait::async_trait;
use federation_api::cluster::ClusterSpec;
use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::{
    Connection,
    config::Monitor,
    events::Events,
    members::{MemberConnector, Members, connect::ConnectError, news::Tell},
};

struct Nowhere;

#[async_trait]
impl MemberConnector for Nowhere {
    async fn connect(&self, _: &str, _: &ClusterSpec, _: bool, _: Option<&str>) -> Result<Option<Connection>, ConnectError> {
        Err(ConnectError::Other("no such member".into()))
    }
}

fn cluster() -> Value {
    json!({"apiVersion": "federation/v1beta1", "kind": "Cluster", "metadata": {"name": "gondor", "uid": "g", "resourceVersion": "1"}})
}

/// A federation whose lists lack the cluster from the second on; `state` counts lists. From 50 on a proxy does not
/// know the way to the cluster, and at 100 the federation says that it is gone.
fn answer(request: &Request<Body>, state: &AtomicU8) -> (u16, Value) {
    let path = request.uri().path().to_owned();
    if request.method() != Method::GET {
        return (500, json!({}));
    }
    if path.ends_with("/gondor") {
        let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "gone"});
        return match state.load(Ordering::SeqCst) {
            100 => (404, gone),
            50.. => (404, json!("404 page not found")),
            _ => (200, cluster()),
        };
    }
    if request.uri().query().is_some_and(|q| q.contains("watch=")) {
        let expired =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "old"});
        return (200, json!({"type": "ERROR", "object": expired}));
    }
    let first = state.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let _ = !first && state.compare_exchange(1, 2, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let items = if first { json!([cluster()]) } else { json!([]) };
    (200, json!({"apiVersion": "federation/v1beta1", "kind": "ClusterList", "metadata": {"resourceVersion": "1"}, "items": items}))
}

fn clusters(federation: kube::Client, tell: Tell) -> Clusters {
    Clusters {
        federation: federation.clone(),
        name: "fellowship".into(),
        connector: Arc::new(Nowhere),
        monitor: Monitor::default(),
        comparison: crate::config::COMPARISON,
        members: Members::default(),
        tell,
        events: Events::new(federation).0,
        identities: identity::Identities::default(),
        enabled: crate::kinds::PerKind::default(),
        clock: crate::time::Clock::showing(crate::time::now()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_a_list_lacks_leaves_only_when_it_is_not_there() {
    let state = Arc::new(AtomicU8::new(0));
    let lists = state.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (status, body) = answer(&request, &lists);
        let body = Body::from(format!("{body}\n").into_bytes());
        std::future::ready(Response::builder().status(status).body(body).map_err(std::io::Error::other))
    });
    let (told, mut inbox) = mpsc::unbounded_channel();
    let clusters = clusters(kube::Client::new(service, "default"), Arc::new(move |news| drop(told.send(news))));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(clusters.run(Supervisor::default(), shutdown.clone()));
    let mut left = || std::iter::from_fn(|| inbox.try_recv().ok()).any(|m| matches!(m, News::Left { .. }));
    while state.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
    assert!(!left());
    state.store(50, Ordering::SeqCst);
    tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
    assert!(!left(), "of what a proxy cannot find nothing is known");
    state.store(100, Ordering::SeqCst);
    let gone = tokio::time::timeout(Duration::from_secs(60), async {
        while !left() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(gone.await.is_ok());
    shutdown.cancel();
    running.await.unwrap();
}

#[test]
fn a_cluster_that_cannot_be_read_is_kept() {
    let mut broken = cluster();
    broken["spec"] = json!("nonsense");
    let broken: DynamicObject = serde_json::from_value(broken).unwrap();
    let (joined, _) = watch::channel(Joined { name: "gondor".into(), uid: "g".into(), ..Joined::default() });
    let running = HashMap::from([("gondor".to_owned(), Running { joined, stop: CancellationToken::new() })]);
    assert_eq!(Clusters::read(broken.clone(), &running), None);
    assert_eq!(Clusters::read(broken, &HashMap::new()).map(|j| (j.name, j.uid)), Some(("gondor".into(), "g".into())));
}

#[tokio::test(start_paused = true)]
async fn d3_a_cluster_of_which_only_the_head_can_be_read_is_there() {
    let deep = (0..200).fold(json!({}), |inner, _| json!({"a": inner}));
    let service = tower::service_fn(move |request: Request<Body>| {
        let mut broken = cluster();
        broken["spec"] = deep.clone();
        let list = json!({"metadata": {"resourceVersion": "1"}, "items": [broken]});
        async move {
            if request.uri().path() != CLUSTERS || request.uri().query().is_some_and(|q| q.contains("watch=")) {
                std::future::pending::<()>().await;
            }
            Response::builder().body(Body::from(list.to_string().into_bytes())).map_err(std::io::Error::other)
        }
    });
    let (told, mut inbox) = mpsc::unbounded_channel();
    let clusters = clusters(kube::Client::new(service, "default"), Arc::new(move |news| drop(told.send(news))));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(clusters.run(Supervisor::default(), shutdown.clone()));
    let (mut joined, mut listed) = (false, false);
    while !(joined && listed) {
        match inbox.recv().await.unwrap() {
            News::Cluster { cluster, uid, .. } => joined |= (cluster.as_str(), uid.as_str()) == ("gondor", "g"),
            News::ClustersListed(names) => listed |= names == ["gondor"],
            _ => {}
        }
    }
    shutdown.cancel();
    running.await.unwrap();
}
