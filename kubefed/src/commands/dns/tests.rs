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
    for member in ["gondor", "dol-amroth"] {
        realm.join(member).await.unwrap();
    }
    let labels = json!({"app": "web"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shire"}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shire"},
        "spec": {"replicas": 4, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
    });
    apply(&realm.federation, "", "v1", "Namespace", "namespaces", &namespace).await.unwrap();
    apply(&realm.federation, "apps", "v1", "Deployment", "deployments", &deployment).await.unwrap();
    realm
}

async fn service(realm: &Realm, name: &str) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shire"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
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
