//! Kubeconfigs against a real kubectl: what it reads we read, to the same effect, and what it refuses we refuse.
//!
//! Files are made from a grammar of everything people, tools and editors put into them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use federation_client::{Kubeconfig, Source, User};
use kit::programs;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

/// How many files are tried: a run of kubectl takes some 50 ms.
const FILES: u32 = 600;

/// What kubectl makes of a file: its entries, or nothing if it refuses it.
fn theirs(kubectl: &Path, file: &Path) -> Result<Value, String> {
    let out =
        Command::new(kubectl).args(["config", "view", "--raw", "-o", "json", "--kubeconfig"]).arg(file).env_remove("KUBECONFIG").output();
    let out = out.expect("kubectl runs");
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    let all: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let list = |list: &str, key: &str| -> BTreeMap<String, Value> {
        let items = all[list].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| (item["name"].as_str().unwrap_or_default().to_owned(), item[key].clone())).collect()
    };
    let clusters = list("clusters", "cluster").into_iter().map(|(name, c)| {
        let text = |key: &str| c[key].as_str().unwrap_or_default().to_owned();
        let extensions: BTreeMap<String, Value> = c["extensions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| (e["name"].as_str().unwrap_or_default().to_owned(), e["extension"].clone()))
            .collect();
        let all = json!([
            text("server"),
            text("tls-server-name"),
            c["insecure-skip-tls-verify"] == true,
            text("certificate-authority"),
            text("certificate-authority-data"),
            text("proxy-url"),
            c["disable-compression"] == true,
            extensions
        ]);
        (name, all)
    });
    let users = list("users", "user").into_iter().map(|(name, u)| {
        let text = |at: &Value, key: &str| at[key].as_str().unwrap_or_default().to_owned();
        let texts = |at: &Value| at.as_array().into_iter().flatten().map(|t| t.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
        let extra: BTreeMap<String, Vec<String>> =
            u["as-user-extra"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), texts(v))).collect();
        let exec = u["exec"].is_object().then(|| {
            let e = &u["exec"];
            let env: Vec<_> = e["env"].as_array().into_iter().flatten().map(|v| (text(v, "name"), text(v, "value"))).collect();
            json!([
                text(e, "command"),
                texts(&e["args"]),
                env,
                text(e, "apiVersion"),
                text(e, "installHint"),
                e["provideClusterInfo"] == true,
                text(e, "interactiveMode")
            ])
        });
        let provider = u["auth-provider"].is_object().then(|| text(&u["auth-provider"], "name"));
        let own = [
            "client-certificate",
            "client-certificate-data",
            "client-key",
            "client-key-data",
            "token",
            "tokenFile",
            "as",
            "as-uid",
            "username",
            "password",
        ]
        .map(|key| text(&u, key));
        let all = json!([own, texts(&u["as-groups"]), extra, exec, provider]);
        (name, all)
    });
    let contexts = list("contexts", "context").into_iter().map(|(name, c)| {
        (name, Value::from(["cluster", "user", "namespace"].map(|key| c[key].as_str().unwrap_or_default().to_owned()).to_vec()))
    });
    let (clusters, users, contexts): (BTreeMap<_, _>, BTreeMap<_, _>, BTreeMap<_, _>) =
        (clusters.collect(), users.collect(), contexts.collect());
    Ok(json!([clusters, users, contexts, all["current-context"]]))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The same of ours.
