//! `kubefed config lint`, `check` and `prune`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::support::{ADMIN, Place, Said, free_port};

/// A certificate that ends at the beginning of a year, and its key.
fn certificate(year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["gondor".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn mode(place: &Place, name: &str, mode: u32) {
    fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn run(place: &Place, environment: &[(&str, &str)], args: &[&str], code: i32) -> Said {
    let said = place.kubefed_in(environment, &[&["config"], args].concat());
    assert_eq!(said.code, code, "{args:?}: {}{}", said.out, said.err);
    said
}

#[test]
fn issue10_lint_finds_what_is_wrong_and_says_how_to_mend_it() {
    let place = Place::new();
    let (old, old_key) = certificate(2020);
    let (good, _) = certificate(2250);
    let (other, other_key) = certificate(2250);
    let jwt = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(r#"{"exp":1000000000}"#));
    let data = |text: &str| STANDARD.encode(text);
    place.file("key.pem", &other_key);
    place.file("plugin", "no program");
    let text = format!(
        "current-context: gondr\nclusters:\n\
        - {{name: good, cluster: {{server: 'https://a', certificate-authority-data: {good}}}}}\n\
        - {{name: plain, cluster: {{Server: 'https://b', server: 'http://b', proxy-url: 'ftp://p'}}}}\n\
        - {{name: both, cluster: {{server: 'https://c', certificate-authority: nowhere.pem, insecure-skip-tls-verify: true}}}}\n\
        - {{name: format, cluster: {{server: 'https://d', certificate-authority-data: aGk=}}}}\n\
        - {{name: old, cluster: {{server: 'https://e', certificate-authority-data: {old}}}}}\n\
        - {{name: unused, cluster: {{}}}}\n\
        users:\n\
        - {{name: old, user: {{client-certificate-data: {old}, client-key-data: {old_key}}}}}\n\
        - {{name: foreign, user: {{client-certificate-data: {good}, client-key: key.pem}}}}\n\
        - {{name: half, user: {{client-certificate-data: {other}}}}}\n\
        - {{name: jwt, user: {{token: {jwt}, password: s3cret}}}}\n\
        - {{name: my.token, user: {{exec: {{command: ./plugin, apiVersion: client.authentication.k8s.io/v1beta1}}, as-uid: '1'}}}}\n\
        - {{name: lost, user: {{tokenFile: nowhere, exec: {{command: no-such-plugin, apiVersion: v0, installHint: \"get\\nit\"}}}}}}\n\
        - {{name: gcp, user: {{auth-provider: {{name: gcp}}}}}}\n\
        contexts:\n\
        - {{name: a, context: {{cluster: good, user: old}}}}\n\
        - {{name: b, context: {{cluster: plain, user: foreign}}}}\n\
        - {{name: c, context: {{cluster: both, user: half}}}}\n\
        - {{name: d, context: {{cluster: format, user: jwt}}}}\n\
        - {{name: it's, context: {{cluster: old, user: my.token}}}}\n\
        - {{name: f, context: {{cluster: gone, user: lost}}}}\n\
        - {{name: g, context: {{}}}}\n",
        good = data(&good),
        old = data(&old),
        old_key = data(&old_key),
        other = data(&other),
    );
    place.file("one", &text);
    mode(&place, "one", 0o600);
    mode(&place, "key.pem", 0o640);
    mode(&place, "plugin", 0o644);
    place.file("two", "users: [{name: old, user: {token: s3cret}}]\n");
    mode(&place, "two", 0o604);
    let list = format!("{}:{}:{}", place.path("one").display(), place.path("two").display(), place.path("three").display());
    let said = run(&place, &[("KUBECONFIG", &list)], &["lint"], 3);
    assert!(!said.out.contains("s3cret"), "{}", said.out);
    insta::assert_snapshot!(said.out.replace(&place.path("").display().to_string(), "DIR/"));
    let json: Value = serde_json::from_str(&run(&place, &[("KUBECONFIG", &list)], &["lint", "-ojson"], 3).out).unwrap();
    assert_eq!(json.as_array().unwrap().len(), said.out.matches("  mend: ").count());
    assert_eq!(json[0]["severity"], "error");
    // Files that cannot be understood are findings as well.
    place.file("two", "users: [\n");
    let broken = run(&place, &[("KUBECONFIG", &list)], &["lint"], 3).out;
    insta::assert_snapshot!(broken.replace(&place.path("").display().to_string(), "DIR/"));
}

#[test]
fn issue10_lint_of_what_is_well_is_quiet_and_what_ends_soon_is_told() {
    let place = Place::new();
    let (authority, _) = certificate(2250);
    let text = format!(
        "clusters: [{{name: c, cluster: {{server: 'https://a', certificate-authority-data: {}}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n\
         contexts: [{{name: k, context: {{cluster: c, user: u}}}}]\n",
        STANDARD.encode(authority)
    );
    place.file(".kube/config", &text);
    mode(&place, ".kube/config", 0o600);
    assert_eq!(run(&place, &[], &["lint"], 0).out, "0 errors, 0 warnings, 0 notes\n");
    // 280 years.
    let soon = run(&place, &[], &["lint", "--within=2454480h"], 3).out;
    assert!(
        soon.contains("warning: cluster \"c\": its certificate authority expires in ") && soon.ends_with("0 errors, 1 warnings, 0 notes\n"),
        "{soon}"
    );
    assert_eq!(run(&place, &[], &["lint", "-ojson"], 0).out, "[]\n");
}

#[test]
fn issue10_check_asks_and_prune_deletes_what_does_not_answer() {
    let place = Place::new();
    let server = place.apiserver("arnor", free_port(), &[]);
    let closed = free_port();
    let text = format!(
        "clusters: [{{name: up, cluster: {{server: '{url}', insecure-skip-tls-verify: true}}}}, {{name: down, cluster: {{server: 'https://127.0.0.1:{closed}'}}}}]\n\
         users: [{{name: admin, user: {{token: {ADMIN}}}}}, {{name: wrong, user: {{token: s3cret}}}}, {{name: only, user: {{token: t}}}}]\n\
         contexts: [{{name: arnor, context: {{cluster: up, user: admin}}}}, {{name: stranger, context: {{cluster: up, user: wrong}}}}, \
         {{name: gone, context: {{cluster: down, user: only}}}}, {{name: gone-too, context: {{cluster: down, user: admin}}}}, \
         {{name: broken, context: {{cluster: none, user: admin}}}}]\n",
        url = server.url
    );
    let path = place.file(".kube/config", &text);
    let json: Value = serde_json::from_str(&run(&place, &[], &["check", "-ojson"], 3).out).unwrap();
    let of = |name: &str| json.as_array().unwrap().iter().find(|answer| answer["context"] == name).unwrap().clone();
    let states: Vec<Value> = ["arnor", "stranger", "gone", "gone-too", "broken"].iter().map(|name| of(name)["answers"].clone()).collect();
    assert_eq!(states, ["yes", "refuses", "no", "no", "unusable"], "{json:#}");
    let arnor = of("arnor");
    assert_eq!((&arnor["user"], &arnor["clockAheadSeconds"]), (&"admin".into(), &0.into()), "{arnor}");
    assert!(arnor["version"].as_str().unwrap().starts_with('v'), "{arnor}");
    assert!(of("gone")["problem"].as_str().unwrap().contains("refused"), "{json:#}");
    let table = run(&place, &[], &["check", "arnor"], 0).out;
    assert!(table.starts_with("CONTEXT   ANSWERS   VERSION ") && table.lines().count() == 2, "{table}");
    assert!(!run(&place, &[], &["check"], 3).out.contains("s3cret"));

    let said = run(&place, &[], &["prune"], 1);
    assert!(said.err.contains("hint: --yes deletes them without asking; nothing was deleted"), "{}", said.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let said = run(&place, &[], &["prune", "--yes"], 0);
    let deleted: Vec<&str> = said.out.lines().filter(|line| line.starts_with("deleted ")).collect();
    assert_eq!(
        deleted,
        ["deleted context \"gone\"", "deleted context \"gone-too\"", "deleted cluster \"down\"", "deleted user \"only\""],
        "the user of another context stays"
    );
    assert!(run(&place, &[], &["prune", "--yes"], 0).out.starts_with("Nothing to do"));
    run(&place, &[], &["undo"], 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "one undo for all that was pruned");
}
