//! What only the `coredns` provider can get wrong, over a real etcd.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use dns_providers::{Change, Kind, Provider, Zone, coredns};
use etcd_client::{Client, GetOptions};
use support::{a, name};

async fn open(url: &str, owner: &str) -> (coredns::CoreDns, Zone) {
    let text = format!("[Global]\netcd-endpoints = {url}\nzones = example.com.\n");
    let config = coredns::Config::parse(Path::new("c.conf"), &text).unwrap();
    let provider = coredns::CoreDns::connect(config, owner).await.unwrap();
    let zone = provider.zones().await.unwrap().remove(0);
    (provider, zone)
}

#[tokio::test]
async fn only_our_own_records_are_touched() {
    let (_etcd, url) = support::etcd().await;
    let mut raw = Client::connect([&url], None).await.unwrap();
    let foreign = "/skydns/com/example/web/x1";
    raw.put(foreign, r#"{"host":"192.0.2.99","ttl":60}"#, None).await.unwrap();
    raw.put("/skydns/com/example/broken/x", "no json", None).await.unwrap();
    let (mine, zone) = open(&url, "fellowship").await;
    let (other, _) = open(&url, "mordor").await;

    let batch = [Change::Upsert(a("web.example.com", &["192.0.2.1"])), Change::Upsert(a("ok.example.com", &["192.0.2.1"]))];
    let rejected = mine.apply(&zone, &batch).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].name, name("web.example.com"));
    assert!(rejected[0].reason.contains("someone else"), "{}", rejected[0].reason);
    let rejected = other.apply(&zone, &batch[1..]).await.unwrap();
    assert!(rejected[0].reason.contains("federation fellowship"), "{}", rejected[0].reason);

    let delete = |at: &str| Change::Delete { name: name(at), kind: Kind::A };
    other.apply(&zone, &[delete("ok.example.com"), delete("web.example.com")]).await.unwrap();
    let held = mine.read(&zone, &name("example.com")).await.unwrap();
    assert_eq!(held.iter().filter(|h| h.owned()).count(), 1, "another federation deletes nothing of ours");
    assert_eq!(held.iter().filter(|h| !h.owned()).count(), 1);
    mine.apply(&zone, &[delete("ok.example.com"), delete("web.example.com")]).await.unwrap();
    let left = raw.get("/skydns/", Some(GetOptions::new().with_prefix())).await.unwrap();
    let left: Vec<&str> = left.kvs().iter().map(|kv| kv.key_str().unwrap()).collect();
    assert_eq!(left, ["/skydns/com/example/broken/x", foreign]);
}

