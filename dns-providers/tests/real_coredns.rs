//! A real CoreDNS answers what the `coredns` provider wrote to a real etcd.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use dns_providers::{Change, Kind, Provider, coredns};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use support::{a, aaaa, ask, cname, name};

const GLOBAL: &str = "nginx.demo.fellowship.svc.example.com.";
const REGION: &str = "nginx.demo.fellowship.svc.gondor.example.com.";
const ZONE: &str = "nginx.demo.fellowship.svc.minas.gondor.example.com.";

#[tokio::test]
#[ignore = "needs a real CoreDNS ($KIT_BIN/coredns, or one in PATH): cargo xtask test --real"]
async fn global_region_and_zone_names_resolve_and_fall_up() {
    let (_etcd, url) = support::etcd().await;
    let port = support::free_port();
    let corefile = format!("example.com:{port} {{\n  bind 127.0.0.1\n  etcd {{\n    path /skydns\n    endpoint {url}\n  }}\n}}\n");
    let _coredns = support::run_with_file(support::program("coredns"), "Corefile", &corefile, &["-conf", "Corefile"]);
    let at: SocketAddr = ([127, 0, 0, 1], port).into();

    let text = format!("[Global]\netcd-endpoints = {url}\nzones = example.com.\n");
    let config = coredns::Config::parse(Path::new("c.conf"), &text).unwrap();
    let provider = coredns::CoreDns::connect(config, "fellowship").await.unwrap();
    let zone = provider.zones().await.unwrap().remove(0);
    let batch = [
        a(GLOBAL, &["192.0.2.1", "198.51.100.1"]),
        aaaa(GLOBAL, &["2001:db8::1"]),
        a(REGION, &["192.0.2.1"]),
        a(ZONE, &["192.0.2.1"]),
        // Names that CoreDNS must not mix in: another service, and one whose key lies beside ours.
        a("nginx2.demo.fellowship.svc.example.com", &["203.0.113.9"]),
        a("nginx.demo.fellowship.svc.ithilien.gondor.example.com", &["203.0.113.10"]),
    ];
    provider.apply(&zone, &batch.map(Change::Upsert)).await.unwrap();

    let end = Instant::now() + Duration::from_secs(20);
    while ask(at, GLOBAL, RecordType::A).await.is_none_or(|(code, _)| code != ResponseCode::NoError) {
        assert!(Instant::now() < end, "CoreDNS does not answer at {at}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = async |at_name: &str, kind| ask(at, at_name, kind).await.unwrap();
    use ResponseCode::{NXDomain, NoError};
    let global = vec![format!("{GLOBAL} 180 A 192.0.2.1"), format!("{GLOBAL} 180 A 198.51.100.1")];
    assert_eq!(answer(GLOBAL, RecordType::A).await, (NoError, global.clone()));
    assert_eq!(answer(GLOBAL, RecordType::AAAA).await, (NoError, vec![format!("{GLOBAL} 180 AAAA 2001:db8::1")]));
    assert_eq!(answer(REGION, RecordType::A).await, (NoError, vec![format!("{REGION} 180 A 192.0.2.1")]));
    assert_eq!(answer(REGION, RecordType::AAAA).await, (NoError, vec![]));
    assert_eq!(answer(ZONE, RecordType::A).await, (NoError, vec![format!("{ZONE} 180 A 192.0.2.1")]));

    // The region lost its last healthy cluster: zone and region fall up to the global name.
    let gone = |at_name: &str| Change::Delete { name: name(at_name), kind: Kind::A };
    let fall_up = [
        Change::Upsert(a(GLOBAL, &["198.51.100.1"])),
        gone(REGION),
        Change::Upsert(cname(REGION, GLOBAL)),
        gone(ZONE),
        Change::Upsert(cname(ZONE, REGION)),
    ];
    assert_eq!(provider.apply(&zone, &fall_up).await.unwrap(), []);
    let (code, lines) = answer(ZONE, RecordType::A).await;
    assert_eq!(code, NoError);
    let chain = [format!("{GLOBAL} 180 A 198.51.100.1"), format!("{REGION} 180 CNAME {GLOBAL}"), format!("{ZONE} 180 CNAME {REGION}")];
    assert_eq!(lines, chain);
    assert_eq!(answer(ZONE, RecordType::AAAA).await.1.len(), 3, "the alias is followed for IPv6 too");

    // Deleting the service removes every level.
    let all = [(GLOBAL, Kind::A), (GLOBAL, Kind::Aaaa), (REGION, Kind::Cname), (ZONE, Kind::Cname)];
    let delete: Vec<Change> = all.iter().map(|(n, kind)| Change::Delete { name: name(n), kind: *kind }).collect();
    provider.apply(&zone, &delete).await.unwrap();
    for at_name in [GLOBAL, REGION, ZONE] {
        assert_eq!(answer(at_name, RecordType::A).await, (NXDomain, vec![]), "{at_name}");
    }
}
