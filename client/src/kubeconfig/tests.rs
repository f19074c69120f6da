use std::path::Path;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::Error;

fn read(text: impl AsRef<[u8]>) -> Result<Kubeconfig, Error> {
    Kubeconfig::read(text.as_ref(), Source::File(Path::new("config")))
}

fn said(text: impl AsRef<[u8]>) -> String {
    read(text).unwrap_err().to_string()
}

fn hint(text: &str) -> String {
    program::failure::Failure::from(read(text).unwrap_err()).hint.unwrap()
}

const ONE: &str = "apiVersion: v1\nkind: Config\nclusters:\n- name: rivendell\n  cluster:\n    server: https://rivendell\ncontexts:\n\
    - name: rivendell\n  context:\n    cluster: rivendell\n    user: u\ncurrent-context: rivendell\npreferences: {}\nusers:\n\
    - name: u\n  user:\n    token: t\n";

#[test]
fn issue7_case_06_encodings_and_documents_are_read_as_kubectl_reads_them() {
    let one = read(ONE).unwrap();
    let windows = ONE.replace('\n', "\r\n");
    let utf16 = |text: &str| [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
    let json = serde_json::to_string(&yaml(ONE)).unwrap();
    for text in [
        format!("\u{feff}{ONE}").into_bytes(),
        windows.clone().into_bytes(),
        utf16(&windows),
        format!("---\n{ONE}---\n").into_bytes(),
        format!("{ONE}---\nclusters: 5\n").into_bytes(),
        format!("{ONE}---\n\t[not even: yaml\n").into_bytes(),
        format!("# a comment\n\n{ONE}...\nrubbish\n").into_bytes(),
        json.into_bytes(),
    ] {
        assert_eq!(read(&text).unwrap(), one, "{}", String::from_utf8_lossy(&text));
    }
    assert_eq!(read("").unwrap(), Kubeconfig::default());
    assert_eq!(read("# only a comment\n").unwrap(), Kubeconfig::default());
    assert_eq!(read("---\n---\nclusters: 5\n").unwrap(), Kubeconfig::default(), "the first document is empty");
}

fn yaml(text: &str) -> serde_json::Value {
    crate::yaml::parse(text).unwrap().root.unwrap().json().unwrap()
}

#[test]
fn issue7_case_07_what_is_no_text_is_refused_by_file_entry_and_field() {
    let by_hand = "clusters:\n- name: 716064e\n  cluster: {server: 'https://a'}\n- name: 1.30\n  cluster: {server: 'https://b'}\n";
    assert_eq!(said(by_hand), "reading kubeconfig config:4: clusters[1]: name is a number (without quotes) where a text belongs");
    assert_eq!(hint(by_hand), "put the value in quotes, as kubectl needs it too");
    let password = said("users:\n- name: no-one\n  user:\n    password: 12345678901234567890123\n");
    assert_eq!(password, "reading kubeconfig config:4: user \"no-one\": password is a number (without quotes) where a text belongs");
    for (text, field) in [
        ("contexts: [{name: on}]", "contexts[0]: name is a truth value"),
        ("contexts: [{name: a, context: {user: 007}}]", "context \"a\": user is a number"),
        ("users: [{name: a, user: {token: yes}}]", "user \"a\": token is a truth value"),
        ("users: [{name: a, user: {exec: {args: [1]}}}]", "user \"a\": exec: args[0] is a number"),
        ("users: [{name: a, user: {exec: {env: [{name: a, value: 5}]}}}]", "user \"a\": exec: env[0]: value is a number"),
        ("users: [{name: a, user: {auth-provider: {config: {a: 1}}}}]", "user \"a\": auth-provider: config: a is a number"),
        ("current-context: 62e56", "current-context is a number"),
        (
            "clusters: [{name: a, cluster: {insecure-skip-tls-verify: 'true'}}]",
            "insecure-skip-tls-verify is a text, it must be true or false",
        ),
        ("clusters: {a: b}", "clusters is a mapping, it must be a list"),
        ("clusters: [x]", "clusters[0] is a text, it must be a mapping"),
        ("users: [{name: a, user: [b]}]", "user \"a\" is a list, it must be a mapping"),
        ("preferences: {colors: x}", "preferences: colors is a text"),
        ("kind: Pod", "kind is not Config"),
        ("apiVersion: v2", "apiVersion is not v1"),
        ("[]", "it is a list, a kubeconfig is a mapping"),
        ("clusters: [{name: a}, {name: a}]", "cluster \"a\" is there twice"),
    ] {
        assert!(said(text).starts_with("reading kubeconfig config:1: ") && said(text).contains(field), "{text}: {}", said(text));
    }
    let as_kubectl_writes = read("contexts: [{name: 62e5678, context: {cluster: 62g, user: \"0123\", namespace: \"973585995\"}}]").unwrap();
    assert_eq!(as_kubectl_writes.contexts["62e5678"].user, "0123");
}

#[test]
fn no_secret_is_in_any_message() {
    for text in [
        "users: [{name: a, user: {token: s3cret}}, {name: a, user: {token: s3cret}}]",
        "users: [{name: a, user: {client-key-data: s3cret}}]",
        "users: [{name: a, user: {token: s3cret]",
        "users: [{name: a, user: s3cret}]",
        "users: s3cret\n\tb: c",
    ] {
        assert!(!said(text).contains("s3cret"), "{}", said(text));
    }
    let user = User { token: "s3cret".into(), password: "s3cret".into(), ..User::default() };
    assert!(!format!("{user:?}").contains("s3cret"));
}

#[test]
fn issue7_case_08_wrapped_base64_is_read_as_kubectl_reads_it() {
    let of = |data: &str| format!("clusters:\n- name: gondor\n  cluster:\n    certificate-authority-data: {data}\n    server: https://a\n");
    let data = |text: &str| read(of(text)).map(|c| c.clusters["gondor"].certificate_authority_data.clone());
    assert_eq!(data("|\n      aGVs\n      bG8=\n").unwrap(), b"hello");
    assert_eq!(data("aGVsbG8=").unwrap(), b"hello");
    assert_eq!(data("\"aGVs\\nbG8=\\n\"").unwrap(), b"hello");
    for wrapped in [">-\n      aGVs\n      bG8=\n", "\n      aGVs\n      bG8=\n", "aGVs bG8="] {
        let message = data(wrapped).unwrap_err().to_string();
        assert!(
            message.ends_with(
                "cluster \"gondor\": certificate-authority-data has blanks in it: write it on one line, or as a literal block (|)"
            ),
            "{message}"
        );
        assert!(message.starts_with("reading kubeconfig config:"), "{message}");
    }
    assert!(data("!!binary |\n      aGVs\n      bG8=\n").is_err(), "decoded twice, as kubectl does");
    assert!(data("aGVsbG8").unwrap_err().to_string().contains("is not valid base64"));
}

#[test]
fn a_doubled_key_counts_as_its_last() {
    assert_eq!(read("current-context: a\ncurrent-context: b\n").unwrap().current_context, "b");
}

#[test]
fn every_field_is_read() {
    let text = "clusters:\n- name: c\n  cluster: {server: s, tls-server-name: tsn, insecure-skip-tls-verify: true, certificate-authority: /ca, \
        certificate-authority-data: aGk=, proxy-url: p, disable-compression: true, extensions: [{name: e, extension: {a: 1.5}}], Server: x, new: y}\n\
        users:\n- name: u\n  user: {client-certificate: /c, client-certificate-data: aGk=, client-key: /k, client-key-data: aGk=, token: t, \
        tokenFile: /t, as: a, as-uid: i, as-groups: [g, null], as-user-extra: {k: [v]}, username: nn, password: p, auth-provider: {name: gcp}, \
        exec: {command: x, args: [a], env: [{name: nn, value: v}], apiVersion: client.authentication.k8s.io/v1beta1, installHint: h, provideClusterInfo: true}}\n\
        contexts:\n- name: k\n  context: {cluster: c, user: u, namespace: ns}\n";
    let config = read(text).unwrap();
    let origin = Some(PathBuf::from("config"));
    let cluster = Cluster {
        server: "s".into(),
        tls_server_name: "tsn".into(),
        insecure_skip_tls_verify: true,
        certificate_authority: "/ca".into(),
        certificate_authority_data: b"hi".to_vec(),
        proxy_url: "p".into(),
        disable_compression: true,
        extensions: [("e".to_owned(), serde_json::json!({"a": 1.5}))].into(),
        origin: origin.clone(),
    };
    assert_eq!(config.clusters["c"], cluster);
    let user = User {
        client_certificate: "/c".into(),
        client_certificate_data: b"hi".to_vec(),
        client_key: "/k".into(),
        client_key_data: b"hi".to_vec(),
        token: "t".into(),
        token_file: "/t".into(),
        act_as: "a".into(),
        act_as_uid: "i".into(),
        act_as_groups: vec!["g".into(), String::new()],
        act_as_user_extra: [("k".to_owned(), vec!["v".to_owned()])].into(),
        username: "nn".into(),
        password: "p".into(),
        auth_provider: Some(AuthProvider { name: "gcp".into(), config: BTreeMap::new() }),
        exec: Some(Exec {
            command: "x".into(),
            args: vec!["a".into()],
            env: vec![("nn".into(), "v".into())],
            api_version: "client.authentication.k8s.io/v1beta1".into(),
            install_hint: "h".into(),
            provide_cluster_info: true,
            interactive_mode: "IfAvailable".into(),
        }),
        extensions: BTreeMap::new(),
        origin: origin.clone(),
    };
    assert!(config.users["u"] == user);
    assert_eq!(
        config.contexts["k"],
        Context { cluster: "c".into(), user: "u".into(), namespace: "ns".into(), extensions: BTreeMap::new(), origin }
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_text_of_yamls_own_characters_makes_it_panic(text in "[-a:&*<\\[\\]{},\"'|>#!? \n\t%é]{0,60}") {
        let _ = read(&text);
    }
}
