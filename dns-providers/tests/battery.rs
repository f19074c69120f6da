//! One battery of tests over every provider.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use dns_providers::{
    Change, Data, Held, Kind, Owner, Provider, RecordSet, Settings, Zone, coredns, embedded, rfc2136, route53, select_zone,
};
use etcd_client::{Client, GetOptions};
use hickory_proto::rr::RData;
use support::nameserver::{Nameserver, Server, values};
use support::route53::Route53;
use support::{Process, a, aaaa, cname, name};

/// A provider under test.
struct Subject {
    provider: Arc<dyn Provider>,
    zone: Zone,
}

/// Where a provider writes, if that is outside of it and others may write there too.
#[async_trait]
trait Backend {
    /// The provider of a federation, as if it had just been started.
    async fn open(&self, owner: &str) -> Subject;
    /// Somebody writes a set by hand.
    async fn by_hand(&self, set: &RecordSet);
    /// A number that grows with every change, and all there is, byte for byte.
    async fn dump(&self) -> (u64, Vec<String>);
}

struct Etcd {
    url: String,
    _process: Process,
}

impl Etcd {
    async fn start() -> Self {
        let (_process, url) = support::etcd().await;
        Etcd { url, _process }
    }
}

#[async_trait]
impl Backend for Etcd {
    async fn open(&self, owner: &str) -> Subject {
        let text = format!("[Global]\netcd-endpoints = {}\nzones = example.com., example.net.\n", self.url);
        let config = coredns::Config::parse(Path::new("c.conf"), &text).unwrap();
        Subject::of(Arc::new(coredns::CoreDns::connect(config, owner).await.unwrap())).await
    }

    async fn by_hand(&self, set: &RecordSet) {
        let mut etcd = Client::connect([&self.url], None).await.unwrap();
        let directory: Vec<&str> = set.name.labels().rev().collect();
        for (nth, value) in set.data.values().iter().enumerate() {
            let record = format!(r#"{{"host":"{value}","ttl":{}}}"#, set.ttl);
            etcd.put(format!("/skydns/{}/x{nth}", directory.join("/")), record, None).await.unwrap();
        }
    }

    async fn dump(&self) -> (u64, Vec<String>) {
        let mut etcd = Client::connect([&self.url], None).await.unwrap();
        let all = etcd.get("/", Some(GetOptions::new().with_prefix())).await.unwrap();
        let lines = all.kvs().iter().map(|kv| format!("{} {}", kv.key_str().unwrap(), kv.value_str().unwrap()));
        (all.header().unwrap().revision().unsigned_abs(), lines.collect())
    }
}

#[async_trait]
impl Backend for Nameserver {
    async fn open(&self, owner: &str) -> Subject {
        let config = self.file("rfc2136.conf");
        std::fs::write(&config, self.config()).unwrap();
        let settings =
            Settings { provider: rfc2136::NAME.to_owned(), config: Some(config), owner: owner.to_owned(), zone: None, zone_id: None };
        Subject::of(dns_providers::open(&settings).await.unwrap()).await
    }

    async fn by_hand(&self, set: &RecordSet) {
        let records: Vec<(&str, RData)> = values(set).into_iter().map(|value| (set.name.as_str(), value)).collect();
        Nameserver::by_hand(self, &[], &records).await;
    }

    async fn dump(&self) -> (u64, Vec<String>) {
        let (serial, lines) = Nameserver::dump(self).await;
        (serial.into(), lines)
    }
}

#[async_trait]
impl Backend for Route53 {
    async fn open(&self, owner: &str) -> Subject {
        let (provider, owner) = (route53::NAME.to_owned(), owner.to_owned());
        let settings = Settings { provider, config: Some(self.config("")), owner, zone: Some(name("example.com")), zone_id: None };
        Subject::of(dns_providers::open(&settings).await.unwrap()).await
    }

    async fn by_hand(&self, set: &RecordSet) {
        Route53::by_hand(self, set).await;
    }

    async fn dump(&self) -> (u64, Vec<String>) {
        Route53::dump(self, &self.zone).await
    }
}

impl Subject {
    async fn of(provider: Arc<dyn Provider>) -> Self {
        let zone = select_zone(&provider.zones().await.unwrap(), "example.com", None).unwrap();
        Subject { provider, zone }
    }

    async fn apply(&self, batch: &[Change]) -> Vec<String> {
        let rejected = self.provider.apply(&self.zone, batch).await.unwrap();
        rejected.into_iter().map(|r| r.name.to_string()).collect()
    }

