//! Writes to a real API server in memory, in which somebody else acts right before the write.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use federation_apiserver::{
    config::{Config, Profile},
    server::Server,
};
use http::Request;
use kube::{Api, api::PostParams, client::Body};
use tower::Service;

use super::*;

type Map = k8s_openapi::api::core::v1::ConfigMap;

/// A member, and what somebody writes into it right before the first write, after whatever looks there are.
struct Member {
    client: kube::Client,
    maps: Api<Map>,
    meddle: Arc<Mutex<Option<(String, Value)>>>,
    requests: Arc<AtomicUsize>,
    _server: Server,
}

impl Member {
    async fn start() -> Self {
        let server = Server::start(Config::in_memory(Profile::Member)).await.unwrap();
        server.wait_ready(std::time::Duration::from_secs(60)).await.unwrap();
        let (inner, meddle) = (server.admin_service(), Arc::new(Mutex::new(None::<(String, Value)>)));
        let (waiting, requests) = (meddle.clone(), Arc::<AtomicUsize>::default());
        let counted = requests.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (mut inner, writes, waiting) = (inner.clone(), request.method() != Method::GET, waiting.clone());
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let meddled = if writes { waiting.lock().unwrap().take() } else { None };
                if let Some((manager, object)) = meddled {
                    let body = Body::from(object.to_string().into_bytes());
                    let path = format!("/api/v1/namespaces/default/configmaps/ring?fieldManager={manager}");
                    let patch = Request::patch(path).header("content-type", APPLY).body(body).unwrap();
                    assert_eq!(inner.call(patch).await.unwrap().status(), 201);
                }
                inner.call(request).await
            }
        });
        let client = kube::Client::new(server.admin_service(), "default");
        Self { client: kube::Client::new(service, "default"), maps: Api::default_namespaced(client), meddle, requests, _server: server }
    }

    fn meddle(&self, manager: &str, object: Value) {
        *self.meddle.lock().unwrap() = Some((manager.to_owned(), object));
    }

    /// Writes what nothing is known of, or that this uid was seen of.
    async fn apply(&self, ours: Option<&str>) -> Outcome {
        self.apply_knowing(Known { ours: ours.map(Uid::from), absent: ours.is_none() }).await
    }

    async fn apply_knowing(&self, known: Known) -> Outcome {
        let mut exchange = Exchange::new(self.client.clone(), "fellowship".into());
        let body = Bytes::from(copy().to_string());
        exchange.apply(&key(), &body, &"u".into(), known, false).await.unwrap_or_else(|outcome| outcome)
    }

    async fn ring(&self) -> Map {
        self.maps.get("ring").await.unwrap()
    }
}

fn key() -> ObjectKey {
    ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "default".into(), name: "ring".into() }
}

fn ring(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ring", "namespace": "default"}, "data": data})
}

fn copy() -> Value {
    let mut copy = ring(&json!({"ring": "one"}));
    copy["metadata"]["labels"] = json!({keys::MANAGED_BY: "fellowship"});
    copy["metadata"]["annotations"] = json!({keys::SOURCE_UID: "u"});
    copy
}

/// Nothing of ours is in it.
fn assert_foreign(map: &Map) {
    assert_eq!(map.data.as_ref().unwrap().keys().collect::<Vec<_>>(), ["horn"]);
    assert_eq!((&map.metadata.labels, &map.metadata.annotations), (&None, &None));
    assert!(map.metadata.managed_fields.iter().flatten().all(|e| e.manager.as_deref() != Some(keys::FIELD_MANAGER)));
}

#[tokio::test]
async fn an_object_that_appears_after_the_look_is_left_as_it_was() {
    let member = Member::start().await;
    member.meddle("boromir", ring(&json!({"horn": "gondor"})));
    assert!(matches!(member.apply(None).await, Outcome::Conflict));
    assert_foreign(&member.ring().await);

    // The same without a belief.
    member.maps.delete("ring", &Default::default()).await.unwrap();
    member.meddle("boromir", ring(&json!({"horn": "gondor"})));
    assert!(matches!(member.apply_knowing(Known::default()).await, Outcome::Conflict));
    assert_foreign(&member.ring().await);
}

#[tokio::test]
async fn issue8_somebodys_object_is_never_written_not_even_for_a_moment() {
    let member = Member::start().await;
    let foreign = serde_json::from_value(ring(&json!({"horn": "gondor"}))).unwrap();
    let made = member.maps.create(&PostParams::default(), &foreign).await.unwrap();
    for known in [Known { ours: None, absent: true }, Known::default()] {
        assert!(matches!(member.apply_knowing(known).await, Outcome::Conflict));
    }
    assert_eq!(member.ring().await.metadata.resource_version, made.metadata.resource_version);
}

#[tokio::test]
async fn issue8_what_is_not_there_costs_one_request() {
    let member = Member::start().await;
    assert!(matches!(member.apply(None).await, Outcome::Applied { created: true, .. }));
    assert_eq!(member.requests.load(Ordering::SeqCst), 1);
    // Applied, so that what is dropped later goes.
    let ring = member.ring().await;
    let writers: Vec<_> = ring.metadata.managed_fields.iter().flatten().map(|e| (e.manager.as_deref(), e.operation.as_deref())).collect();
    assert_eq!(writers, [(Some(keys::FIELD_MANAGER), Some("Apply"))]);
}

#[tokio::test]
async fn an_earlier_write_whose_answer_was_lost_is_ours() {
    let member = Member::start().await;
    member.meddle(keys::FIELD_MANAGER, copy());
    assert!(matches!(member.apply(None).await, Outcome::Applied { created: false, .. }));
    assert_eq!(member.ring().await.data.unwrap()["ring"], "one");
}

#[tokio::test]
async fn an_object_made_again_by_somebody_else_is_not_taken_over() {
    let member = Member::start().await;
    let Outcome::Applied { seen, created: true } = member.apply(None).await else { panic!("not created") };
    // While it is as it was seen, it is brought to what it should be.
    assert!(matches!(member.apply(Some(&seen.uid.to_string())).await, Outcome::Applied { created: false, .. }));
    member.maps.delete("ring", &Default::default()).await.unwrap();
    let foreign = serde_json::from_value(ring(&json!({"horn": "gondor"}))).unwrap();
    member.maps.create(&PostParams::default(), &foreign).await.unwrap();
    assert!(matches!(member.apply(Some(&seen.uid.to_string())).await, Outcome::Conflict));
    assert_foreign(&member.ring().await);

    member.maps.delete("ring", &Default::default()).await.unwrap();
    assert!(matches!(member.apply(Some(&seen.uid.to_string())).await, Outcome::Applied { created: true, .. }));
}
