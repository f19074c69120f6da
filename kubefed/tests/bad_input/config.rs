//! `kubefed config`: what is asked of it wrongly, each told with what to do, and no file is touched.

use std::fs;

use crate::support::Place;

const FILE: &str = "# mine\ncontexts:\n- name: gondor # the white city\n  context: {cluster: gondor, user: gondor, colour: white}\n\
                    current-context: gondor\nusers:\n- name: gondor\n  user: {token: s3cret}\n";

#[test]
fn issue10_config_tells_what_is_wrong_and_changes_nothing() {
    let place = Place::new();
    let path = place.file(".kube/config", FILE);
    let mut all = String::new();
    for args in [
        &["config", "get-contxts"][..],
        &["config", "use-context"],
        &["config", "set-cluster", "a", "--sever=b"],
        &["config", "set-cluster", "a", "--embed-certs=maybe"],
        &["config", "get-contexts", "-o", "json"],
    ] {
        all.push_str(&place.kubefed(args).complaint(64));
    }
    for args in [
        &["config", "use-context", "gondr"][..],
        &["config", "rename-context", "gondor", "gondor"],
        &["config", "rename-context", "arnor", "gondor"],
        &["config", "rename-context", "gondor", ""],
        &["config", "delete-user", "arnor"],
        &["config", "set-context", "--cluster=a"],
        &["config", "set-context", "a", "--current"],
        &["config", "set-cluster", ""],
        &["config", "set-cluster", "a", "--embed-certs"],
        &["config", "set-cluster", "a", "--embed-certs", "--certificate-authority=nowhere.pem"],
        &["config", "set-cluster", "a", "--insecure-skip-tls-verify", "--certificate-authority=a.pem"],
        &["config", "set-credentials", "a", "--token=s3cret", "--username=u"],
        &["config", "set-credentials", "a", "--exec-interactive-mode=Sometimes"],
        &["config", "set-credentials", "a", "--exec-env=s3cret"],
        &["config", "current-context", "--kubeconfig=nowhere"],
    ] {
        all.push_str(&place.kubefed(args).complaint(1));
    }
    assert!(!all.replace("--token=s3cret", "").replace("--exec-env=s3cret", "").contains("s3cret"), "{all}");
    insta::assert_snapshot!(all);
    assert_eq!(fs::read_to_string(path).unwrap(), FILE);
}

#[test]
fn issue10_config_keeps_comments_order_and_unknown_fields() {
    let place = Place::new();
    let path = place.file(".kube/config", FILE);
    place.kubefed(&["config", "set-context", "gondor", "--namespace=minas-tirith", "--kubeconfig=.kube/config"]).fine();
    place.kubefed(&["config", "set-cluster", "gondor", "--server=https://gondor", "--certificate-authority="]).fine();
    place.kubefed(&["config", "delete-context", "gondor"]).fine();
    place.kubefed(&["config", "set-context", "gondor", "--cluster=gondor"]).fine();
    place.kubefed(&["config", "rename-context", "gondor", "south"]).fine();
    place.kubefed(&["config", "use", "south"]).fine();
    insta::assert_snapshot!(fs::read_to_string(path).unwrap());
}
