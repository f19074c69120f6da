//! The Service controller over a small federation API in memory and members made by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use dns_providers::{Change, Data, DnsName, Provider, RecordSet};

use crate::dns::memory::{Memory, zone};
use crate::dns::resolve::System;
use crate::dns::{DnsController, TTL, Tree};
use crate::events::Events;
use crate::follow::{Change as Told, Head};
use crate::members::{Endpoints, Health, Member, MemberChange, Members, Services};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One federated Service and the clusters, served as the federation API would.
#[derive(Clone)]
struct Api {
    service: Arc<Mutex<Option<Value>>>,
    watches: Arc<Mutex<Vec<mpsc::UnboundedSender<Value>>>>,
    patches: Arc<Mutex<Vec<Value>>>,
    clusters: Vec<&'static str>,
}

impl Api {
    fn new(service: Value, clusters: &[&'static str]) -> Self {
        Api { service: Arc::new(Mutex::new(Some(service))), watches: Arc::default(), patches: Arc::default(), clusters: clusters.to_vec() }
    }

    fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let api = api.clone();
            async move { Ok::<_, std::io::Error>(api.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: http::Request<kube::client::Body>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        if path.ends_with("/clusters") {
            let items: Vec<Value> = self
                .clusters
                .iter()
                .map(|name| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": name}}))
                .collect();
            return whole(&json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items}));
        }
        if parts.method == http::Method::PATCH {
            let patch: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
            let now = {
                let mut service = self.service.lock().unwrap();
                let service = service.as_mut().unwrap();
                merge(service, &patch);
                service.clone()
            };
            self.patches.lock().unwrap().push(patch);
            self.tell("MODIFIED", &now);
            return whole(&now);
        }
        if query.contains("watch=true") {
            let (sender, receiver) = mpsc::unbounded_channel();
            self.watches.lock().unwrap().push(sender);
            let lines = futures::stream::unfold(receiver, |mut receiver| async move {
                let event: Value = receiver.recv().await?;
                Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), receiver))
            });
            return http::Response::new(StreamBody::new(lines).boxed_unsync());
        }
        let items: Vec<Value> = self.service.lock().unwrap().iter().cloned().collect();
        whole(&json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": "1"}, "items": items}))
    }

    fn tell(&self, kind: &str, object: &Value) {
        let event = json!({"type": kind, "object": object});
        self.watches.lock().unwrap().retain(|watch| watch.send(event.clone()).is_ok());
    }

    fn annotation(&self) -> String {
        let service = self.service.lock().unwrap();
        let annotations = &service.as_ref().unwrap()["metadata"]["annotations"];
        annotations["federation.kubernetes.io/service-ingresses"].as_str().unwrap_or_default().to_owned()
    }

    fn status(&self) -> Value {
        self.service.lock().unwrap().as_ref().unwrap()["status"]["loadBalancer"]["ingress"].clone()
    }
}

fn whole(value: &Value) -> http::Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    http::Response::builder().header("content-type", "application/json").body(body.boxed_unsync()).unwrap()
}

fn merge(into: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            if !into.is_object() {
                *into = json!({});
            }
            for (key, value) in fields {
                if value.is_null() { drop(into.as_object_mut().unwrap().remove(key)) } else { merge(&mut into[key], value) }
            }
        }
        other => *into = other.clone(),
    }
}

/// A member with one Service, written by hand.
struct Hand {
    services: Services,
    slices: Endpoints,
}

fn gone<K>(name: &str) -> Told<K> {
    Told::Gone(Head { name: name.into(), namespace: "demo".into(), ..Head::default() }, None)
}

fn join(members: &Members, name: &str, region: &str, ip: &str) -> Hand {
    let (services, slices) = (Services::default(), Endpoints::default());
    services.take(&Told::Changed(member_service(ip)));
    slices.take(&Told::Changed(slice(true)));
    members.put(Member {
        name: name.into(),
        uid: name.into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        health: Health::Ready,
        counts: true,
        zones: vec![format!("{region}-1")],
        region: region.into(),
        client: None,
        services: services.clone(),
        endpoints: slices.clone(),
        services_synced: true,
        endpoints_synced: true,
    });
    Hand { services, slices }
}

fn service(kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nginx", "namespace": "demo", "resourceVersion": "1"}, "spec": {"type": kind}})
}

fn member_service(ip: &str) -> Service {
    let mut value = service("LoadBalancer");
    value["status"] = json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
    serde_json::from_value(value).unwrap()
}

