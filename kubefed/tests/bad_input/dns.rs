//! `kubefed dns` where it cannot find or reach what it needs.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use crate::support::{ADMIN, Place, create, free_port, hide};

const DIRECT: &[&str] = &["--federation-name=fellowship", "--dns-provider=coredns", "--dns-zone-name=example.com."];

#[test]
fn a_provider_that_is_named_wrongly_or_away() {
    let place = Place::new();
    let port = free_port();
    place.file("away.conf", &format!("[Global]\netcd-endpoints = http://127.0.0.1:{port}\nzones = example.com.\n"));
    place.file("line.conf", "[Global]\netcd-endpoints = http://127.0.0.1:1\nzone = example.com.\n");
    let away = "--dns-provider-config=away.conf";
    let mut all = String::new();
    for args in [
        &["dns", "list", "--dns-provider=coredns"][..],
        &["dns", "list", "--dns-zone-name=example.com."],
        &[&["dns", "purge", "--host-cluster-context=rivendell"], DIRECT].concat(),
        &["dns", "list", "--federation-name=fellowship", "--dns-provider=palantir", "--dns-zone-name=example.com."],
        &["dns", "list", "--federation-name=Fellowship", "--dns-provider=coredns", "--dns-zone-name=example.com."],
        &["dns", "list", "--federation-name=fellowship", "--dns-provider=coredns", away],
        &[&["dns", "list"], DIRECT].concat(),
        &[&["dns", "list", "--dns-provider-config=line.conf"], DIRECT].concat(),
        &[&["dns", "list", "--service-dns-suffix=example.net.", away], DIRECT].concat(),
        &["dns", "purge", "--federation-name=fellowship", "--dns-provider=embedded", "--dns-zone-name=example.com."],
        &["dns", "lits"],
        &["dns", "check"],
        &[&["dns", "adopt", away], DIRECT].concat(),
        &[&["dns", "adopt", "a..b", away], DIRECT].concat(),
        &["dns", "check", "web", "--port=80"],
        &["dns", "verify", "--parallel=0"],
    ] {
        let code = if args.contains(&"--dns-provider=embedded") { 1 } else { 64 };
        all.push_str(&place.kubefed(args).complaint(code));
    }
    for (args, code) in [(&["dns", "list"][..], 1), (&["dns", "purge", "--yes"], 1)] {
        let said = place.kubefed(&[args, DIRECT, &[away]].concat());
        all.push_str(&hide(&said.complaint(code), port));
        assert!(said.took < Duration::from_secs(30), "{:?}", said.took);
    }
    // The kernel takes connections into the backlog; nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("[Global]\netcd-endpoints = http://{}\nzones = example.com.\n", silent.local_addr().unwrap());
    place.file("silent.conf", &text);
    let said = place.kubefed(&[&["dns", "list", "--timeout=1s", "--dns-provider-config=silent.conf"], DIRECT].concat());
    all.push_str(&said.complaint(2));
    assert!(said.took < Duration::from_secs(5), "{:?}", said.took);
    insta::assert_snapshot!(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_not_there_or_keeps_its_names_to_itself() {
    let place = Place::new();
    let host = place.apiserver("rivendell", 0, &[]);
    let port: u16 = host.url.rsplit(':').next().unwrap().parse().unwrap();
    place.kubeconfig(&[("rivendell", &host.url, ADMIN)]);
    let at = "--host-cluster-context=rivendell";
    let mut all = String::new();
    all.push_str(&hide(&place.kubefed(&["dns", "list", at]).complaint(1), port));
    all.push_str(&hide(&place.kubefed(&["dns", "list", at, "--federation-name=fellowship"]).complaint(1), port));

    let admin = host.client(ADMIN);
    let namespace = "/api/v1/namespaces/federation-system";
    create(&admin, "/api/v1/namespaces", &json!({"metadata": {"name": "federation-system"}})).await;
    let manager = |name: &str, flags: &[&str]| {
        let labels = json!({"app": "federated-cluster"});
        let command: Vec<&str> = std::iter::once("/fcp").chain(flags.iter().copied()).collect();
        json!({
            "metadata": {"name": format!("{name}-federation-controller-manager"), "labels": labels,
                "annotations": {"federation.alpha.kubernetes.io/federation-name": name}},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "controller-manager", "image": "fcp", "command": command}]}}}
        })
    };
    let deployments = "/apis/apps/v1/namespaces/federation-system/deployments";
    let flags = [
        "--dns-provider=coredns",
        "--zone-name=example.com.",
        "--dns-provider-config=/etc/federation/dns-provider/federation-dns-provider.conf",
    ];
    create(&admin, deployments, &manager("silent", &[])).await;
    create(&admin, deployments, &manager("embedded", &["--dns-provider=embedded", "--zone-name=example.com."])).await;
    create(&admin, deployments, &manager("fellowship", &flags)).await;
    for args in [
        &["dns", "list", at, "--federation-name=silent"][..],
        &["dns", "list", at, "--federation-name=embedded"],
        &["dns", "list", at, "--federation-name=fellowship"],
    ] {
        all.push_str(&hide(&place.kubefed(args).complaint(1), port));
    }
    let away = free_port();
    let conf = format!("[Global]\netcd-endpoints = http://127.0.0.1:{away}\nzones = example.com.\n");
    let secret =
        json!({"metadata": {"name": "fellowship-federation-dns-provider.conf"}, "stringData": {"federation-dns-provider.conf": conf}});
    create(&admin, &format!("{namespace}/secrets"), &secret).await;
    // It runs, and nothing of its zone is touched: its etcd, which is away, is not even asked.
    all.push_str(&hide(&place.kubefed(&["dns", "purge", "--yes", at, "--federation-name=fellowship"]).complaint(1), port));
    all.push_str(&hide(&place.kubefed(&["dns", "diff", at, "--federation-name=fellowship"]).complaint(4), port));
    insta::assert_snapshot!(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_there_to_say_yes() {
    let place = Place::new();
    let etcd = kit::Etcd::start(&place.path("etcd"), false).unwrap();
    let mut client = etcd_client::Client::connect([etcd.url()], None).await.unwrap();
    let record = r#"{"host":"192.0.2.1","ttl":180,"group":"web.shire.fellowship.svc.example.com.","owner":"fellowship"}"#;
    let key = "/skydns/com/example/svc/fellowship/shire/web/1";
    client.put(key, record, None).await.unwrap();
    place.file("coredns.conf", &format!("[Global]\netcd-endpoints = {}\nzones = example.com.\n", etcd.url()));
    let purge = [&["dns", "purge", "--dns-provider-config=coredns.conf"], DIRECT].concat();
    let said = place.kubefed(&purge);
    let told = said.complaint(1) + &said.out;
    insta::assert_snapshot!(told);
    assert_eq!(client.get(key, None).await.unwrap().kvs().len(), 1);
    let said = place.kubefed(&[&purge[..], &["-y"]].concat());
    assert!(said.fine().out.ends_with("Removed 1 record sets of federation fellowship from zone example.com.\n"), "{}", said.out);
    assert_eq!(client.get(key, None).await.unwrap().kvs().len(), 0);
}
