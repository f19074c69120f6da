//! What a server says, and what follows from it. The server is a function.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::{api::DynamicObject, client::Body};
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
    let versions = asked.iter().filter(|path| path.ends_with("?limit=1")).count();
    assert_eq!(versions, 1, "with a selector kube-apiserver reads the whole kind: {asked:?}");
    assert!(asked.iter().all(|path| path.ends_with("?limit=1") || path.contains("labelSelector=mine%3Dyes")));
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_it_ended_and_lists_again_when_history_is_too_short() {
    let (mut told, asked) = follow(vec![
        (200, list(100, &[])),
        (200, event("BOOKMARK", &object("", 120))),
        (200, list(130, &[])),
        (200, event("DELETED", &object("ring", 125))),
        (200, list(130, &[])),
        // It ended before its time, and the newest that is known is still gone.
        (404, json!({"kind": "Status", "apiVersion": "v1", "reason": "NotFound"}).to_string()),
        (410, String::new()),
        (200, list(140, &[object("horn", 1)])),
    ]);
    assert_eq!(names(told.recv().await).0, Why::First);
    assert!(matches!(told.recv().await, Some(Change::Gone(head, Some(_))) if head.uid == "ring"));
    assert_eq!(names(told.recv().await), (Why::Expired, vec!["horn".into()]));
    assert!(asked.lock().unwrap()[3].contains("resourceVersion=120"));
}

#[tokio::test(start_paused = true)]
async fn issue7_that_a_proxy_does_not_find_an_object_does_not_say_that_it_is_gone() {
    let (mut told, asked) = follow(vec![
        (200, list(100, &[])),
        (200, event("DELETED", &object("ring", 125))),
        (200, list(130, &[])),
        // The watch ended before its time. Whether the object is gone nobody says who knows.
        (404, "404 page not found".into()),
        (200, list(140, &[object("ring", 135)])),
    ]);
    assert_eq!(names(told.recv().await).0, Why::First);
    assert!(matches!(told.recv().await, Some(Change::Gone(..))));
    assert_eq!(names(told.recv().await), (Why::Expired, vec!["ring".into()]));
    assert!(asked.lock().unwrap()[3].ends_with("/namespaces/demo/configmaps/ring"));
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

type Server = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// Follows a server that answers by path and query; what is told, and how often what was asked.
fn follow_server(server: Server) -> (mpsc::UnboundedReceiver<Change<DynamicObject>>, Arc<Mutex<Vec<String>>>) {
    follow_compared(server, None)
}

fn follow_compared(server: Server, compare: Option<Duration>) -> (mpsc::UnboundedReceiver<Change<DynamicObject>>, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().to_string();
        questions.lock().unwrap().push(path.clone());
        let (status, body) = server(&path);
        async move {
            type Answer = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;
            let body: Answer = match status {
                // A watch on which nothing happens.
                0 => http_body_util::StreamBody::new(futures::stream::pending()).boxed_unsync(),
                // One that is cut after a minute.
                1 => http_body_util::StreamBody::new(futures::stream::once(async {
                    sleep(Duration::from_secs(60)).await;
                    Err(std::io::ErrorKind::ConnectionReset.into())
                }))
                .boxed_unsync(),
                _ => http_body_util::Full::from(body.into_bytes()).map_err(|never| match never {}).boxed_unsync(),
            };
            let status = if status < 100 { 200 } else { status };
            Response::builder().status(status).body(body).map_err(std::io::Error::other)
        }
    });
    let mut source = Source::new(kube::Client::new(service, "default"), "/api/v1/configmaps".into(), "mine=yes");
    source.compare = compare;
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(source.follow(move |change| drop(sender.send(change))));
    (receiver, asked)
}

fn is_watch(path: &str) -> bool {
    path.contains("watch=true")
}

fn is_list(path: &str) -> bool {
    path.contains("?limit=500") || path.contains("resourceVersionMatch")
}