fn ours(config: &Kubeconfig) -> Value {
    let clusters: BTreeMap<_, _> = config
        .clusters
        .iter()
        .map(|(name, c)| {
            (
                name,
                json!([
                    c.server,
                    c.tls_server_name,
                    c.insecure_skip_tls_verify,
                    c.certificate_authority,
                    base64(&c.certificate_authority_data),
                    c.proxy_url,
                    c.disable_compression,
                    c.extensions
                ]),
            )
        })
        .collect();
    let user = |u: &User| {
        let exec = u
            .exec
            .as_ref()
            .map(|e| json!([e.command, e.args, e.env, e.api_version, e.install_hint, e.provide_cluster_info, e.interactive_mode]));
        json!([
            [
                &u.client_certificate,
                &base64(&u.client_certificate_data),
                &u.client_key,
                &base64(&u.client_key_data),
                &u.token,
                &u.token_file,
                &u.act_as,
                &u.act_as_uid,
                &u.username,
                &u.password
            ],
            u.act_as_groups,
            u.act_as_user_extra,
            exec,
            u.auth_provider.as_ref().map(|provider| &provider.name)
        ])
    };
    let users: BTreeMap<_, _> = config.users.iter().map(|(name, u)| (name, user(u))).collect();
    let contexts: BTreeMap<_, _> = config.contexts.iter().map(|(name, c)| (name, json!([c.cluster, c.user, c.namespace]))).collect();
    json!([clusters, users, contexts, config.current_context])
}

/// Words that look like something else, as they are written.
fn odd() -> impl Strategy<Value = String> {
    let words = [
        "1.30",
        "007",
        "0123",
        "62e5678",
        "1e3",
        "0x1F",
        "0o17",
        "0b11",
        "1_000",
        "12345678901234567890123",
        "-0",
        "+1",
        ".5",
        "1.",
        "08",
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "true",
        "False",
        "null",
        "~",
        "Null",
        "nUll",
        "yEs",
        "2026-11-26",
        "12:30",
        "1.2.3",
        "-",
        "=",
        "<<",
        "'1.30'",
        "\"no\"",
        "\"\"",
        "''",
        "\"a\\tb\\u00e9\"",
        "'it''s'",
        "!!str 5",
        "!!int \"5\"",
        "!!binary aGk=",
        "!mine x",
        "a b",
        "a#b",
        "a: b",
        "[]",
        "{}",
        "[a]",
        "\"a\\/b\"",
        "é",
        "&anchor x",
        "*anchor",
        "%x",
        "@x",
        "a,b",
        ".nan",
        "|\n      two\n      lines\n",
        ">-\n      two\n      lines",
        "x\n      y",
    ];
    prop_oneof![6 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "[a-z]{1,6}-[0-9]{1,3}", 1 => Just(String::new())]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![12 => "[a-z]{2,6}x", 1 => odd()]
}

fn flag() -> impl Strategy<Value = String> {
    proptest::sample::select(["true", "false", "yes", "off", "null", "\"true\"", "1", ""].as_slice()).prop_map(str::to_owned)
}

fn data() -> impl Strategy<Value = String> {
    let all = [
        "aGVsbG8=",
        "\"aGVsbG8=\"",
        "|\n      aGVs\n      bG8=\n",
        ">-\n      aGVs\n      bG8=\n",
        "aGVs\n      bG8=",
        "aGVsbG8",
        "!!binary aGVsbG8=",
        "''",
        "aGl=",
        "\"aGVs\\nbG8=\\n\"",
        "5",
        "null",
    ];
    prop_oneof![4 => Just("aGk=".to_owned()), 1 => proptest::sample::select(all.to_vec()).prop_map(str::to_owned)]
}

