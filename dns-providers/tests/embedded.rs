//! The embedded server by real queries.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use dns_providers::{Change, Provider, Zone, embedded};
use hickory_proto::op::{OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use support::{a, aaaa, ask, cname, query, tcp, udp};

async fn start(extra: &str) -> (embedded::Embedded, Zone, SocketAddr) {
    let text = format!("[Global]\nlisten = 127.0.0.1:0\nzones = example.com.\n{extra}\n");
    let config = embedded::Config::parse(Path::new("e.conf"), &text, None).unwrap();
    let server = embedded::Embedded::start(config).await.unwrap();
    let zone = server.zones().await.unwrap().remove(0);
    let at = server.addresses()[0];
    (server, zone, at)
}

#[tokio::test]
async fn a_service_is_answered_at_every_level_and_falls_up() {
    let (server, zone, at) = start("").await;
    let batch = [
        a("nginx.demo.f.svc.example.com", &["192.0.2.1", "192.0.2.2"]),
        aaaa("nginx.demo.f.svc.example.com", &["2001:db8::1"]),
        a("nginx.demo.f.svc.west.example.com", &["192.0.2.1"]),
        cname("nginx.demo.f.svc.z1.west.example.com", "nginx.demo.f.svc.west.example.com"),
    ]
    .map(Change::Upsert);
    assert_eq!(server.apply(&zone, &batch).await.unwrap(), []);
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    use ResponseCode::{NXDomain, NoError};
    let global = "nginx.demo.f.svc.example.com.";
    assert_eq!(
        ask(at, global, RecordType::A).await.unwrap(),
        (NoError, lines(&[&format!("{global} 180 A 192.0.2.1"), &format!("{global} 180 A 192.0.2.2")]))
    );
    assert_eq!(ask(at, global, RecordType::AAAA).await.unwrap().1, lines(&[&format!("{global} 180 AAAA 2001:db8::1")]));
    assert_eq!(
        ask(at, "NGINX.demo.f.svc.z1.west.example.com.", RecordType::A).await.unwrap().1,
        lines(&[
            "NGINX.demo.f.svc.z1.west.example.com. 180 CNAME nginx.demo.f.svc.west.example.com.",
            "nginx.demo.f.svc.west.example.com. 180 A 192.0.2.1",
        ])
    );
    assert_eq!(ask(at, global, RecordType::TXT).await.unwrap(), (NoError, vec![]));
    assert_eq!(ask(at, "svc.example.com.", RecordType::A).await.unwrap(), (NoError, vec![]));
    assert_eq!(ask(at, "other.example.com.", RecordType::A).await.unwrap(), (NXDomain, vec![]));
    assert_eq!(ask(at, "www.example.net.", RecordType::A).await.unwrap(), (ResponseCode::Refused, vec![]));
    assert!(ask(at, "example.com.", RecordType::SOA).await.unwrap().1[0].contains("SOA ns.dns.example.com. hostmaster.example.com."));
    assert_eq!(ask(at, "example.com.", RecordType::AXFR).await.unwrap().0, ResponseCode::Refused);
}

#[tokio::test]
async fn negative_answers_carry_the_soa_with_the_configured_ttl() {
    let (server, zone, at) = start("ttl = 7").await;
    server.apply(&zone, &[]).await.unwrap();
    let answer = udp(at, &query("none.example.com.", RecordType::A, None)).await.unwrap();
    assert!(answer.metadata.authoritative);
    assert_eq!(answer.authorities.len(), 1);
    assert_eq!((answer.authorities[0].record_type(), answer.authorities[0].ttl), (RecordType::SOA, 7));
    assert!(answer.edns.is_none(), "no EDNS where none was asked for");
}

#[tokio::test]
async fn before_anything_was_published_no_name_is_said_to_be_missing() {
    let directory = tempfile::tempdir().unwrap();
    let extra = format!("snapshot = \"{}\"", directory.path().join("dns.json").display());
    let (server, zone, at) = start(&extra).await;
    for at_name in ["s.example.com.", "dns.example.com."] {
        let early = udp(at, &query(at_name, RecordType::A, None)).await.unwrap();
        assert_eq!(early.metadata.response_code, ResponseCode::ServFail, "{at_name}");
        assert!(!early.metadata.authoritative && early.authorities.is_empty());
    }
    assert_eq!(ask(at, "example.com.", RecordType::SOA).await.unwrap().1.len(), 1, "the zone itself is known");
    drop(server);
    let (server, _, at) = start(&extra).await;
    assert_eq!(ask(at, "s.example.com.", RecordType::A).await.unwrap().0, ResponseCode::ServFail, "a first start without a publish");
    server.apply(&zone, &[]).await.unwrap();
    assert_eq!(ask(at, "s.example.com.", RecordType::A).await.unwrap().0, ResponseCode::NXDomain);
    drop(server);
    let (_server, _, at) = start(&extra).await;
    assert_eq!(ask(at, "s.example.com.", RecordType::A).await.unwrap().0, ResponseCode::NXDomain, "the snapshot was published once");
}

#[tokio::test]
async fn what_does_not_fit_is_truncated_and_comes_whole_by_tcp() {
    let (server, zone, at) = start("").await;
    let ips: Vec<String> = (1..=200).map(|i| format!("192.0.2.{i}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    server.apply(&zone, &[Change::Upsert(a("big.example.com", &ips))]).await.unwrap();
    let plain = udp(at, &query("big.example.com.", RecordType::A, None)).await.unwrap();
    assert!(plain.metadata.truncation && plain.to_vec().unwrap().len() <= 512);
    let larger = udp(at, &query("big.example.com.", RecordType::A, Some(4096))).await.unwrap();
    assert!(larger.metadata.truncation && larger.to_vec().unwrap().len() <= 1232);
    assert!(larger.answers.len() > plain.answers.len());
    assert_eq!(larger.edns.unwrap().max_payload(), 1232);
    let whole = tcp(at, &query("big.example.com.", RecordType::A, Some(4096))).await;
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 200);
}

#[tokio::test]
async fn issue7_case_44_a_udp_answer_ends_with_a_whole_record() {
    let (server, zone, at) = start("").await;
    let alias = "a-service-with-a-long-name.a-namespace-with-a-long-name.fellowship.svc.a-zone.a-region.example.com";
    let target = "a-service-with-a-long-name.a-namespace-with-a-long-name.fellowship.svc.a-region.example.com";
    let ips: Vec<String> = (1..=120).map(|i| format!("192.0.2.{i}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    server.apply(&zone, &[Change::Upsert(cname(alias, target)), Change::Upsert(a(target, &ips))]).await.unwrap();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 65_535];
    for (edns, most) in [(None, 512), (Some(0), 512), (Some(512), 512), (Some(700), 700), (Some(1232), 1232), (Some(4096), 1232)] {
        socket.send_to(&query(alias, RecordType::A, edns).to_vec().unwrap(), at).await.unwrap();
        let got = tokio::time::timeout(std::time::Duration::from_secs(30), socket.recv(&mut buffer)).await.unwrap().unwrap();
        let answer = hickory_proto::op::Message::from_vec(&buffer[..got]).unwrap();
        assert!(got <= most && got > most - 40, "{edns:?}: {got} bytes");
        assert_eq!(answer.to_vec().unwrap().len(), got, "{edns:?}: nothing stands behind the last record");
        assert!(answer.metadata.truncation && answer.answers.len() > 5, "{edns:?}");
    }
}

#[tokio::test]
async fn d19_idle_connections_keep_nobody_out() {
    let (_server, _zone, at) = start("").await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(tokio::net::TcpStream::connect(at).await.unwrap());
    }
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), tcp(at, &query("example.com.", RecordType::SOA, None))).await;
    assert_eq!(answer.unwrap().answers.len(), 1);
}

#[tokio::test]
async fn queries_it_cannot_serve_get_the_right_code_and_do_no_harm() {
    let (_server, _zone, at) = start("").await;
    let mut update = query("example.com.", RecordType::SOA, None);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(udp(at, &update).await.unwrap().metadata.response_code, ResponseCode::NotImp);
    let mut chaos = query("example.com.", RecordType::A, None);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(udp(at, &chaos).await.unwrap().metadata.response_code, ResponseCode::Refused);
    let mut newer = query("example.com.", RecordType::SOA, Some(1232));
    newer.edns.as_mut().unwrap().set_version(1);
    // 16 is BADVERS; the same number means BADSIG in another place.
    assert_eq!(u16::from(udp(at, &newer).await.unwrap().metadata.response_code), 16);
    let garbage = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for size in [0, 1, 11, 12, 40, 600] {
        garbage.send_to(&vec![0xff; size], at).await.unwrap();
    }
    assert_eq!(ask(at, "example.com.", RecordType::SOA).await.unwrap().0, ResponseCode::NoError);
}

#[tokio::test]
async fn the_snapshot_survives_a_restart_and_a_broken_one_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sub/dns.json");
    let extra = format!("snapshot = \"{}\"", file.display());
    let (server, zone, _) = start(&extra).await;
    server.apply(&zone, &[Change::Upsert(a("s.example.com", &["192.0.2.1"]))]).await.unwrap();
    drop(server);
    let (server, _, at) = start(&extra).await;
    assert_eq!(ask(at, "s.example.com.", RecordType::A).await.unwrap().1, ["s.example.com. 180 A 192.0.2.1"]);
    drop(server);
    std::fs::write(&file, "{ half").unwrap();
    let (_server, _, at) = start(&extra).await;
    assert_eq!(ask(at, "s.example.com.", RecordType::A).await.unwrap().0, ResponseCode::ServFail);
    assert!(directory.path().join("sub/dns.json.unreadable").is_file());
}

#[tokio::test]
async fn an_address_in_use_and_an_unwritable_directory_are_clear_errors() {
    let (_server, _, at) = start("").await;
    let text = format!("[Global]\nlisten = {at}\nzones = example.com.\n");
    let config = embedded::Config::parse(Path::new("e.conf"), &text, None).unwrap();
    let error = embedded::Embedded::start(config).await.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot answer DNS at {at}")), "{error}");
    assert!(error.hint().is_some());
    let text = "[Global]\nlisten = 127.0.0.1:0\nzones = example.com.\nsnapshot = /proc/none/dns.json\n";
    let config = embedded::Config::parse(Path::new("e.conf"), text, None).unwrap();
    let error = embedded::Embedded::start(config).await.unwrap_err();
    assert!(error.to_string().contains("DNS snapshot /proc/none/dns.json"), "{error}");
}

#[tokio::test]
async fn a_dropped_server_frees_its_address() {
    let (server, _, at) = start("").await;
    drop(server);
    for _ in 0..100 {
        if tokio::net::UdpSocket::bind(at).await.is_ok() && tokio::net::TcpListener::bind(at).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{at} is still taken");
}
