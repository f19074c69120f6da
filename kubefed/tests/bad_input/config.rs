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
        &["config", "view", "-o", "wide"],
        &["config", "view", "-o", "jsonpath"],
        &["config", "view", "--raw=maybe"],
        &["config", "set", "current-context"],
        &["config", "unset"],
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
        &["config", "view", "--merge=false"],
        &["config", "view", "--merge=false", "--kubeconfig=nowhere"],
        &["config", "view", "--minify", "--context=gondr"],
        &["config", "view", "--minify"],
        &["config", "view", "-o", "jsonpath={.users[*"],
        &["config", "view", "-o", "jsonpath={.users[7]}"],
        &["config", "view", "-o", "jsonpath-file=nowhere"],
        &["config", "set", "", "x"],
        &["config", "set", "kind", "Pod"],
        &["config", "set", "usrs.gondor.token", "s3cret"],
        &["config", "set", "users.gondor.tokn", "s3cret"],
        &["config", "set", "users.gondor.exec.comand", "s3cret"],
        &["config", "set", "users.my.token.name.token", "s3cret"],
        &["config", "set", "users.gondor.token", ""],
        &["config", "set", "users.gondor.client-key-data", "s3cret"],
        &["config", "set", "clusters.gondor.insecure-skip-tls-verify", "s3cret"],
        &["config", "set", "users.gondor.exec", "s3cret"],
        &["config", "set", "extensions.e", "s3cret"],
        &["config", "unset", "users.Minas-Ti\u{301}rith.token"],
        &["config", "unset", "users[\"gondor"],
    ] {
        all.push_str(&place.kubefed(args).complaint(1));
    }
    let mut told = all.lines().filter(|line| !line.starts_with("$ "));
    assert!(!told.any(|line| line.contains("s3cret")), "{all}");
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
    place.kubefed(&["config", "set", "contexts.south.user", "faramir"]).fine();
    place.kubefed(&["config", "set", "users[\"my.token\"].exec.env.KEY", "a: b"]).fine();
    place.kubefed(&["config", "set", "users.gondor.as-groups", "rangers,guards"]).fine();
    place.kubefed(&["config", "unset", "contexts.south.namespace"]).fine();
    place.kubefed(&["config", "unset", "users.nobody"]).fine();
    place.kubefed(&["config", "set", "preferences.colors", "true"]).fine();
    insta::assert_snapshot!(fs::read_to_string(path).unwrap());
}

#[test]
fn issue10_view_hides_what_is_secret_and_embeds_what_is_asked_for() {
    let place = Place::new();
    let text = "clusters:\n- name: gondor\n  cluster: {server: 'https://me:s3cret@gondor', certificate-authority: ca.pem}\n\
        contexts:\n- name: gondor\n  context: {cluster: gondor, user: gondor}\n- name: other\n  context: {cluster: none}\n\
        users:\n- name: gondor\n  user:\n    token: s3cret\n    auth-provider: {name: oidc, config: {client-id: me, refresh-token: s3cret}}\n    \
        exec: {command: plugin, env: [{name: KEY, value: s3cret}], args: [get]}\n- name: unused\n  user: {password: s3cret}\n";
    place.file(".kube/config", text);
    place.file(".kube/ca.pem", "a certificate");
    place.file("template", "{range .users[*]}{.name}: {.user.token}{\"\\n\"}{end}");
    let mut all = String::new();
    for args in [&[][..], &["-ojson", "--minify", "--context=gondor"], &["-ojsonpath-file=template"]] {
        let said = place.kubefed(&[&["config", "view"], args].concat());
        assert!(!said.fine().out.contains("s3cret"), "{}", said.out);
        all += &format!("$ view {}\n{}", args.join(" "), said.out);
    }
    for args in [&["--minify", "--context=gondor", "--flatten"][..], &["--raw", "-ojsonpath={.users[0].user.token}"]] {
        all += &format!("\n$ view {}\n{}", args.join(" "), place.kubefed(&[&["config", "view"], args].concat()).fine().out);
    }
    insta::assert_snapshot!(all);
}