/// Some of these fields, in any order, at times one twice, in another case or unknown.
fn fields(all: Vec<(&'static str, BoxedStrategy<String>)>) -> BoxedStrategy<Vec<(String, String)>> {
    let one = (0..all.len()).prop_flat_map(move |i| (Just(all[i].0.to_owned()), all[i].1.clone()));
    let one = prop_oneof![10 => one, 1 => ("[A-Z][a-z]{1,5}|future|Server|!!str x", odd())];
    proptest::collection::vec(one, 0..5).boxed()
}

fn paths() -> BoxedStrategy<String> {
    prop_oneof![5 => Just("/etc/kubernetes/file".to_owned()), 1 => Just("''".to_owned()), 1 => Just("7".to_owned())].boxed()
}

fn cluster() -> BoxedStrategy<Vec<(String, String)>> {
    fields(vec![
        ("server", prop_oneof![3 => Just("https://gondor:6443".to_owned()), 1 => word()].boxed()),
        ("tls-server-name", word().boxed()),
        ("insecure-skip-tls-verify", flag().boxed()),
        ("certificate-authority", paths()),
        ("certificate-authority-data", data().boxed()),
        ("proxy-url", word().boxed()),
        ("disable-compression", flag().boxed()),
        (
            "extensions",
            prop_oneof![Just("[{name: e, extension: {a: 1.5, b: no}}, {name: f}]".to_owned()), Just("{}".into()), Just("null".into())]
                .boxed(),
        ),
    ])
}

fn user() -> BoxedStrategy<Vec<(String, String)>> {
    let exec = prop_oneof![
        Just("{command: /bin/x, args: null, env: null, apiVersion: client.authentication.k8s.io/v1beta1, provideClusterInfo: null}".to_owned()),
        Just("{command: /bin/x, args: [a, null, 'b'], env: [{name: a, value: b}], apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}".to_owned()),
        Just("{command: /bin/x, args: [1]}".into()), Just("null".into()), Just("[]".into()),
    ];
    let groups = prop_oneof![Just("[a, null]".to_owned()), Just("a".into()), Just("[no]".into()), Just("null".into())];
    fields(vec![
        ("token", word().boxed()),
        ("tokenFile", paths()),
        ("username", word().boxed()),
        ("password", odd().boxed()),
        ("client-certificate", paths()),
        ("client-certificate-data", data().boxed()),
        ("client-key", paths()),
        ("client-key-data", data().boxed()),
        ("as", word().boxed()),
        ("as-uid", word().boxed()),
        ("as-groups", groups.boxed()),
        ("as-user-extra", prop_oneof![Just("{a: [b], c: null}".to_owned()), Just("{a: b}".into())].boxed()),
        ("exec", exec.boxed()),
        ("auth-provider", prop_oneof![Just("{name: gcp, config: null}".to_owned()), Just("{name: x, config: {a: 1}}".into())].boxed()),
    ])
}

fn context() -> BoxedStrategy<Vec<(String, String)>> {
    fields(vec![("cluster", word().boxed()), ("user", word().boxed()), ("namespace", word().boxed())])
}

/// A list of entries as a block, as people, tools and editors write it.
fn list(name: &'static str, key: &'static str, entry: BoxedStrategy<Vec<(String, String)>>) -> BoxedStrategy<String> {
    let entry = (word(), entry, 0..12_usize);
    proptest::collection::vec(entry, 0..4)
        .prop_flat_map(move |entries| (Just(entries), 0..16_usize))
        .prop_map(move |(entries, odd)| {
            if odd == 0 {
                return format!("{name}: {}\n", ["null", "[]", "", "{}", "~", "x"][entries.len()]);
            }
            let mut text = format!("{name}:\n");
            for (name, fields, shape) in entries {
                let inner: String = fields.iter().map(|(k, v)| format!("    {k}: {v}\n")).collect();
                text += &match shape {
                    0 => format!("- {key}:\n{inner}"),
                    1 => format!("- name: {name}\n"),
                    2 => format!("- name: {name}\n  {key}: null\n"),
                    3 => format!("- name: {name}\n  {key}: {{}}\n"),
                    4 => format!("- {{\"name\": {name}, {key}: {{}}}}\n"),
                    _ if inner.is_empty() => format!("- name: {name}\n  {key}:\n"),
                    5 => format!("-\n  {key}:\n{inner}  name: {name} # a comment\n"),
                    _ => format!("- name: {name}\n  {key}:\n{inner}"),
                };
            }
            if text == format!("{name}:\n") { format!("{name}: []\n") } else { text }
        })
        .boxed()
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let lists = (list("clusters", "cluster", cluster()), list("users", "user", user()), list("contexts", "context", context()));
    let heads = [
        "",
        "kind: Config\n",
        "kind: Config\napiVersion: v1\n",
        "apiVersion: v1\nkind: Config\npreferences: {}\n",
        "kind: Pod\n",
        "apiVersion: v2\n",
        "preferences: {colors: yes}\n",
        "x: &anchor y\n",
        "anchor: &anchor anchored\nfoo: [*anchor, {a: *anchor}]\n",
        "base: &base {current-context: merged}\n<<: *base\n",
        "kind: 5\n",
    ];
    let tails = [
        "",
        "# the end\n",
        "---\nclusters: 5\n",
        "---\n",
        "...\n",
        "...\n\tany: [thing\n",
        "---\n\t[not: yaml\n",
        "clusters: []\n",
        "extensions: [{name: a, extension: 1}]\n",
    ];
    let head = prop_oneof![3 => Just(""), 5 => proptest::sample::select(heads.to_vec())];
    let tail = prop_oneof![3 => Just(""), 4 => proptest::sample::select(tails.to_vec())];
    (lists, head, tail, word(), 0..9_usize, any::<bool>()).prop_map(
        |((clusters, users, contexts), head, tail, current, encoding, start)| {
            let start = if start { "---\n" } else { "" };
            let text = format!("{start}{head}{clusters}{users}{contexts}current-context: {current}\n{tail}");
            match encoding {
                0 => text.replace('\n', "\r\n").into_bytes(),
                1 => format!("\u{feff}{text}").into_bytes(),
                2 => [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat(),
                3 => [vec![0xfe, 0xff], text.encode_utf16().flat_map(u16::to_be_bytes).collect()].concat(),
                _ => text.into_bytes(),
            }
        },
    )
}

/// What we read though kubectl does not, on purpose: docs/compatibility.md.
fn differs_on_purpose(text: &str) -> bool {
    // Of UTF-16 every other byte is zero.
    text.replace('\0', "").contains("\\/")
}

/// What kubectl reads though we do not, on purpose: docs/compatibility.md.
fn has_a_lone_dash(text: &str) -> bool {
    let text = text.replace('\0', "");
    [", -", ": -", "[-", "{-"].iter().any(|before| [",", "]", "}"].iter().any(|after| text.contains(&format!("{before}{after}"))))
}

fn compare(kubectl: &Path, file: &Path, bytes: &[u8]) -> Result<(), TestCaseError> {
    std::fs::write(file, bytes).expect("a file");
    let text = String::from_utf8_lossy(bytes);
    let mine = Kubeconfig::read(bytes, Source::File(file));
    match (theirs(kubectl, file), mine) {
        (Ok(theirs), Ok(mine)) => {
            let mine = ours(&mine);
            prop_assert_eq!(mine, theirs, "{}", text);
        }
        (Err(said), Ok(_)) => prop_assert!(differs_on_purpose(&text), "kubectl refuses it: {}\n{}", said, text),
        (Ok(_), Err(said)) => prop_assert!(has_a_lone_dash(&text), "we refuse it: {}\n{}", said, text),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

#[test]
#[ignore = "needs a real kubectl (the kit's, or one in PATH): cargo xtask test --real"]
fn what_kubectl_reads_we_read_to_the_same_effect_and_what_it_refuses_we_refuse() {
    let kubectl = programs::find("kubectl").expect("kubectl");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    // The same files each time, so that it fails for a change and not by chance; PROPTEST_RNG_SEED and PROPTEST_CASES
    // make others and more.
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = FILES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(7);
    }
    let mut runner = TestRunner::new(config);
    runner.run(&self::file(), |bytes| compare(&kubectl, &file, &bytes)).unwrap_or_else(|e| panic!("{e}"));
}
