//! Names and DNS settings that are refused before anything is sent.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{ADMIN, Place};

/// A server that counts who comes.
pub(crate) fn counting() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, came)
}

#[test]
fn nothing_is_sent_under_a_bad_name() {
    let place = Place::new();
    let (port, came) = counting();
    let server = format!("https://127.0.0.1:{port}");
    place.kubeconfig(&[("rivendell", &server, ADMIN), ("gondor", &server, ADMIN), ("fellowship", &server, ADMIN)]);
    let before = std::fs::read_to_string(place.path(".kube/config")).unwrap();
    place.file("line.conf", "[Global]\netcd-endpoints = http://etcd:2379\nzone = example.com.\n");
    place.file("away.conf", "[Global]\netcd-endpoints = http://etcd:2379\nzones = example.net., example.org.\n");
    place.file("embedded.conf", "[Global]\nlisten = 0.0.0.0:10053\nzones = example.net.\n");
    let long = "a".repeat(64);
    let cases = [
        "init Fellowship --dns-provider=embedded --dns-zone-name=example.com.".to_owned(),
        format!("init {long} --dns-provider=embedded --dns-zone-name=example.com."),
        "init fellowship --dns-provider=embedded --dns-zone-name=exa_mple.com".into(),
        "init fellowship --dns-provider=embedded --dns-zone-name=example.com. --federation-system-namespace=Bad_One".into(),
        "init fellowship --dns-provider=embedded --dns-zone-name=example.com. --image-pull-secrets=-bad".into(),
        "init fellowship --dns-zone-name=example.com.".into(),
        "init fellowship --dns-provider=palantir --dns-zone-name=example.com.".into(),
        "init fellowship --dns-provider=coredns --dns-zone-name=example.com.".into(),
        "init fellowship --dns-provider=coredns --dns-zone-name=example.com. --dns-provider-config=nowhere.conf".into(),
        "init fellowship --dns-provider=coredns --dns-zone-name=example.com. --dns-provider-config=line.conf".into(),
        "init fellowship --dns-provider=coredns --dns-zone-name=example.com. --dns-provider-config=away.conf".into(),
        "init fellowship --dns-provider=embedded --dns-zone-name=example.com. --dns-provider-config=embedded.conf".into(),
        "join Gondor".into(),
        "join 11kingdom".into(),
        "join gondor --secret-name=Bad_One".into(),
        "join gondor --federation-system-namespace=Bad_One".into(),
        "join gondor --cluster-server=gondor".into(),
        "unjoin Gondor".into(),
        "deinit Fellowship".into(),
    ];
    let mut all = String::new();
    for case in &cases {
        let args: Vec<&str> = case.split(' ').chain(["--host-cluster-context=rivendell"]).collect();
        all.push_str(&place.kubefed(&args).complaint(64));
    }
    insta::assert_snapshot!(all);
    assert_eq!(came.load(Ordering::SeqCst), 0, "somebody was asked");
    assert_eq!(std::fs::read_to_string(place.path(".kube/config")).unwrap(), before);

    // Cured: a secret name may begin with a digit, and the zone is among the provider's.
    place.file("away.conf", "[Global]\netcd-endpoints = http://etcd:2379\nzones = example.net., Example.COM\n");
    let dns = ["--dns-provider=coredns", "--dns-zone-name=example.com.", "--dns-provider-config=away.conf"];
    let said = place.kubefed(&[&["init", "fellowship", "--host-cluster-context=rivendell", "--dry-run"][..], &dns].concat());
    assert!(said.fine().out.contains("--zone-name=example.com."));
}
