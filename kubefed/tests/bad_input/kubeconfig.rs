//! Kubeconfigs and contexts.

use std::sync::atomic::Ordering;

use crate::names::counting;
use crate::support::{ADMIN, Place};

#[test]
fn no_kubeconfig_a_broken_one_and_an_unknown_context() {
    let place = Place::new();
    let mut all = String::new();
    let join = ["join", "gondor", "--host-cluster-context=rivendell"];
    let init = ["init", "fellowship", "--host-cluster-context=rivendell", "--dns-provider=embedded", "--dns-zone-name=example.com."];
    let mut try_both = |code| {
        for args in [&join[..], &init, &["unjoin", "gondor", "--host-cluster-context=rivendell"], &["deinit", "fellowship"], &["version"]] {
            all.push_str(&place.kubefed(args).complaint(code));
        }
    };
    try_both(1);
    place.file(".kube/config", "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {token: s3cret, [\n");
    try_both(1);
    place.file(".kube/config", "apiVersion: v1\nkind: Config\ncontexts: 5\n");
    try_both(1);
    place.kubeconfig(&[("mordor", "https://127.0.0.1:1", ADMIN)]);
    for args in [&join[..], &init] {
        all.push_str(&place.kubefed(args).complaint(1));
    }
    all.push_str(&place.kubefed(&["version", "--kubeconfig=nowhere"]).complaint(1));
    all.push_str(&place.kubefed(&["version", "--certificate-authority=nowhere.pem"]).complaint(64));
    assert!(!all.contains("s3cret"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn issue7_w5_nothing_is_made_where_the_kubeconfig_cannot_be_written() {
    let place = Place::new();
    let (port, came) = counting();
    place.kubeconfig(&[("rivendell", &format!("https://127.0.0.1:{port}"), ADMIN)]);
    // Somebody else's editor has it, and does not let go.
    place.file(".kube/config.lock", "");
    let init = ["init", "fellowship", "--host-cluster-context=rivendell", "--dns-provider=embedded", "--dns-zone-name=example.com."];
    let complaint = place.kubefed(&init).complaint(2);
    assert!(complaint.contains("is locked") && complaint.contains("config.lock"), "{complaint}");
    assert_eq!(came.load(Ordering::SeqCst), 0, "somebody was asked");
}
