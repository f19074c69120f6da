//! What a server says, and what follows from it. The server is a function.

use std::sync::{Arc, Mutex};

use http::Response;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

fn object(name: &str, version: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "demo", "uid": name, "resourceVersion": version.to_string()}})
}

fn list(version: u64, items: &[Value]) -> String {
    json!({"kind": "List", "metadata": {"resourceVersion": version.to_string()}, "items": items}).to_string()
}

fn event(type_: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": type_, "object": object}))
}

/// An object nested deeper than JSON is read.
fn deep(name: &str, version: u64) -> String {
    let nested = format!("{}{{}}{}", "{\"a\":".repeat(200), "}".repeat(200));
    object(name, version).to_string().replacen('{', &format!("{{\"data\":{nested},"), 1)
}

/// Follows a server that gives these answers, one a request, and then none; what it tells, and what was asked.
fn follow(answers: Vec<(u16, String)>) -> (mpsc::UnboundedReceiver<Change<DynamicObject>>, Arc<Mutex<Vec<String>>>) {
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        questions.lock().unwrap().push(request.uri().to_string());
        let answer = answers.lock().unwrap().next();
        async move {
            let Some((status, body)) = answer else { return std::future::pending().await };
            Response::builder().status(status).body(Body::from(body.into_bytes())).map_err(std::io::Error::other)
        }
    });
    let source = Source::new(kube::Client::new(service, "default"), "/api/v1/configmaps".into(), "mine=yes");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(source.follow(move |change| drop(sender.send(change))));
    (receiver, asked)
}

fn names(change: Option<Change<DynamicObject>>) -> (Why, Vec<String>) {
    let Some(Change::Listed(listing)) = change else { panic!("no list: {change:?}") };
    (listing.why, listing.objects.into_iter().filter_map(|o| o.metadata.name).collect())
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_a_watch_is_not_resumed_from_a_version_the_store_has_not_reached() {
    let (mut told, asked) = follow(vec![
        (200, list(100, &[object("ring", 90)])),
        (200, event("MODIFIED", &object("ring", 105))),
        // The watch ended; the store is now one of version 60.
        (200, list(60, &[])),
        (200, list(60, &[object("ring", 50)])),
    ]);
    assert_eq!(names(told.recv().await), (Why::First, vec!["ring".into()]));
    assert!(matches!(told.recv().await, Some(Change::Changed(_))));
    assert_eq!(names(told.recv().await), (Why::WentBack, vec!["ring".into()]));
    tokio::task::yield_now().await;
    let asked = asked.lock().unwrap();
    assert!(asked[1].contains("resourceVersion=100") && asked[4].contains("resourceVersion=60"), "{asked:?}");
    assert!(asked.iter().all(|path| path.contains("labelSelector=mine%3Dyes")));
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_it_ended_and_lists_again_when_history_is_too_short() {
    let (mut told, asked) = follow(vec![
        (200, list(100, &[])),
        (200, event("BOOKMARK", &object("", 120))),
        (200, list(130, &[])),
        (200, event("DELETED", &object("ring", 125))),
        (200, list(130, &[])),
        (410, String::new()),
        (200, list(140, &[object("horn", 1)])),
    ]);
    assert_eq!(names(told.recv().await).0, Why::First);
    assert!(matches!(told.recv().await, Some(Change::Gone(head, Some(_))) if head.uid == "ring"));
    assert_eq!(names(told.recv().await), (Why::Expired, vec!["horn".into()]));
    assert!(asked.lock().unwrap()[3].contains("resourceVersion=120"));
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_a_list_that_is_older_than_what_was_known_says_so() {
    // The store was put back between the question for its version and the watch.
    let (mut told, _) = follow(vec![(200, list(100, &[])), (410, String::new()), (200, list(60, &[]))]);
    assert_eq!(names(told.recv().await).0, Why::First);
    assert_eq!(names(told.recv().await).0, Why::WentBack);
}

#[tokio::test(start_paused = true)]
async fn d3_one_object_that_cannot_be_read_does_not_hide_the_others() {
    let mixed = list(7, &[object("ring", 5)]).replace("\"items\":[", &format!("\"items\":[{},", deep("deep", 4)));
    let events = event("ADDED", &object("horn", 8)) + &format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", deep("deep", 9));
    let (mut told, _) = follow(vec![(200, mixed), (200, events)]);
    let Some(Change::Listed(listing)) = told.recv().await else { panic!("no list") };
    assert_eq!((listing.objects.len(), listing.unreadable[0].name.as_str()), (1, "deep"));
    assert!(matches!(told.recv().await, Some(Change::Changed(_))));
    assert!(matches!(told.recv().await, Some(Change::Unreadable(head, _)) if head.name == "deep"));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_metadata_is_null_at_kube_apiserver_when_it_is_empty_and_never_missing() {
    let (mut told, _) = follow(vec![(200, list(7, &[]).replace("[]", "null"))]);
    assert_eq!(names(told.recv().await), (Why::First, vec![]));
    let (mut told, _) = follow(vec![(200, list(7, &[]).replace("items", "objects"))]);
    assert!(matches!(told.recv().await, Some(Change::Failing(why)) if why.contains("missing field")));
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_tried_again_ever_more_slowly() {
    let refused = || (403, json!({"message": "not allowed"}).to_string());
    let start = Instant::now();
    let (mut told, _) = follow(vec![refused(), refused(), refused(), (200, list(1, &[]))]);
    for _ in 0..3 {
        assert!(matches!(told.recv().await, Some(Change::Failing(reason)) if reason == "not allowed"));
    }
    assert_eq!(names(told.recv().await).0, Why::First);
    assert!(start.elapsed() >= Duration::from_secs(2) && start.elapsed() <= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_too_slow_become_smaller() {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let query = request.uri().query().unwrap_or_default().to_owned();
        if query.contains("watch=true") || query.contains("limit=500") || query.contains("limit=125&") {
            std::future::pending::<()>().await;
        }
        Ok::<_, std::io::Error>(Response::new(Body::from(list(1, &[object("ring", 1)]).into_bytes())))
    });
    let source = Source::<DynamicObject>::new(kube::Client::new(service, "default"), "/api/v1/configmaps".into(), "");
    let (sender, mut told) = mpsc::unbounded_channel();
    tokio::spawn(source.follow(move |change| drop(sender.send(change))));
    assert_eq!(names(told.recv().await).1, ["ring"]);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_asked_for_in_the_form_of_what_is_asked() {
    // kube-apiserver refuses a list in the form of one object.
    let (asked, mut told) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let form = request.headers()[header::ACCEPT].to_str().unwrap().to_owned();
        drop(asked.send((request.uri().query().unwrap_or_default().contains("watch=true"), form)));
        async move { Ok::<_, std::io::Error>(Response::new(Body::from(list(1, &[]).into_bytes()))) }
    });
    let source = Source::<DynamicObject>::new(kube::Client::new(service, "default"), "/api/v1/configmaps".into(), "").metadata_only();
    tokio::spawn(source.follow(drop));
    let (watches, form) = told.recv().await.unwrap();
    assert!(!watches && form.starts_with("application/json;as=PartialObjectMetadataList;"), "{form}");
    let (watches, form) = told.recv().await.unwrap();
    assert!(watches && form.starts_with("application/json;as=PartialObjectMetadata;"), "{form}");
}
