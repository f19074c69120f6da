//! What only the `rfc2136` provider can get wrong, over real name servers.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]
#![allow(clippy::print_stderr, reason = "figures of a large zone")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_providers::{Change, Kind, Provider, rfc2136};
use hickory_proto::rr::rdata::{A, NS, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use support::nameserver::{KEY, Nameserver, Server};
use support::proxy::Proxy;
use support::{Opened, aaaa, cname, delete, name, upsert};

async fn opened(text: &str) -> Opened {
    let provider = rfc2136::Rfc2136::new(rfc2136::Config::parse(Path::new("r.conf"), text).unwrap(), "fellowship");
    let zone = provider.zones().await.unwrap().remove(0);
    Opened { provider: Arc::new(provider), zone }
}

fn address(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

#[tokio::test]
async fn a_record_beside_which_no_other_may_stand_keeps_its_name() {
    for server in Server::ALL {
        let ns = server.start("web 60 A 192.0.2.99\ntext 60 TXT mine\n* 60 A 192.0.2.98\nwest 60 NS ns.example.net.\n").await;
        let (_, before) = ns.dump().await;
        let mine = opened(&ns.config()).await;
        let batch = [
            upsert("ok.example.com", &["192.0.2.1"]),
            upsert("a.b.west.example.com", &["192.0.2.1"]),
            Change::Upsert(cname("text.example.com", "ok.example.com")),
            upsert("web.example.com", &["192.0.2.1"]),
        ];
        let mut rejected = mine.apply(&batch).await.unwrap();
        rejected.sort_by(|a, b| a.name.cmp(&b.name));
        let reasons: Vec<&str> = rejected.iter().map(|r| r.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "west.example.com. is delegated or renamed, so this zone does not answer for it",
                "someone else's TXT record is there, which allows no other beside it; it is left alone",
                "someone else's A record is there; it is left alone"
            ],
            "{server:?}"
        );
        let (_, after) = ns.dump().await;
        let mut new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        new.sort();
        let mark = "_kubefed.ok.example.com. 180 TXT heritage=kubefed,v=1,owner=fellowship,types=A";
        assert_eq!(new, [mark, "ok.example.com. 180 A 192.0.2.1"], "{server:?}");
    }
}

#[tokio::test]
async fn a_name_turns_into_an_alias_and_back_in_one_message() {
    for server in Server::ALL {
        let ns = server.start("").await;
        let proxy = Proxy::start(ns.address).await;
        let mine = opened(&ns.config_at(proxy.address)).await;
        mine.apply(&[upsert("n.example.com", &["192.0.2.1"]), Change::Upsert(aaaa("n.example.com", &["2001:db8::1"]))]).await.unwrap();
        let alias = Change::Upsert(cname("n.example.com", "o.example.com"));
        proxy.asked();
        mine.apply(&[alias, delete("n.example.com", Kind::A), delete("n.example.com", Kind::Aaaa)]).await.unwrap();
        assert_eq!(mine.read().await.unwrap(), ["n.example.com. 180 CNAME o.example.com."], "{server:?}");
        mine.apply(&[delete("n.example.com", Kind::Cname), upsert("n.example.com", &["192.0.2.2"])]).await.unwrap();
        assert_eq!(mine.read().await.unwrap(), ["n.example.com. 180 A 192.0.2.2"], "{server:?}");
        assert_eq!(proxy.asked().iter().filter(|asked| *asked == "update").count(), 2, "{server:?}");
    }
}

#[tokio::test]
async fn what_was_edited_by_hand_meanwhile_is_seen_before_it_is_written_over() {
    for server in Server::ALL {
        let ns = server.start("").await;
        let mine = opened(&ns.config()).await;
        mine.apply(&[upsert("ours.example.com", &["192.0.2.1"])]).await.unwrap();
        // The provider remembers the zone as it was before these.
        ns.by_hand(&[("ours.example.com.", RecordType::A)], &[("ours.example.com.", address(66)), ("new.example.com.", address(67))]).await;
        let batch = [upsert("ours.example.com", &["192.0.2.2"]), upsert("new.example.com", &["192.0.2.2"])];
        let rejected = mine.apply(&batch).await.unwrap();
        assert_eq!(rejected.len(), 1, "{server:?}: {rejected:?}");
        assert!(rejected[0].name == name("new.example.com") && rejected[0].reason.contains("someone else's A"), "{rejected:?}");
        let ours = "ours.example.com. 180 A 192.0.2.2";
        assert_eq!(mine.read().await.unwrap(), ["[new.example.com. 60 A 192.0.2.67]", ours], "{server:?}");
    }
}

#[tokio::test]
async fn a_mark_whose_set_was_deleted_by_hand_is_found_and_taken_away() {
    for server in Server::ALL {
        let ns = server.start("").await;
        let (_, before) = ns.dump().await;
        let mine = opened(&ns.config()).await;
        mine.apply(&[Change::Upsert(aaaa("gone.example.com", &["2001:db8::1"]))]).await.unwrap();
        ns.by_hand(&[("gone.example.com.", RecordType::AAAA)], &[]).await;
        let held = mine.provider.read(&mine.zone, &name("gone.example.com")).await.unwrap();
        assert!(held.len() == 1 && held[0].owned() && held[0].set.data.values().is_empty(), "{server:?}: {held:?}");
        mine.apply(&[delete("gone.example.com", held[0].set.data.kind())]).await.unwrap();
        assert_eq!(ns.dump().await.1, before, "{server:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_no_duplicate_and_no_error() {
    for server in Server::ALL {
        let ns = server.start("").await;
        let proxy = Proxy::start(ns.address).await;
        let mine = opened(&ns.config_at(proxy.address)).await;
        for n in 0..10 {
            proxy.lose_answers(1);
            let at = format!("n{n}.example.com");
            assert_eq!(mine.apply(&[upsert(&at, &["192.0.2.1"])]).await.unwrap(), [], "{server:?}");
            proxy.lose_answers(1);
            assert_eq!(mine.apply(&[upsert(&at, &["192.0.2.2"])]).await.unwrap(), [], "{server:?}");
            let held = mine.provider.read(&mine.zone, &name(&at)).await.unwrap();
            assert_eq!(held.iter().map(|h| h.set.to_string()).collect::<Vec<_>>(), [format!("{at}. 180 A 192.0.2.2")]);
            proxy.lose_answers(1);
            assert_eq!(mine.apply(&[delete(&at, Kind::A)]).await.unwrap(), [], "{server:?}");
        }
        assert_eq!(mine.read().await.unwrap(), Vec::<String>::new(), "{server:?}");
        proxy.lose_answers(100);
        let error = mine.apply(&[upsert("x.example.com", &["192.0.2.1"]), upsert("y.example.com", &["192.0.2.1"])]).await;
        assert_eq!(error.unwrap(), [], "{server:?}: what took effect is seen by reading");
    }
}

#[tokio::test]
async fn a_zone_that_did_not_change_costs_one_question_and_one_that_did_its_changes() {
    for server in Server::ALL {
        let ns = server.start("").await;
        let proxy = Proxy::start(ns.address).await;
        let mine = opened(&ns.config_at(proxy.address)).await;
        mine.read().await.unwrap();
        assert_eq!(proxy.asked(), ["AXFR"], "{server:?}");
        mine.read().await.unwrap();
        assert_eq!(proxy.asked(), ["SOA"], "{server:?}");
        mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap();
        assert_eq!(proxy.asked(), ["update", "SOA", "IXFR"], "{server:?}");
        mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap();
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{server:?}");
        ns.by_hand(&[], &[("hand.example.com.", address(9))]).await;
        let expected = ["[hand.example.com. 60 A 192.0.2.9]", "n.example.com. 180 A 192.0.2.1"];
        assert_eq!(mine.read().await.unwrap(), expected, "{server:?}");
        assert_eq!(proxy.asked(), ["SOA", "IXFR"], "{server:?}");
    }
}

#[tokio::test]
async fn a_transfer_that_is_cut_is_an_error_and_no_smaller_zone() {
    for server in Server::ALL {
        let many: String = (0..3000).map(|n| format!("n{n} 60 A 192.0.2.1\n")).collect();
        let ns = server.start(&many).await;
        let proxy = Proxy::start(ns.address).await;
        let mine = opened(&ns.config_at(proxy.address)).await;
        for after in 0..3 {
            proxy.cut_transfers(Some(after));
            let error = mine.read().await.unwrap_err();
            assert!(!error.is_configuration() && error.to_string().contains("the connection broke"), "{server:?}: {error}");
            let error = mine.apply(&[upsert("new.example.com", &["192.0.2.1"])]).await.unwrap_err();
            assert!(error.to_string().contains("the connection broke"), "{server:?}: {error}");
        }
        proxy.cut_transfers(None);
        assert_eq!(mine.read().await.unwrap().len(), 3000, "{server:?}");
        assert!(!proxy.asked().contains(&"update".to_owned()), "{server:?}: nothing is written to what is not known");
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_from_a_wrong_secret_and_from_a_zone_that_is_not_there() {
    let wrong = "QUJDMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let ask = async |ns: &Nameserver, from: &str, to: &str| {
        let mine = opened(&ns.config().replace(from, to)).await;
        let error = mine.provider.read(&mine.zone, &mine.zone.name).await.unwrap_err();
        assert!(error.hint().is_some() && !error.is_configuration(), "{error}");
        let told = format!("{error} {}", error.hint().unwrap());
        assert!(!told.contains(wrong) && !told.contains(KEY.1), "{told}");
        told
    };
    for server in Server::ALL {
        let ns = server.start("").await;
        let name = ask(&ns, "tsig-name = federation", "tsig-name = federal").await;
        let secret = ask(&ns, KEY.1, wrong).await;
        let algorithm = ask(&ns, "tsig-name = ", "tsig-algorithm = hmac-sha512\ntsig-name = ").await;
        let zone = ask(&ns, "zones = example.com.", "zones = example.org.").await;
        match server {
            Server::PowerDns => {
                // It says no more than that.
                assert!([&name, &secret, &algorithm].iter().all(|told| told.contains("NOTAUTH")), "{name}, {secret}, {algorithm}");
                assert!(zone.contains("REFUSED") || zone.contains("NOTAUTH"), "{zone}");
            }
            Server::Bind | Server::Knot => {
                assert!(name.contains("BADKEY") && algorithm.contains("BADKEY"), "{server:?}: {name}, {algorithm}");
                assert!(secret.contains("BADSIG"), "{server:?}: {secret}");
                assert!(zone.contains("NOTAUTH"), "{server:?}: {zone}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_in_bounded_time_until_it_is_back() {
    for server in Server::ALL {
        let mut ns = server.start("").await;
        let mine = opened(&ns.config()).await;
        mine.apply(&[upsert("s.example.com", &["192.0.2.1"])]).await.unwrap();
        ns.stop();
        let start = Instant::now();
        for error in [mine.read().await.unwrap_err(), mine.apply(&[upsert("t.example.com", &["192.0.2.1"])]).await.unwrap_err()] {
            assert!(error.to_string().contains(&ns.address.to_string()) && !error.is_configuration(), "{error}");
        }
        assert!(start.elapsed() < Duration::from_secs(20));
        ns.resume().await;
        assert_eq!(mine.apply(&[upsert("t.example.com", &["192.0.2.1"])]).await.unwrap(), []);
        let expected = ["s.example.com. 180 A 192.0.2.1", "t.example.com. 180 A 192.0.2.1"];
        assert_eq!(mine.read().await.unwrap(), expected, "{server:?}");
    }
}

#[tokio::test]
async fn the_next_server_is_asked_where_the_first_cannot_be_reached() {
    let ns = Server::Bind.start("").await;
    let both = format!("server = 127.0.0.1:{}, {}", support::free_port(), ns.address);
    let mine = opened(&ns.config().replace(&format!("server = {}", ns.address), &both)).await;
    assert_eq!(mine.apply(&[upsert("s.example.com", &["192.0.2.1"])]).await.unwrap(), []);
}

#[tokio::test]
async fn one_name_that_the_server_refuses_costs_only_itself() {
    // BIND takes 100 records a set by default.
    let ns = Server::Bind.start_with("", "update-policy { grant federation subdomain example.com. A AAAA CNAME TXT; };").await;
    let proxy = Proxy::start(ns.address).await;
    let mine = opened(&ns.config_at(proxy.address)).await;
    let mut batch: Vec<Change> = (0..500).map(|n| upsert(&format!("n{n}.example.com"), &["192.0.2.1"])).collect();
    let wide: Vec<String> = (0..101).map(|n| format!("10.0.0.{n}")).collect();
    batch.insert(250, upsert("wide.example.com", &wide.iter().map(String::as_str).collect::<Vec<_>>()));
    let rejected = mine.apply(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].name == name("wide.example.com") && rejected[0].reason.contains("SERVFAIL"), "{rejected:?}");
    assert_eq!(mine.provider.read(&mine.zone, &mine.zone.name).await.unwrap().len(), 500);
    let updates = proxy.asked().iter().filter(|asked| *asked == "update").count();
    assert!(updates <= 3 + 2 * 9, "{updates} messages");
}

#[tokio::test]
async fn a_name_outside_the_keys_rights_is_told_and_all_of_them_are_an_error() {
    let ns = Server::Bind.start_with("", "update-policy { grant federation subdomain svc.example.com. A AAAA CNAME TXT; };").await;
    let mine = opened(&ns.config()).await;
    let batch = [upsert("web.svc.example.com", &["192.0.2.1"]), upsert("web.example.com", &["192.0.2.1"])];
    let rejected = mine.apply(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].reason.contains("REFUSED; grant the TSIG key"), "{rejected:?}");
    let all: Vec<Change> = (0..100).map(|n| upsert(&format!("n{n}.example.com"), &["192.0.2.1"])).collect();
    let error = mine.apply(&all).await.unwrap_err();
    assert!(error.to_string().contains("REFUSED") && error.hint().unwrap().contains("grant the TSIG key"), "{error}");
}

#[tokio::test]
async fn longer_signatures_are_made_and_checked() {
    let ns = Server::Bind.start_with("", "update-policy { grant k384 zonesub ANY; grant k512 zonesub ANY; };").await;
    for (bits, at) in [("384", "a.example.com"), ("512", "b.example.com")] {
        let text = ns.config().replace("tsig-name = federation", &format!("tsig-name = k{bits}\ntsig-algorithm = hmac-sha{bits}"));
        let mine = opened(&text).await;
        assert_eq!(mine.apply(&[upsert(at, &["192.0.2.1"])]).await.unwrap(), [], "{bits}");
    }
}

#[tokio::test]
async fn a_key_that_is_changed_while_running_is_used_from_then_on() {
    let mut ns = Server::Bind.start("").await;
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, secret: &str| {
        let clause = format!("key \"{name}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n");
        std::fs::write(directory.path().join("federation.key"), clause).unwrap();
    };
    write("federation", KEY.1);
    let text = format!("[Global]\nserver = {}\nzones = example.com.\ntsig-key-file = federation.key\n", ns.address);
    let provider = rfc2136::Rfc2136::new(rfc2136::Config::parse(&directory.path().join("r.conf"), &text).unwrap(), "fellowship");
    let zone = provider.zones().await.unwrap().remove(0);
    assert_eq!(provider.apply(&zone, &[upsert("a.example.com", &["192.0.2.1"])]).await.unwrap(), []);
    let path = ns.file("named.conf");
    let renewed = "cmVuZXdlZCByZW5ld2VkIHJlbmV3ZWQgcmVuZXdlZCE=";
    let conf = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, conf.replacen(KEY.1, renewed, 1)).unwrap();
    ns.stop();
    ns.resume().await;
    let error = provider.read(&zone, &zone.name).await.unwrap_err();
    assert!(error.to_string().contains("BADSIG"), "{error}");
    write("federation", renewed);
    assert_eq!(provider.apply(&zone, &[upsert("a.example.com", &["192.0.2.2"])]).await.unwrap(), []);
}

#[tokio::test]
async fn a_delegation_keeps_its_name_and_a_text_stands_beside_ours() {
    // A delegation of a name itself, and a text beside ours.
    let ns = Server::Bind.start("").await;
    let mine = opened(&ns.config()).await;
    let host = Name::from_ascii("ns.example.net.").unwrap();
    let text = RData::TXT(TXT::new(vec!["v=spf1".to_owned()]));
    ns.by_hand(&[], &[("cut.example.com.", RData::NS(NS(host))), ("web.example.com.", text)]).await;
    let rejected = mine.apply(&[upsert("cut.example.com", &["192.0.2.1"]), upsert("web.example.com", &["192.0.2.1"])]).await.unwrap();
    assert!(rejected.len() == 1 && rejected[0].reason.contains("someone else's NS"), "{rejected:?}");
    assert_eq!(mine.apply(&[delete("web.example.com", Kind::A)]).await.unwrap(), []);
    let (_, left) = ns.dump().await;
    assert!(left.contains(&"web.example.com. 60 TXT v=spf1".to_owned()), "{left:?}");
}

#[tokio::test]
async fn over_tls_the_certificate_must_be_the_servers() {
    let ns = Server::Bind.start("").await;
    let text = |name: &str| format!("{}tls-ca-file = {}\n{name}", ns.config_at(ns.tls_address), ns.file("ca.crt").display());
    let mine = opened(&text("tls-server-name = ns.example.net\n")).await;
    assert_eq!(mine.apply(&[upsert("s.example.com", &["192.0.2.1"])]).await.unwrap(), []);
    assert_eq!(mine.read().await.unwrap(), ["s.example.com. 180 A 192.0.2.1"]);
    // The certificate is not one for 127.0.0.1.
    let error = opened(&text("")).await.read().await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_zone_that_the_server_signs_is_as_any_other() {
    let rules = "dnssec-policy default; update-policy { grant federation subdomain example.com. A AAAA CNAME TXT; };";
    let ns = Server::Bind.start_with("hand 60 A 192.0.2.9\n", rules).await;
    let (_, before) = ns.dump().await;
    let mine = opened(&ns.config()).await;
    let alias = || Change::Upsert(cname("n.example.com", "o.example.com"));
    for batch in [
        vec![upsert("n.example.com", &["192.0.2.1"])],
        vec![alias(), delete("n.example.com", Kind::A)],
        vec![delete("n.example.com", Kind::Cname), upsert("n.example.com", &["192.0.2.2"])],
    ] {
        assert_eq!(mine.apply(&batch).await.unwrap(), []);
    }
    assert_eq!(mine.read().await.unwrap(), ["[hand.example.com. 60 A 192.0.2.9]", "n.example.com. 180 A 192.0.2.2"]);
    mine.apply(&[delete("n.example.com", Kind::A)]).await.unwrap();
    assert_eq!(ns.dump().await.1, before);
}

/// Its figures: `cargo test --release --package dns-providers --test rfc2136 large_zone -- --nocapture`; a build that is
/// not optimised has a tenth of the names.
#[tokio::test]
async fn a_large_zone_is_known_in_seconds_and_changed_in_less() {
    let count = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    let ns = Server::Bind.start("").await;
    let proxy = Proxy::start(ns.address).await;
    let config = ns.config_at(proxy.address);
    let at = |n: usize| format!("web-{n}.shire.fellowship.svc.example.com");
    let all: Vec<Change> = (0..count).map(|n| upsert(&at(n), &["192.0.2.1", "192.0.2.2"])).collect();
    let start = Instant::now();
    assert_eq!(opened(&config).await.apply(&all).await.unwrap(), []);
    let written = start.elapsed();
    proxy.asked();
    let start = Instant::now();
    let again = opened(&config).await;
    assert_eq!(again.read().await.unwrap().len(), count);
    let read = start.elapsed();
    assert_eq!(again.apply(&all).await.unwrap(), []);
    let restarted = start.elapsed();
    assert_eq!(proxy.asked(), ["AXFR"], "nothing is written");
    let mut changes: Vec<Duration> = Vec::new();
    for n in 0..100 {
        let start = Instant::now();
        again.apply(&[upsert(&at(n * count / 100), &["192.0.2.3"])]).await.unwrap();
        changes.push(start.elapsed());
    }
    changes.sort();
    let (half, most) = (changes[49], changes[98]);
    eprintln!(
        "{count} names: first write {written:?}, read {read:?}, restart without a write {restarted:?}, change p50 {half:?} p99 {most:?}"
    );
    assert!(restarted < Duration::from_secs(10) && most < Duration::from_secs(1));
}