fn slice(ready: bool) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"name": "nginx-1", "namespace": "demo", "labels": {"kubernetes.io/service-name": "nginx"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]
    }))
    .unwrap()
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

struct Fixture {
    api: Api,
    members: Members,
    dns: Arc<Memory>,
    stop: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start(api: Api) -> Fixture {
    again(api, Members::default(), Arc::default())
}

/// As after a restart: the records are there, and nothing is remembered.
fn again(api: Api, members: Members, dns: Arc<Memory>) -> Fixture {
    let tree = Tree { federation: "f".into(), suffix: zone().name, ttl: TTL, aliases_out: false };
    let (events, _writer) = Events::new(api.client());
    let report = Arc::new(events);
    let controller = DnsController::new(dns.clone(), zone(), tree, Arc::new(System::default()), report);
    let stop = CancellationToken::new();
    tokio::spawn(super::run(api.client(), members.clone(), Some(controller.handle()), stop.clone()));
    tokio::spawn(controller.run(stop.clone()));
    Fixture { api, members, dns, stop }
}

impl Fixture {
    async fn published(&self, what: &str, expected: &[&str]) {
        let mut last = Vec::new();
        for _ in 0..300 {
            let lines = self.dns.lines();
            last = lines.iter().map(|line| line.replace(".demo.f.svc", "").replace(".example.com.", "")).collect();
            last.sort();
            if last == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: {last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_addresses_reach_status_annotation_and_dns_and_follow() {
    let f = start(Api::new(service("LoadBalancer"), &["gondor", "rohan"]));
    let gondor = join(&f.members, "gondor", "south", "192.0.2.1");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(f.api.annotation(), "", "nothing is said before every joined member was read");
    let _rohan = join(&f.members, "rohan", "west", "192.0.2.2");
    let both = r#"{"items":[{"cluster":"gondor","items":[{"ip":"192.0.2.1"}]},{"cluster":"rohan","items":[{"ip":"192.0.2.2"}]}]}"#;
    until("both clusters in the annotation", || f.api.annotation() == both).await;
    assert_eq!(f.api.status(), json!([{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]));
    assert_eq!(f.api.patches.lock().unwrap().len(), 1, "status and annotation in one request, and only when they change");
    let all = [
        "nginx 180 A 192.0.2.1 192.0.2.2",
        "nginx.south 180 A 192.0.2.1",
        "nginx.south-1.south 180 A 192.0.2.1",
        "nginx.west 180 A 192.0.2.2",
        "nginx.west-1.west 180 A 192.0.2.2",
    ];
    f.published("all levels", &all).await;

    gondor.slices.take(&Told::Changed(slice(false)));
    f.members.tell(MemberChange::Endpoints { cluster: "gondor".into(), namespace: "demo".into(), service: "nginx".into() });
    let null = r#"{"items":[{"cluster":"gondor","items":null},{"cluster":"rohan","items":[{"ip":"192.0.2.2"}]}]}"#;
    until("null without endpoints", || f.api.annotation() == null).await;
    let fallen = [
        "nginx 180 A 192.0.2.2",
        "nginx.south 180 CNAME nginx",
        "nginx.south-1.south 180 CNAME nginx.south",
        "nginx.west 180 A 192.0.2.2",
        "nginx.west-1.west 180 A 192.0.2.2",
    ];
    f.published("south fell up", &fallen).await;

    gondor.slices.take(&Told::Changed(slice(true)));
    gondor.services.take(&Told::Changed(member_service("192.0.2.1")));
    f.members.tell(MemberChange::Service { cluster: "gondor".into(), namespace: "demo".into(), name: "nginx".into() });
    f.published("south is back", &all).await;

    f.members.modify("gondor", |m| m.health = Health::Offline);
    f.published("south was cut off", &fallen).await;
    until("status without gondor", || f.api.status() == json!([{"ip": "192.0.2.2"}])).await;
    assert_eq!(f.api.annotation(), both, "the entry of a cluster that is away stays");
    f.members.modify("rohan", |m| m.health = Health::Offline);
    f.published("all away: what was last known", &all).await;

    f.members.modify("rohan", |m| m.health = Health::Ready);
    f.members.remove("gondor");
    f.published("gondor left", &["nginx 180 A 192.0.2.2", "nginx.west 180 A 192.0.2.2", "nginx.west-1.west 180 A 192.0.2.2"]).await;

    let gone = f.api.service.lock().unwrap().take().unwrap();
    f.api.tell("DELETED", &gone);
    f.published("deleted", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn promise_1_neither_lost_members_nor_endpoints_that_vanish_empty_a_name_for_a_moment() {
    let f = start(Api::new(service("LoadBalancer"), &["gondor", "rohan"]));
    let gondor = join(&f.members, "gondor", "south", "192.0.2.1");
    let rohan = join(&f.members, "rohan", "west", "192.0.2.2");
    let all = [
        "nginx 180 A 192.0.2.1 192.0.2.2",
        "nginx.south 180 A 192.0.2.1",
        "nginx.south-1.south 180 A 192.0.2.1",
        "nginx.west 180 A 192.0.2.2",
        "nginx.west-1.west 180 A 192.0.2.2",
    ];
    f.published("all levels", &all).await;
    // Whoever asks at any time gets an answer at every level.
    let (dns, stop) = (f.dns.clone(), f.stop.clone());
    let asking = tokio::spawn(async move {
        let mut asked = 0_u64;
        while !stop.is_cancelled() {
            let held = dns.lines();
            assert_eq!(held.len(), 5, "{held:?}");
            asked += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asked
    });
    let endpoints = |name: &str| MemberChange::Endpoints { cluster: name.into(), namespace: "demo".into(), service: "nginx".into() };
    gondor.slices.take(&Told::Changed(slice(false)));
    f.members.tell(endpoints("gondor"));
    let fallen = [
        "nginx 180 A 192.0.2.2",
        "nginx.south 180 CNAME nginx",
        "nginx.south-1.south 180 CNAME nginx.south",
        "nginx.west 180 A 192.0.2.2",
        "nginx.west-1.west 180 A 192.0.2.2",
    ];
    f.published("no endpoints in gondor", &fallen).await;
    rohan.slices.take(&gone("nginx-1"));
    f.members.tell(endpoints("rohan"));
    f.published("no endpoints anywhere: the addresses stay", &all).await;
    f.members.modify("gondor", |m| m.health = Health::Offline);
    f.members.modify("rohan", |m| (m.health, m.counts) = (Health::Offline, false));
    f.members.modify("rohan", |m| (m.services_synced, m.endpoints_synced) = (false, false));
    until("nobody is ready", || f.api.status().as_array().is_none_or(Vec::is_empty)).await;
    f.published("everybody is away", &all).await;
    gondor.services.take(&Told::Changed(member_service("192.0.2.1")));
    f.members.modify("gondor", |m| m.health = Health::Ready);
    gondor.slices.take(&Told::Changed(slice(true)));
    f.members.tell(endpoints("gondor"));
    let back = [
        "nginx 180 A 192.0.2.1",
        "nginx.south 180 A 192.0.2.1",
        "nginx.south-1.south 180 A 192.0.2.1",
        "nginx.west 180 CNAME nginx",
        "nginx.west-1.west 180 CNAME nginx.west",
    ];
    f.published("gondor is back", &back).await;
    f.stop.cancel();
    assert!(asking.await.unwrap() > 10);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_no_load_balancer_any_more_loses_names_status_and_annotation() {
    let f = start(Api::new(service("LoadBalancer"), &["gondor"]));
    let _gondor = join(&f.members, "gondor", "south", "192.0.2.1");
    f.published("published", &["nginx 180 A 192.0.2.1", "nginx.south 180 A 192.0.2.1", "nginx.south-1.south 180 A 192.0.2.1"]).await;
    until("status", || f.api.status() == json!([{"ip": "192.0.2.1"}])).await;
    let changed = {
        let mut service = f.api.service.lock().unwrap();
        let service = service.as_mut().unwrap();
        service["spec"]["type"] = json!("ClusterIP");
        service.clone()
    };
    f.api.tell("MODIFIED", &changed);
    f.published("withdrawn", &[]).await;
    until("cleared", || f.api.status().is_null() && f.api.annotation().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn leftovers_go_when_a_cluster_consents() {
    let f = start(Api::new(service("LoadBalancer"), &["gondor"]));
    let leftover = |i: u8| {
        let name = DnsName::parse(&format!("old{i}.demo.f.svc.example.com")).unwrap();
        Change::Upsert(RecordSet { name, ttl: 180, data: Data::A([[192, 0, 2, 9].into()].into()) })
    };
    f.dns.apply(&zone(), &(0..12).map(leftover).collect::<Vec<_>>()).await.unwrap();
    let _gondor = join(&f.members, "gondor", "south", "192.0.2.1");
    until("status", || f.api.status() == json!([{"ip": "192.0.2.1"}])).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(f.dns.lines().len(), 15);
    f.members.modify("gondor", |m| drop(m.annotations.insert("federation.kubernetes.io/dns-deletion".into(), "allow".into())));
    f.published("no leftovers", &["nginx 180 A 192.0.2.1", "nginx.south 180 A 192.0.2.1", "nginx.south-1.south 180 A 192.0.2.1"]).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_member_that_is_away_keeps_its_names_by_the_annotation() {
    let mut federated = service("LoadBalancer");
    let before = r#"{"items":[{"cluster":"gondor","items":[{"ip":"192.0.2.1"}]}]}"#;
    federated["metadata"]["annotations"] = json!({"federation.kubernetes.io/service-ingresses": before});
    let f = start(Api::new(federated, &["gondor"]));
    let gondor = join(&f.members, "gondor", "south", "203.0.113.1");
    f.members.modify("gondor", |m| (m.health, m.services_synced, m.endpoints_synced) = (Health::Offline, false, false));
    gondor.services.take(&gone("nginx"));
    f.published("seeded", &["nginx 180 A 192.0.2.1", "nginx.south 180 A 192.0.2.1", "nginx.south-1.south 180 A 192.0.2.1"]).await;
    assert_eq!(f.api.annotation(), before);
}

#[tokio::test(start_paused = true)]
async fn a_service_deleted_without_its_copies_keeps_its_names_over_a_restart_until_the_copies_go() {
    let f = start(Api::new(service("LoadBalancer"), &["gondor"]));
    let gondor = join(&f.members, "gondor", "south", "192.0.2.1");
    let names = ["nginx 180 A 192.0.2.1", "nginx.south 180 A 192.0.2.1", "nginx.south-1.south 180 A 192.0.2.1"];
    f.published("published", &names).await;
    let stays = async |f: &Fixture, what: &str| {
        tokio::time::sleep(Duration::from_millis(400)).await;
        f.published(what, &names).await;
    };
    let mut going = f.api.service.lock().unwrap().take().unwrap();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    going["metadata"]["finalizers"] = json!(["orphan"]);
    f.api.tell("MODIFIED", &going);
    stays(&f, "on its way out").await;
    going["metadata"]["finalizers"] = json!([]);
    f.api.tell("DELETED", &going);
    stays(&f, "gone").await;
    f.members.modify("gondor", |m| m.region = "south".into());
    stays(&f, "after a look at everything").await;

    f.stop.cancel();
    f.members.modify("gondor", |m| (m.health, m.services_synced) = (Health::Offline, false));
    gondor.services.take(&gone("nginx"));
    let f = again(f.api.clone(), f.members.clone(), f.dns.clone());
    stays(&f, "restarted, the member was not read").await;
    gondor.services.take(&Told::Changed(member_service("192.0.2.1")));
    f.members.modify("gondor", |m| (m.health, m.services_synced) = (Health::Ready, true));
    stays(&f, "restarted, the copy was seen").await;
    gondor.services.take(&gone("nginx"));
    f.members.tell(MemberChange::Service { cluster: "gondor".into(), namespace: "demo".into(), name: "nginx".into() });
    f.published("the last copy went", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn d3_a_service_that_was_never_read_keeps_its_names() {
    let f = start(Api::new(service("LoadBalancer"), &["gondor"]));
    let gondor = join(&f.members, "gondor", "south", "192.0.2.1");
    let names = ["nginx 180 A 192.0.2.1", "nginx.south 180 A 192.0.2.1", "nginx.south-1.south 180 A 192.0.2.1"];
    f.published("published", &names).await;
    f.stop.cancel();
    // It is deeper than JSON is read now, and no member has a copy.
    let deep = (0..200).fold(json!({}), |inner, _| json!({"a": inner}));
    f.api.service.lock().unwrap().as_mut().unwrap()["metadata"]["managedFields"] = json!([{"fieldsV1": deep}]);
    gondor.services.take(&gone("nginx"));
    let old = DnsName::parse("old.demo.f.svc.example.com").unwrap();
    let leftover = Change::Upsert(RecordSet { name: old, ttl: 180, data: Data::A([[192, 0, 2, 9].into()].into()) });
    f.dns.apply(&zone(), &[leftover]).await.unwrap();
    let f = again(f.api.clone(), f.members.clone(), f.dns.clone());
    f.published("what is left of others goes, so all was told", &names).await;
    f.members.modify("gondor", |m| m.region = "west".into());
    f.members.modify("gondor", |m| m.region = "south".into());
    tokio::time::sleep(Duration::from_millis(400)).await;
    f.published("after a look at everything", &names).await;
}