/// Lists and watches that were asked for in `minutes` after the first five.
async fn asked_in(minutes: u32, asked: &Mutex<Vec<String>>) -> (usize, usize) {
    sleep(Duration::from_secs(300)).await;
    asked.lock().unwrap().clear();
    sleep(Duration::from_secs(60) * minutes).await;
    let asked = asked.lock().unwrap();
    (asked.iter().filter(|p| is_list(p)).count(), asked.iter().filter(|p| is_watch(p)).count())
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_what_may_be_listed_and_not_watched_is_listed_once() {
    let (mut told, asked) = follow_server(Arc::new(|path| match path {
        path if is_watch(path) => (403, json!({"message": "no watch"}).to_string()),
        _ => (200, list(100, &[object("ring", 90)])),
    }));
    let (lists, watches) = asked_in(10, &asked).await;
    assert_eq!(lists, 0);
    assert!((18..=32).contains(&watches), "{watches}");
    assert_eq!(names(told.recv().await).0, Why::First);
    assert!(std::iter::from_fn(|| told.try_recv().ok()).all(|c| matches!(c, Change::Failing(why) if why == "no watch")));
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_watches_that_end_at_once_are_begun_ever_more_slowly() {
    // A proxy that buffers, and one that knows no history.
    for (answer, lists) in [(200, 0), (410, 18)] {
        let (_told, asked) = follow_server(Arc::new(move |path| match path {
            path if is_watch(path) => (answer, String::new()),
            path if path.ends_with("/configmaps/ring") => (200, object("ring", 90).to_string()),
            _ => (200, list(100, &[object("ring", 90)])),
        }));
        let (listed, watched) = asked_in(10, &asked).await;
        assert!((18..=32).contains(&watched) && (lists..=lists * 2).contains(&listed), "{answer}: {listed} lists, {watched} watches");
    }
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_one_address_of_two_stores_is_listed_ever_more_slowly() {
    let turn = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (_told, asked) = follow_server(Arc::new(move |path| match path {
        path if is_watch(path) => (200, String::new()),
        _ => (200, list(if turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2) { 900 } else { 100 }, &[])),
    }));
    let (listed, _) = asked_in(10, &asked).await;
    assert!(listed <= 32, "{listed} lists");
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_a_watch_that_is_cut_when_idle_is_resumed() {
    let (mut told, asked) = follow_server(Arc::new(|path| match path {
        path if is_watch(path) => (1, String::new()),
        path if path.ends_with("/namespaces/demo/configmaps/ring") => (200, object("ring", 90).to_string()),
        _ => (200, list(100, &[object("ring", 90)])),
    }));
    let (lists, watches) = asked_in(10, &asked).await;
    assert!(lists == 0 && (9..=11).contains(&watches), "{lists} lists, {watches} watches");
    assert_eq!(names(told.recv().await).0, Why::First);
    assert!(told.try_recv().is_err(), "nothing failed");
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_a_store_that_was_put_back_and_has_overtaken_is_listed() {
    let restored = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let state = restored.clone();
    let (mut told, _) = follow_server(Arc::new(move |path| {
        let restored = state.load(std::sync::atomic::Ordering::SeqCst);
        match path {
            path if is_watch(path) => (1, String::new()),
            path if path.ends_with("/configmaps/ring") && !restored => (200, object("ring", 90).to_string()),
            // As it was before; the store has had many other writes since it was put back.
            path if path.ends_with("/configmaps/ring") => (200, object("ring", 50).to_string()),
            _ if restored => (200, list(200, &[object("ring", 50), object("horn", 40)])),
            _ => (200, list(100, &[object("ring", 90)])),
        }
    }));
    assert_eq!(names(told.recv().await), (Why::First, vec!["ring".into()]));
    sleep(Duration::from_secs(90)).await;
    restored.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(names(told.recv().await), (Why::Expired, vec!["ring".into(), "horn".into()]));
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_servers_of_one_store_that_lag_are_no_restore() {
    // One is behind in what it has cached. What is asked for without a version comes from the store itself, and what
    // is asked for with one is refused until it is there, as kube-apiserver does.
    let turn = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let answer: Server = Arc::new(move |path| match path {
        path if is_watch(path) => (1, String::new()),
        path if path.ends_with("/configmaps/ring") => (200, object("ring", 90).to_string()),
        path if path.contains("resourceVersionMatch=NotOlderThan")
            && turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2) =>
        {
            (504, json!({"kind": "Status", "reason": "Timeout", "message": "Too large resource version: 100, current: 95"}).to_string())
        }
        _ => (200, list(100, &[object("ring", 90)])),
    });
    let (mut told, asked) = follow_compared(answer, Some(Duration::from_secs(200)));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(names(told.recv().await).0, Why::First);
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).map(|change| names(Some(change)).0).collect();
    assert!(told.len() > 15 && told.iter().all(|why| *why == Why::Comparison), "{told:?}");
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|p| p.contains("?resourceVersion=100&resourceVersionMatch=NotOlderThan&labelSelector=")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn issue7_case_34_comparisons_come_from_the_cache_of_the_server() {
    let (_told, asked) = follow_compared(
        Arc::new(|path| if is_watch(path) { (0, String::new()) } else { (200, list(100, &[])) }),
        Some(Duration::from_secs(200)),
    );
    sleep(Duration::from_secs(3600)).await;
    let asked = asked.lock().unwrap();
    let (paged, cached) =
        (asked.iter().filter(|p| p.contains("limit=500")).count(), asked.iter().filter(|p| p.contains("NotOlderThan")).count());
    assert!(paged == 1 && (18..=36).contains(&cached), "{paged} {cached}");
}

#[tokio::test(start_paused = true)]
async fn d20_a_list_without_end_is_an_error() {
    let page = json!({"metadata": {"resourceVersion": "1", "continue": "more"}, "items": []}).to_string();
    let (mut told, asked) = follow_server(Arc::new(move |_| (200, page.clone())));
    let Some(Change::Failing(why)) = told.recv().await else { panic!("no failure") };
    assert!(why.contains("pages"), "{why}");
    assert_eq!(asked.lock().unwrap().len(), answer::MOST_PAGES);
}
