//! The commands on names, against a federation whose controller manager publishes at a real etcd and a real BIND.

mod ground;

use std::path::Path;
use std::time::{Duration, Instant};

use dns_providers::Kind;
use serde_json::{Value, json};

use crate::up::realm::{Realm, apply};
use ground::{Bind, CoreDns, Ground, Other, a, delete};

const SOON: Duration = Duration::from_secs(60);

/// A federation of gondor and dol-amroth, in region south, that publishes there.
async fn realm(dir: &Path, ground: &dyn Ground) -> Realm {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let nowhere = ([127, 0, 0, 1], 9).into();
    let realm = Realm::publishing(dir, crate::commands::boxed, nowhere, (ground.provider(), &ground.config())).await.unwrap();
    inhabit(&realm).await;
    realm
}

/// Members, a namespace and pods.
async fn inhabit(realm: &Realm) {
    for member in ["gondor", "dol-amroth"] {
        realm.join(member).await.unwrap();
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shire"}});
    apply(&realm.federation, "", "v1", "Namespace", "namespaces", &namespace).await.unwrap();
    apply(&realm.federation, "apps", "v1", "Deployment", "deployments", &deployment(4)).await.unwrap();
}

fn deployment(replicas: i32) -> Value {
    let labels = json!({"app": "web"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shire"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
    })
}

async fn service(realm: &Realm, name: &str) {
    typed(realm, name, "LoadBalancer").await;
}

async fn typed(realm: &Realm, name: &str, kind: &str) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shire"},
        "spec": {"type": kind, "selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    apply(&realm.federation, "", "v1", "Service", "services", &service).await.unwrap();
}

/// Waits until `kubefed dns diff` tells this.
async fn until(realm: &Realm, what: &str, done: impl Fn(u8, &Value) -> bool) {
    let end = Instant::now() + SOON;
    loop {
        let (code, out, err) = realm.told(&["dns", "diff", "-o", "json"]).await;
        let code = code.unwrap_or_else(|failure| panic!("{failure}\n{out}{err}"));
        let value = serde_json::from_str(&out).unwrap();
        if done(code, &value) {
            return;
        }
        assert!(Instant::now() < end, "{what}: {code} {value:#}\n{err}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A command that is told by its code, what it printed and what it said.
async fn told(realm: &Realm, words: &[&str]) -> String {
    let (ended, out, err) = realm.told(words).await;
    let code = ended.unwrap_or_else(|failure| panic!("{words:?}: {failure:?}\n{out}{err}"));
    format!("$ kubefed {}\n{out}{err}exit code {code}\n\n", words.join(" "))
}

async fn a_zone_is_looked_at_and_purged(dir: &Path, ground: &dyn Ground) {
    Other::open(ground, dir, "mordor").await.apply(&[a("eye.barad-dur.mordor.svc.example.com", "192.0.2.66")]).await;
    let before = ground.dump().await;
    let realm = realm(dir, ground).await;
    service(&realm, "web").await;
    until(&realm, "all names of web", |code, found| code == 0 && found["equal"] == 4).await;
    service(&realm, "blocked").await;
    let both = json!(["192.0.2.2", "198.51.100.2"]);
    let settled = |code, found: &Value| code == 1 && found["equal"] == 7 && found["differences"][0]["wanted"]["values"] == both;
    until(&realm, "all other names of blocked", settled).await;
    realm.retire().await;
    let ours = Other::open(ground, dir, "fellowship").await;
    ours.apply(&[
        a("web.shire.fellowship.svc.south.example.com", "192.0.2.200"),
        delete("web.shire.fellowship.svc.minas-tirith.south.example.com", Kind::A),
        a("gone.shire.fellowship.svc.example.com", "192.0.2.201"),
    ])
    .await;

    let mut all = String::new();
    for words in [
        &["dns", "diff"][..],
        &["dns", "diff", "-o", "json"],
        &["dns", "list"],
        &["dns", "list", "web", "-n", "shire", "-o", "wide"],
        &["dns", "list", "nothing"],
        &["dns", "list", "gone", "-o", "yaml"],
        &["dns", "purge", "--dry-run"],
        &["dns", "purge", "--yes"],
        &["dns", "purge", "--yes"],
        &["dns", "list"],
        &["dns", "diff"],
    ] {
        all.push_str(&told(&realm, words).await);
    }
    insta::assert_snapshot!("a_zone_is_looked_at_and_purged", all.replace(ground.provider(), "PROVIDER"));
    assert_eq!(ground.dump().await, before, "records of others are as they were, byte for byte");

    // Without the control plane.
    Other::open(ground, dir, "fellowship").await.apply(&[a("gone.shire.fellowship.svc.example.com", "192.0.2.201")]).await;
    realm.stop().await;
    let config = dir.join("lost.conf");
    std::fs::write(&config, ground.config()).unwrap();
    let (provider, config) = (format!("--dns-provider={}", ground.provider()), format!("--dns-provider-config={}", config.display()));
    let words = ["kubefed", "dns", "purge", "--yes", "--federation-name=fellowship", &provider, &config, "--dns-zone-name=example.com."];
    let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(words).unwrap();
    let (printer, out, err) = crate::printer::testing::printer();
    let ended = crate::commands::run(&crate::commands::Session { printer, global: cli.global }, cli.command).await;
    assert_eq!(ended, Ok(0), "{}{}", out.text(), err.text());
    assert!(out.text().ends_with("Removed 1 record sets of federation fellowship from zone example.com.\n"), "{}", out.text());
    assert_eq!(ground.dump().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue9_names_at_coredns_are_looked_at_and_purged() {
    let dir = tempfile::tempdir().unwrap();
    let ground = CoreDns::start(dir.path()).await;
    a_zone_is_looked_at_and_purged(dir.path(), &ground).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issue9_names_at_bind_are_looked_at_and_purged() {
    let dir = tempfile::tempdir().unwrap();
    a_zone_is_looked_at_and_purged(dir.path(), &Bind::start(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issue9_names_at_bind_are_verified_checked_and_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let ground = Bind::start(dir.path());
    let realm = realm(dir.path(), &ground).await;
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (server, other) = (format!("--name-server={}", ground.address), format!("--name-server={}", silent.local_addr().unwrap()));
    let mut all = String::new();
    let mut tell = async |words: &[&str]| {
        let text = told(&realm, words).await;
        let hidden = text.replace(&ground.address.to_string(), "BIND").replace(&silent.local_addr().unwrap().to_string(), "SILENT");
        all.push_str(&hidden);
    };
    service(&realm, "web").await;
    until(&realm, "all names of web", |code, found| code == 0 && found["equal"] == 4).await;
    tell(&["dns", "verify", &server]).await;
    tell(&["dns", "verify", "web", "-n", "shire", &server, &other, "--query-timeout=200ms"]).await;
    tell(&["dns", "check", "web", &server]).await;
    tell(&["dns", "check", "web", "--name-server=127.0.0.1:1", "--query-timeout=200ms"]).await;

    service(&realm, "blocked").await;
    let both = json!(["192.0.2.2", "198.51.100.2"]);
    let settled = |code, found: &Value| code == 1 && found["equal"] == 7 && found["differences"][0]["wanted"]["values"] == both;
    until(&realm, "all other names of blocked", settled).await;
    tell(&["dns", "verify", &server]).await;
    tell(&["dns", "check", "blocked", "-n", "shire", &server]).await;
    let name = "blocked.shire.fellowship.svc.example.com.";
    let before = ground.dump().await;
    tell(&["dns", "adopt", name, "--dry-run"]).await;
    assert_eq!(ground.dump().await, before);
    tell(&["dns", "adopt", name, "web.shire.fellowship.svc.example.com", "--yes"]).await;
    until(&realm, "the name that was taken over", |code, found| code == 0 && found["equal"] == 8).await;
    tell(&["dns", "verify", &server, "-o", "json", "blocked"]).await;
    let mark =
        ground.dump().await.into_iter().filter(|line| line.starts_with("_kubefed.blocked.shire.fellowship.svc.example.com. ")).count();
    assert_eq!(mark, 1);
    // What is no name of this federation, or of another one, is not taken.
    for (typed, why) in
        [("hand.example.com", "is no name of a Service"), ("x.shire.fellowship.svc.example.com", "there is no A, AAAA or CNAME")]
    {
        let (ended, ..) = realm.told(&["dns", "adopt", "--yes", typed]).await;
        let failure = ended.unwrap_err();
        assert!(failure.message.contains(why) && failure.hint.is_some(), "{failure:?}");
    }

    // The last Service: the members number what they give out.
    typed(&realm, "inner", "ClusterIP").await;
    tell(&["dns", "check", "inner", &server]).await;

    realm.retire().await;
    let ours = Other::open(&ground, dir.path(), "fellowship").await;
    ours.apply(&[a("web.shire.fellowship.svc.south.example.com", "192.0.2.200"), delete("web.shire.fellowship.svc.example.com", Kind::A)])
        .await;
    tell(&["dns", "verify", &server]).await;
    tell(&["dns", "check", "web", &server, "-o", "yaml"]).await;
    insta::assert_snapshot!(all);
    realm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issue9_the_embedded_server_is_verified_and_pods_that_are_gone_are_found() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let realm = Realm::start(dir.path(), crate::commands::boxed).await.unwrap();
    inhabit(&realm).await;
    service(&realm, "web").await;
    let server = format!("--name-server={}", realm.dns);
    let end = Instant::now() + SOON;
    loop {
        let (code, out, err) = realm.told(&["dns", "check", "web", &server, "-o", "json"]).await;
        if code == Ok(0) {
            let found: Value = serde_json::from_str(&out).unwrap();
            let states: Vec<&str> = found["links"].as_array().unwrap().iter().map(|link| link["state"].as_str().unwrap()).collect();
            assert_eq!(states, ["ok", "ok", "ok", "ok", "ok", "unknown", "ok"], "{out}");
            break;
        }
        assert!(Instant::now() < end, "{code:?} {out}{err}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (code, _, err) = realm.told(&["dns", "verify", &server]).await;
    assert_eq!((code, err.as_str()), (Ok(0), ""));
    let (ended, ..) = realm.told(&["dns", "list"]).await;
    assert!(ended.unwrap_err().message.starts_with("provider embedded keeps its records in the memory"));

    apply(&realm.federation, "apps", "v1", "Deployment", "deployments", &deployment(0)).await.unwrap();
    let end = Instant::now() + SOON;
    loop {
        let (code, out, err) = realm.told(&["dns", "check", "web", &server, "-o", "json"]).await;
        let found: Value = serde_json::from_str(&out).unwrap_or_default();
        if code == Ok(3) && found["first"]["link"] == "endpoints" && found["first"]["state"] == "broken" {
            assert!(found["first"]["seen"] == "dol-amroth: none is ready; gondor: none is ready", "{found:#}");
            break;
        }
        assert!(Instant::now() < end, "{code:?} {out}{err}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    realm.stop().await;
}
