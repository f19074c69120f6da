//! One battery of tests over every provider.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use dns_providers::{Change, Data, Held, Kind, Provider, RecordSet, Zone, coredns, embedded, select_zone};
use support::{Process, a, aaaa, cname, name};

/// A provider under test and what must live as long.
struct Subject {
    provider: Arc<dyn Provider>,
    zone: Zone,
    _process: Option<Process>,
}

async fn coredns_subject() -> Subject {
    let (process, url) = support::etcd().await;
    let text = format!("[Global]\netcd-endpoints = {url}\nzones = example.com., example.net.\n");
    let config = coredns::Config::parse(Path::new("c.conf"), &text).unwrap();
    let provider = Arc::new(coredns::CoreDns::connect(config, "fellowship").await.unwrap());
    subject(provider, Some(process)).await
}

async fn embedded_subject() -> Subject {
    let text = "[Global]\nlisten = 127.0.0.1:0\nzones = example.com., example.net.\n";
    let config = embedded::Config::parse(Path::new("e.conf"), text, None).unwrap();
    subject(Arc::new(embedded::Embedded::start(config).await.unwrap()), None).await
}

async fn subject(provider: Arc<dyn Provider>, process: Option<Process>) -> Subject {
    let zone = select_zone(&provider.zones().await.unwrap(), "example.com", None).unwrap();
    Subject { provider, zone, _process: process }
}

impl Subject {
    async fn apply(&self, batch: &[Change]) -> Vec<String> {
        let rejected = self.provider.apply(&self.zone, batch).await.unwrap();
        rejected.into_iter().map(|r| r.name.to_string()).collect()
    }

    async fn held(&self, under: &str) -> Vec<RecordSet> {
        let held: Vec<Held> = self.provider.read(&self.zone, &name(under)).await.unwrap();
        assert!(held.iter().all(|h| h.owned));
        let mut sets: Vec<RecordSet> = held.into_iter().map(|h| h.set).collect();
        sets.sort();
        sets
    }
}

fn upserts(sets: &[RecordSet]) -> Vec<Change> {
    sets.iter().cloned().map(Change::Upsert).collect()
}

async fn sets_are_held_as_written(s: &Subject) {
    let mut sets = vec![
        a("nginx.demo.f.svc.example.com", &["192.0.2.1", "192.0.2.2"]),
        aaaa("nginx.demo.f.svc.example.com", &["2001:db8::1"]),
        a("nginx.demo.f.svc.west.example.com", &["192.0.2.1"]),
        cname("nginx.demo.f.svc.z1.west.example.com", "nginx.demo.f.svc.west.example.com"),
    ];
    assert_eq!(s.apply(&upserts(&sets)).await, Vec::<String>::new());
    sets.sort();
    assert_eq!(s.held("example.com").await, sets);
    assert_eq!(s.held("west.example.com").await.len(), 2, "only what lies under the name asked for");
    assert_eq!(s.apply(&upserts(&sets)).await, Vec::<String>::new(), "a repeat changes nothing");
    assert_eq!(s.held("example.com").await, sets);
}

async fn values_ttl_and_type_change_in_place(s: &Subject) {
    let at = "v.d.f.svc.example.com";
    s.apply(&upserts(&[a(at, &["192.0.2.1", "192.0.2.2"])])).await;
    let mut changed = a(at, &["192.0.2.2", "192.0.2.3"]);
    changed.ttl = 60;
    s.apply(&upserts(std::slice::from_ref(&changed))).await;
    assert_eq!(s.held(at).await, [changed]);
    let alias = cname(at, "other.example.com");
    s.apply(&[Change::Delete { name: name(at), kind: Kind::A }, Change::Upsert(alias.clone())]).await;
    assert_eq!(s.held(at).await, [alias]);
    let retargeted = cname(at, "third.example.com");
    s.apply(&upserts(std::slice::from_ref(&retargeted))).await;
    assert_eq!(s.held(at).await, [retargeted]);
    s.apply(&[Change::Delete { name: name(at), kind: Kind::Cname }]).await;
    assert_eq!(s.held(at).await, []);
    assert_eq!(s.apply(&[Change::Delete { name: name(at), kind: Kind::Cname }]).await, Vec::<String>::new(), "deleting nothing is done");
}

async fn a_name_outside_the_zone_costs_only_itself(s: &Subject) {
    let batch = upserts(&[a("x.example.net", &["192.0.2.1"]), a("y.example.com", &["192.0.2.1"]), a("example.com", &["192.0.2.9"])]);
    let mut rejected = s.apply(&batch).await;
    rejected.sort();
    assert_eq!(rejected, ["example.com.", "x.example.net."]);
    assert_eq!(s.held("y.example.com").await.len(), 1);
}

async fn large_batches_arrive_whole(s: &Subject) {
    let many: Vec<RecordSet> = (0..400).map(|i| a(&format!("s{i}.big.f.svc.example.com"), &["192.0.2.1", "192.0.2.2"])).collect();
    let wide = RecordSet {
        name: name("wide.big.f.svc.example.com"),
        ttl: 5,
        data: Data::A((0..200u32).map(|i| std::net::Ipv4Addr::from(0x0a00_0000 + i)).collect()),
    };
    s.apply(&upserts(&many)).await;
    s.apply(&upserts(std::slice::from_ref(&wide))).await;
    let held = s.held("big.f.svc.example.com").await;
    assert_eq!(held.len(), 401);
    assert!(held.contains(&wide));
    let gone: Vec<Change> = many.iter().map(|set| Change::Delete { name: set.name.clone(), kind: Kind::A }).collect();
    s.apply(&gone).await;
    assert_eq!(s.held("big.f.svc.example.com").await, [wide]);
}

async fn battery(s: Subject) {
    sets_are_held_as_written(&s).await;
    values_ttl_and_type_change_in_place(&s).await;
    a_name_outside_the_zone_costs_only_itself(&s).await;
    large_batches_arrive_whole(&s).await;
}

#[tokio::test]
async fn coredns_passes_the_battery() {
    battery(coredns_subject().await).await;
}

#[tokio::test]
async fn embedded_passes_the_battery() {
    battery(embedded_subject().await).await;
}