    async fn held(&self, under: &str) -> Vec<RecordSet> {
        let held: Vec<Held> = self.provider.read(&self.zone, &name(under)).await.unwrap();
        assert!(held.iter().all(|h| h.owned()));
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

async fn battery(s: &Subject) {
    sets_are_held_as_written(s).await;
    values_ttl_and_type_change_in_place(s).await;
    a_name_outside_the_zone_costs_only_itself(s).await;
    large_batches_arrive_whole(s).await;
}

fn delete(at: &str, kind: Kind) -> Change {
    Change::Delete { name: name(at), kind }
}

/// Takes away all that a federation has.
async fn purge(s: &Subject) {
    let held = s.provider.read(&s.zone, &s.zone.name).await.unwrap();
    let ours = held.into_iter().filter(|h| h.owned()).map(|h| delete(h.set.name.as_str(), h.set.data.kind()));
    assert_eq!(s.apply(&ours.collect::<Vec<_>>()).await, Vec::<String>::new());
}

async fn names_of_others_are_left_alone(backend: &dyn Backend) {
    backend.by_hand(&a("hand.example.com", &["192.0.2.99"])).await;
    let (_, before) = backend.dump().await;
    let (mine, other) = (backend.open("fellowship").await, backend.open("mordor").await);
    let mine_first = upserts(&[a("mine.example.com", &["192.0.2.1"]), a("hand.example.com", &["192.0.2.1"])]);
    let rejected = mine.provider.apply(&mine.zone, &mine_first).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].name == name("hand.example.com") && rejected[0].reason.contains("someone else"), "{rejected:?}");
    let rejected = other.provider.apply(&other.zone, &mine_first[..1]).await.unwrap();
    assert!(rejected.len() == 1 && rejected[0].reason.contains("federation fellowship"), "{rejected:?}");
    let (_, both) = backend.dump().await;
    let deletes = [delete("mine.example.com", Kind::A), delete("hand.example.com", Kind::A)];
    assert_eq!(other.apply(&deletes).await, Vec::<String>::new());
    assert_eq!(backend.dump().await.1, both, "what another federation deletes is only its own");
    let held = other.provider.read(&other.zone, &other.zone.name).await.unwrap();
    assert!(held.len() == 2 && held.iter().all(|h| !h.owned()), "{held:?}");
    mine.apply(&deletes).await;
    assert_eq!(backend.dump().await.1, before);
}

async fn of_two_that_write_a_name_at_once_one_has_it(backend: &dyn Backend) {
    let (mine, other) = (backend.open("fellowship").await, backend.open("mordor").await);
    let (_, before) = backend.dump().await;
    for n in 0..20 {
        let batch = upserts(&[a(&format!("n{n}.example.com"), &["192.0.2.1"])]);
        let (ours, theirs) = tokio::join!(mine.apply(&batch), other.apply(&batch));
        assert_eq!(ours.len() + theirs.len(), 1, "exactly one of both has n{n}");
    }
    purge(&mine).await;
    purge(&other).await;
    assert_eq!(backend.dump().await.1, before);
}

async fn after_a_restart_nothing_is_written_and_a_purge_leaves_what_was_there(backend: &dyn Backend) {
    let (_, before) = backend.dump().await;
    let mut sets: Vec<RecordSet> = (0..300).map(|n| a(&format!("s{n}.shire.f.svc.example.com"), &["192.0.2.1", "192.0.2.2"])).collect();
    sets.push(cname("web.shire.f.svc.west.example.com", "s0.shire.f.svc.example.com"));
    sets.push(aaaa("s0.shire.f.svc.example.com", &["2001:db8::1"]));
    assert_eq!(backend.open("fellowship").await.apply(&upserts(&sets)).await, Vec::<String>::new());
    let written = backend.dump().await;
    let again = backend.open("fellowship").await;
    sets.sort();
    let held = again.provider.read(&again.zone, &name("svc.example.com")).await.unwrap();
    assert_eq!(held.len(), 301, "only what is under the name asked for");
    let mut held: Vec<RecordSet> =
        again.provider.read(&again.zone, &again.zone.name).await.unwrap().into_iter().filter(|h| h.owned()).map(|h| h.set).collect();
    held.sort();
    assert_eq!(held, sets);
    assert_eq!(again.apply(&upserts(&sets)).await, Vec::<String>::new());
    assert_eq!(backend.dump().await, written, "nothing was written");
    purge(&again).await;
    assert_eq!(backend.dump().await.1, before);
}

async fn a_name_that_is_taken_over_says_what_it_said(backend: &dyn Backend) {
    let (_, before) = backend.dump().await;
    let (hand, web) = (a("taken.example.com", &["192.0.2.71", "192.0.2.72"]), a("moved.example.com", &["192.0.2.73"]));
    backend.by_hand(&hand).await;
    let (_, by_hand) = backend.dump().await;
    let (mine, other) = (backend.open("fellowship").await, backend.open("mordor").await);
    assert_eq!(other.apply(&upserts(std::slice::from_ref(&web))).await, Vec::<String>::new());
    let at = async |subject: &Subject, at: &str| subject.provider.read(&subject.zone, &name(at)).await.unwrap();
    let there = at(&mine, "taken.example.com").await;
    assert!(there.len() == 1 && there[0].owner == Owner::Unmarked, "{there:?}");

    // It changed after it was looked at.
    let mut old = there.clone();
    old[0].set.data = Data::A(["192.0.2.74".parse().unwrap()].into());
    let rejected = mine.provider.adopt(&mine.zone, &old).await.unwrap();
    assert!(rejected.len() == 1 && rejected[0].reason.contains("changed"), "{rejected:?}");
    // Somebody else's mark is not passed over.
    let theirs = at(&mine, "moved.example.com").await;
    assert_eq!(theirs[0].owner, Owner::Federation("mordor".to_owned()));
    let unmarked: Vec<Held> = theirs.iter().map(|held| Held { owner: Owner::Unmarked, ..held.clone() }).collect();
    assert_eq!(mine.provider.adopt(&mine.zone, &unmarked).await.unwrap().len(), 1);

    let both = [there.clone(), theirs].concat();
    assert_eq!(mine.provider.adopt(&mine.zone, &both).await.unwrap(), []);
    for (held, set) in [(at(&mine, "taken.example.com").await, &there[0].set), (at(&mine, "moved.example.com").await, &web)] {
        assert!(held.len() == 1 && held[0].owned() && held[0].set == *set, "{held:?}");
    }
    let fresh = backend.open("fellowship").await;
    let (revision, _) = backend.dump().await;
    let again = [at(&fresh, "taken.example.com").await, at(&fresh, "moved.example.com").await].concat();
    assert_eq!(fresh.provider.adopt(&fresh.zone, &again).await.unwrap(), []);
    assert_eq!(backend.dump().await.0, revision, "a repeat changes nothing");
    fresh.apply(&[delete("moved.example.com", Kind::A)]).await;
    assert_ne!(backend.dump().await.1, by_hand, "the mark is there");
    fresh.apply(&[delete("taken.example.com", Kind::A)]).await;
    assert_eq!(backend.dump().await.1, before);
}

/// What every provider does that writes where others write too.
async fn shared_battery(backend: &dyn Backend) {
    let subject = backend.open("fellowship").await;
    battery(&subject).await;
    purge(&subject).await;
    names_of_others_are_left_alone(backend).await;
    of_two_that_write_a_name_at_once_one_has_it(backend).await;
    after_a_restart_nothing_is_written_and_a_purge_leaves_what_was_there(backend).await;
    a_name_that_is_taken_over_says_what_it_said(backend).await;
}

#[tokio::test]
async fn coredns_passes_the_battery() {
    shared_battery(&Etcd::start().await).await;
}

/// Nobody else writes there, and what it holds ends with it.
#[tokio::test]
async fn embedded_passes_the_battery() {
    let text = "[Global]\nlisten = 127.0.0.1:0\nzones = example.com., example.net.\n";
    let config = embedded::Config::parse(Path::new("e.conf"), text, None).unwrap();
    battery(&Subject::of(Arc::new(embedded::Embedded::start(config).await.unwrap())).await).await;
}

#[tokio::test]
async fn rfc2136_on_bind_passes_the_battery() {
    shared_battery(&Server::Bind.start("").await).await;
}

#[tokio::test]
async fn rfc2136_on_knot_passes_the_battery() {
    shared_battery(&Server::Knot.start("").await).await;
}

#[tokio::test]
async fn rfc2136_on_powerdns_passes_the_battery() {
    shared_battery(&Server::PowerDns.start("").await).await;
}

#[tokio::test]
async fn route53_on_moto_passes_the_battery() {
    shared_battery(&Route53::start().await).await;
}
