//! Documents nobody in his right mind sends: whatever comes, the answer is no 5xx, comes soon, and what is stored can be
//! read by serde_json and by kube.

use std::time::{Duration, Instant};

use federation_apiserver::Profile;
use kube::core::{DynamicObject, ObjectList};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};

use crate::subject::{Subject, in_memory};

/// Many times what the slowest answer takes, debug build and small machine included.
const SOON: Duration = Duration::from_secs(30);

/// Names of fields and values that fit.
type Fields = &'static [(&'static str, &'static str)];

/// Group version, kind and plural, and fields of their own.
const KINDS: [(&str, &str, &str, Fields); 3] = [
    ("v1", "ConfigMap", "configmaps", &[("data", r#"{"a":"b"}"#), ("binaryData", r#"{"c":"AA=="}"#), ("immutable", "false")]),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", &[("rules", r#"[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]"#)]),
    (
        "apps/v1",
        "Deployment",
        "deployments",
        &[(
            "spec",
            r#"{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"b"}]}}}"#,
        )],
    ),
];

/// Metadata with values that fit.
const METADATA: [(&str, &str); 6] = [
    ("labels", r#"{"a":"b"}"#),
    ("annotations", r#"{"a":"b"}"#),
    ("finalizers", r#"["example.com/a"]"#),
    ("ownerReferences", r#"[{"apiVersion":"v1","kind":"ConfigMap","name":"o","uid":"u"}]"#),
    (
        "managedFields",
        r#"[{"manager":"x","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:a":{}}}}]"#,
    ),
    ("generateName", "\"g-\""),
];

fn text() -> impl Strategy<Value = String> {
    let odd = select(vec!["", "a", "é", "\u{0}", "\u{1F98A}", "\u{202E}b", "\u{FFFF}", "a\nb", "$patch", "f:a", "k:{\"a\":1}", "~0/", "."]);
    prop_oneof![4 => odd.prop_map(str::to_owned), 1 => any::<String>(), 1 => (odd_letter(), 0..5000usize).prop_map(|(c, n)| c.repeat(n))]
}

fn odd_letter() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "é", "\\", "\""])
}

fn levels() -> impl Strategy<Value = usize> {
    prop_oneof![1..60usize, 80..126usize]
}

fn nested() -> impl Strategy<Value = Value> {
    let opening = select(vec![("{\"f:a\":", "}"), ("[", "]"), ("{\"data\":", "}")]);
    (opening, levels()).prop_map(|((open, close), n)| serde_json::from_str(&format!("{}{{}}{}", open.repeat(n), close.repeat(n))).unwrap())
}

fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()).prop_map(Value::from),
        text().prop_map(Value::from),
        nested(),
        (0..3000usize).prop_map(|n| (0..n).map(|n| n / 2).collect()),
        (0..3000usize, text()).prop_map(|(n, key)| (0..n).map(|n| (format!("{key}{n}"), json!("v"))).collect::<Map<_, _>>().into()),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A value that fits, mostly; else one that may not.
fn field(fits: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![3 => Just(serde_json::from_str(fits).unwrap()), 1 => hostile()]
}

fn fields(of: Fields) -> impl Strategy<Value = Map<String, Value>> {
    let one = select(of).prop_flat_map(|(name, fits)| field(fits).prop_map(move |value| (name.to_owned(), value)));
    prop::collection::vec(one, 0..4).prop_map(|all| all.into_iter().collect())
}

fn document(kind: usize) -> impl Strategy<Value = Value> {
    let (api_version, name, _, own) = KINDS[kind];
    (fields(&METADATA), fields(own), prop::option::weighted(0.2, (text(), hostile()))).prop_map(move |(metadata, mut body, odd)| {
        body.extend(odd);
        body.extend([("apiVersion".into(), api_version.into()), ("kind".into(), name.into()), ("metadata".into(), metadata.into())]);
        body.into()
    })
}

fn json_patch() -> impl Strategy<Value = Value> {
    let path = select(vec![
        "/metadata/labels",
        "/metadata/managedFields/0/fieldsV1",
        "/metadata/finalizers/-",
        "/data",
        "/rules/0",
        "/spec",
        "/é",
        "",
    ]);
    let operation = (select(vec!["add", "replace", "remove", "move", "copy", "test"]), path.clone(), path, hostile());
    let one = operation.prop_map(|(op, from, path, value)| json!({"op": op, "from": from, "path": path, "value": value}));
    prop::collection::vec(one, 1..5).prop_map(Value::from)
}

#[derive(Clone, Debug)]
struct Case {
    kind: usize,
    created: Value,
    patches: Vec<(&'static str, Value)>,
}

fn case() -> impl Strategy<Value = Case> {
    (0..KINDS.len()).prop_flat_map(|kind| {
        let patch = prop_oneof![
            document(kind).prop_map(|d| ("application/merge-patch+json", d)),
            document(kind).prop_map(|d| ("application/strategic-merge-patch+json", d)),
            document(kind).prop_map(|d| ("application/apply-patch+yaml", d)),
            json_patch().prop_map(|d| ("application/json-patch+json", d)),
        ];
        (document(kind), prop::collection::vec(patch, 1..4)).prop_map(move |(created, patches)| Case { kind, created, patches })
    })
}

async fn ask(s: &Subject, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Result<(u16, Vec<u8>), TestCaseError> {
    let started = Instant::now();
    let answer = s.send(method, path, headers, body).await;
    prop_assert!(started.elapsed() < SOON, "{method} {path} took {:?}", started.elapsed());
    prop_assert!(answer.code < 500, "{method} {path}: {} {}", answer.code, String::from_utf8_lossy(&answer.bytes));
    Ok((answer.code, answer.bytes.to_vec()))
}

async fn run(s: &Subject, n: usize, case: &Case) -> Result<(), TestCaseError> {
    let (api_version, _, plural, _) = KINDS[case.kind];
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let all = format!("/{root}/{api_version}/namespaces/default/{plural}");
    let one = format!("{all}/p{n}");
    let named = |document: &Value| {
        let mut document = document.clone();
        document["metadata"]["name"] = format!("p{n}").into();
        document.to_string()
    };
    ask(s, "POST", &all, &[("content-type", "application/json")], named(&case.created)).await?;
    for (kind, patch) in &case.patches {
        let body = if patch.is_object() { named(patch) } else { patch.to_string() };
        let query = if kind.contains("apply") { "?fieldManager=x&force=true" } else { "" };
        ask(s, "PATCH", &format!("{one}{query}"), &[("content-type", kind)], body).await?;
    }
    let (code, stored) = ask(s, "GET", &one, &[], String::new()).await?;
    if code == 200 {
        prop_assert!(serde_json::from_slice::<Value>(&stored).is_ok() && serde_json::from_slice::<DynamicObject>(&stored).is_ok());
    }
    let (code, list) = ask(s, "GET", &all, &[], String::new()).await?;
    prop_assert!(code == 200 && serde_json::from_slice::<ObjectList<DynamicObject>>(&list).is_ok());
    for form in ["Table", "PartialObjectMetadataList"] {
        let accept = format!("application/json;as={form};v=v1;g=meta.k8s.io");
        let (code, list) = ask(s, "GET", &format!("{all}?includeObject=Object"), &[("accept", &accept)], String::new()).await?;
        prop_assert!(code == 200 && serde_json::from_slice::<Value>(&list).is_ok());
    }
    // What waits for a finalizer lets go when it is taken off.
    ask(s, "DELETE", &one, &[], String::new()).await?;
    ask(s, "PATCH", &one, &[("content-type", "application/merge-patch+json")], json!({"metadata": {"finalizers": null}}).to_string())
        .await?;
    let (code, _) = ask(s, "GET", &one, &[], String::new()).await?;
    prop_assert_eq!(code, 404);
    Ok(())
}

#[test]
fn whatever_is_sent_is_answered_and_what_is_stored_is_read() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let s = runtime.block_on(in_memory(Profile::Member));
    let count = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&case(), |case| {
        count.set(count.get() + 1);
        runtime.block_on(run(&s, count.get(), &case))
    });
    // A case may be large; the part that matters is in the reason.
    if let Err(e) = outcome {
        panic!("{}", e.to_string().chars().take(6000).collect::<String>());
    }
}
