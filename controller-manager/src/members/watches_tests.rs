//! What the readers of a member's stores are told, and what they find in them. The member is a function.

use std::collections::BTreeMap;

use super::super::services::{Name, differing};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, Response};
use kube::client::Body;
use proptest::prelude::*;
use tokio::sync::broadcast::Receiver;

use super::*;

const DEMO: &str = r#"{"metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"5","labels":{"kubernetes.io/service-name":"web"},"managedFields":[]},"endpoints":[{"addresses":["192.0.2.1"]}]}"#;

/// DEMO in the first list, and the same object nested deeper than JSON is read in every later one.
fn read_once(nth: usize) -> Vec<String> {
    let deep = format!("\"managedFields\":[{{\"fieldsV1\":{}{{}}{}}}]", "{\"a\":".repeat(200), "}".repeat(200));
    vec![if nth == 0 { DEMO.to_owned() } else { DEMO.replace("\"managedFields\":[]", &deep) }]
}

/// A member of which the n-th list of each collection has these objects, and whose watches end at once.
fn member(items: impl Fn(usize) -> Vec<String> + Send + Sync + 'static) -> (Watches, watch::Sender<Option<Session>>, Arc<AtomicUsize>) {
    let lists = Arc::new(AtomicUsize::new(0));
    let (counted, seen) = (lists.clone(), Arc::new(Mutex::new(BTreeMap::<String, usize>::new())));
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (status, body) = if query.contains("watch=true") {
            (410, String::new())
        } else {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut seen = seen.lock().unwrap();
            let nth = seen.entry(request.uri().path().to_owned()).or_default();
            let items = items(*nth).join(",");
            *nth += 1;
            (200, format!(r#"{{"metadata":{{"resourceVersion":"9"}},"items":[{items}]}}"#))
        };
        std::future::ready(Response::builder().status(status).body(Body::from(body.into_bytes())).map_err(std::io::Error::other))
    });
    let client = kube::Client::new(service, "default");
    let (sender, session) = watch::channel(Some(Session { epoch: 1, client }));
    let watches = Watches {
        cluster: "gondor".into(),
        federation: "fellowship".into(),
        session,
        tell: Arc::new(|_, _, _| {}),
        members: Members::default(),
        comparison: Duration::from_secs(60),
    };
    (watches, sender, lists)
}

#[tokio::test(start_paused = true)]
async fn promise_1_a_service_that_cannot_be_read_any_more_stays_as_it_is_known() {
    let (watches, _session, lists) = member(read_once);
    let id = KINDS.iter().position(|kind| kind.kind == "Service").unwrap();
    let (services, endpoints) = (Services::default(), Endpoints::default());
    tokio::spawn(watches.clone().services(services.clone(), id));
    tokio::spawn(watches.endpoints(endpoints.clone()));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(lists.load(Ordering::SeqCst) > 4, "it was listed again");
    assert!(services.get("demo", "web").is_some());
    assert!(endpoints.answer("demo", "web"));
}

/// Follows Services and slices of a member that joined; what is told, and how many lists there were.
fn follow(
    items: impl Fn(usize) -> Vec<String> + Send + Sync + 'static,
) -> (Receiver<MemberChange>, watch::Sender<Option<Session>>, Arc<AtomicUsize>) {
    let (watches, session, lists) = member(items);
    let id = KINDS.iter().position(|kind| kind.kind == "Service").unwrap();
    let (services, endpoints) = (Services::default(), Endpoints::default());
    watches.members.put(Member {
        name: "gondor".into(),
        uid: "g".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        health: crate::members::Health::Ready,
        counts: true,
        zones: Vec::new(),
        region: String::new(),
        client: None,
        services: services.clone(),
        endpoints: endpoints.clone(),
        services_synced: false,
        endpoints_synced: false,
    });
    let changes = watches.members.changes();
    tokio::spawn(watches.clone().services(services, id));
    tokio::spawn(watches.endpoints(endpoints));
    (changes, session, lists)
}

fn all(changes: &mut Receiver<MemberChange>) -> Vec<MemberChange> {
    std::iter::from_fn(|| changes.try_recv().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_comparison_tells_nothing_where_nothing_differs() {
    let (mut changes, _session, lists) = follow(|_| vec![DEMO.to_owned()]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(lists.load(Ordering::SeqCst) > 4, "it was listed again");
    let told = all(&mut changes);
    let clusters = told.iter().filter(|c| matches!(c, MemberChange::Cluster(_))).count();
    assert_eq!((clusters, told.len()), (2, 4), "each first list tells what it brings and that it is known: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_comparison_tells_what_differs_and_no_more() {
    let other = DEMO.replace("web", "db");
    let (mut changes, _session, _) = follow(move |nth| {
        let changed = DEMO.replace("\"5\"", "\"6\"").replace("192.0.2.1", "");
        if nth < 2 { vec![DEMO.to_owned(), other.clone()] } else { vec![changed.replace("[\"\"]", "[]"), other.clone()] }
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    let (cluster, namespace) = ("gondor".to_owned(), "demo".to_owned());
    let told: Vec<_> = all(&mut changes).split_off(6);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&MemberChange::Service { cluster: cluster.clone(), namespace: namespace.clone(), name: "web".into() }));
    assert!(told.contains(&MemberChange::Endpoints { cluster, namespace, service: "web".into() }));
}

fn states() -> impl Strategy<Value = BTreeMap<Name, u8>> {
    prop::collection::btree_map(("[ab]", "[a-d]"), 0..3u8, 0..8)
}

proptest! {
    #[test]
    fn what_is_told_leads_from_one_state_to_the_other_and_equal_states_tell_nothing(before in states(), now in states()) {
        let mut reader = before.clone();
        for name in differing(&before, &now) {
            prop_assert_ne!(reader.get(&name), now.get(&name), "it is told once, and only where it differs");
            match now.get(&name) {
                Some(value) => drop(reader.insert(name, *value)),
                None => drop(reader.remove(&name)),
            }
        }
        prop_assert_eq!(reader, now);
        prop_assert!(differing(&before, &before).is_empty());
    }
}
