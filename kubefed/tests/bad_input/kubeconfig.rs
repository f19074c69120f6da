//! Kubeconfigs and contexts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;

use serde_json::json;

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

/// An empty authority is none: the system's roots count, and nothing else.
#[test]
fn issue7_case_10_an_empty_authority_means_the_roots_of_the_system() {
    let place = Place::new();
    let server = place.apiserver("fellowship", 0, &[]);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fellowship",
        "clusters": [{"name": "fellowship", "cluster": {"server": server.url, "certificate-authority-data": ""}}],
        "users": [{"name": "admin", "user": {"token": ADMIN}}],
        "contexts": [{"name": "fellowship", "context": {"cluster": "fellowship", "user": "admin"}}],
    });
    place.file(".kube/config", &config.to_string());
    let roots = place.file("roots.pem", &server.certificate);
    let said = place.kubefed_in(&[("SSL_CERT_FILE", &roots)], &["version"]);
    assert!(said.fine().out.contains("Server Version"), "{}", said.out);
    let complaint = place.kubefed(&["version"]).complaint(1);
    assert!(complaint.contains("certificate"), "{complaint}");
}

/// Root may write everybody's file; without the right to give the new one away it does not.
#[test]
fn d28_a_file_whose_owner_cannot_be_kept_is_left_as_it_is() {
    let place = Place::new();
    let path = place.kubeconfig(&[("rivendell", "https://127.0.0.1:1", ADMIN)]);
    if std::os::unix::fs::chown(&path, Some(4711), Some(4712)).is_err() {
        return; // Who is not root meets no file of others that is writable.
    }
    let before = fs::read_to_string(&path).unwrap();
    let said = place.without("chown", &["config", "set-context", "rivendell", "--namespace=shire"]);
    let complaint = said.complaint(1);
    assert!(
        complaint.contains("its owner 4711:4712 cannot be kept") && complaint.contains("run the command as the file's owner"),
        "{complaint}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    place.kubefed(&["config", "set-context", "rivendell", "--namespace=shire"]).fine();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712));
}