#[tokio::test]
async fn issue9_a_record_that_says_more_than_an_address_is_not_taken_over() {
    let (_etcd, url) = support::etcd().await;
    let mut raw = Client::connect([&url], None).await.unwrap();
    let plain = r#"{"host":"192.0.2.1","ttl":60,"priority":0}"#;
    let all = [
        ("plain/x", plain, None),
        ("more/x", r#"{"host":"192.0.2.1","ttl":60,"priority":10}"#, Some("has priority")),
        ("mixed/x", plain, Some("has text")),
        ("mixed/y", r#"{"text":"a word"}"#, None),
        ("bare/x", plain, Some("has no host")),
        ("bare/y", r#"{"ttl":60}"#, None),
    ];
    for (key, value, _) in all {
        raw.put(format!("/skydns/com/example/{key}"), value, None).await.unwrap();
    }
    let (mine, zone) = open(&url, "fellowship").await;
    let held = mine.read(&zone, &name("example.com")).await.unwrap();
    for (key, _, why) in all.into_iter().filter(|(key, ..)| key.ends_with('x')) {
        let at = name(&format!("{}.example.com", key.strip_suffix("/x").unwrap()));
        let sets: Vec<_> = held.iter().filter(|one| one.set.name == at).cloned().collect();
        let rejected = mine.adopt(&zone, &sets).await.unwrap();
        assert_eq!(rejected.first().map(|one| why.is_some_and(|why| one.reason.contains(why))), why.map(|_| true), "{key} {rejected:?}");
    }
    let now = raw.get("/skydns/", Some(GetOptions::new().with_prefix())).await.unwrap();
    let changed = now.kvs().iter().filter(|kv| kv.version() > 1).map(|kv| kv.key_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(changed, ["/skydns/com/example/plain/x"]);
}

#[tokio::test]
async fn a_set_changes_in_one_transaction() {
    let (_etcd, url) = support::etcd().await;
    let mut raw = Client::connect([&url], None).await.unwrap();
    let (provider, zone) = open(&url, "fellowship").await;
    provider.apply(&zone, &[Change::Upsert(a("s.example.com", &["192.0.2.1", "192.0.2.2"]))]).await.unwrap();
    let before = raw.get("x", None).await.unwrap().header().unwrap().revision();
    provider.apply(&zone, &[Change::Upsert(a("s.example.com", &["192.0.2.2", "192.0.2.3"]))]).await.unwrap();
    let after = raw.get("/skydns/", Some(GetOptions::new().with_prefix())).await.unwrap();
    assert_eq!(after.header().unwrap().revision(), before + 1);
    assert_eq!(after.kvs().iter().filter(|kv| kv.mod_revision() == before + 1).count(), 1, "the address that stays is not rewritten");
}

#[tokio::test]
async fn an_etcd_that_is_away_is_an_error_in_bounded_time() {
    let (etcd, url) = support::etcd().await;
    let (provider, zone) = open(&url, "fellowship").await;
    provider.read(&zone, &name("example.com")).await.unwrap();
    drop(etcd);
    let start = Instant::now();
    let error = provider.read(&zone, &name("example.com")).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(!error.is_configuration());
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn issue7_case_11_a_dead_endpoint_delays_no_name() {
    let (_etcd, url) = support::etcd().await;
    let (doomed, other) = support::etcd().await;
    drop(doomed);
    for endpoints in [format!("{other},{url}"), format!("{url},{other}")] {
        let (provider, zone) = open(&endpoints, "fellowship").await;
        let start = Instant::now();
        for n in 0..50 {
            let at = format!("n{n}.example.com");
            provider.apply(&zone, &[Change::Upsert(a(&at, &["192.0.2.1"]))]).await.unwrap();
            assert_eq!(provider.read(&zone, &name(&at)).await.unwrap().len(), 1);
        }
        assert!(start.elapsed() < Duration::from_secs(30), "50 names took {:?}", start.elapsed());
        for n in 0..50 {
            provider.apply(&zone, &[Change::Delete { name: name(&format!("n{n}.example.com")), kind: Kind::A }]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn etcd_is_reached_with_certificates_of_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(params, authority_key).unwrap();
    std::fs::write(file("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(file(&format!("{name}.pem")), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
        std::fs::write(file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let (ca, cert, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    let flags = ["--client-cert-auth", "--trusted-ca-file", &ca, "--cert-file", &cert, "--key-file", &key];
    let (_etcd, url) = support::etcd_with("https", &flags).await;
    let open = async |identity: &str| {
        let text = format!("[Global]\netcd-endpoints = {url}\nzones = example.com.\netcd-ca-file = {ca}\n{identity}");
        coredns::CoreDns::connect(coredns::Config::parse(Path::new("c.conf"), &text).unwrap(), "fellowship").await.unwrap()
    };
    let with = open(&format!("etcd-cert-file = {}\netcd-key-file = {}\n", file("client.pem"), file("client.key"))).await;
    let zone = with.zones().await.unwrap().remove(0);
    with.apply(&zone, &[Change::Upsert(a("s.example.com", &["192.0.2.1"]))]).await.unwrap();
    assert_eq!(with.read(&zone, &name("example.com")).await.unwrap().len(), 1);
    let without = open("").await;
    assert!(without.read(&zone, &name("example.com")).await.is_err(), "without our certificate etcd refuses");
}
