use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn set(fields: &Value) -> FieldSet {
    FieldSet::from_fields_v1(fields).expect("valid")
}

#[test]
fn fields_v1_is_read_and_written_as_kubernetes_does() {
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {".": {}, "v:\"orphan\"": {}}},
        "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:x": {"i:3": {}}},
    });
    let read = set(&fields);
    assert_eq!(read.to_fields_v1(), fields);
    let paths: Vec<String> = read.paths().iter().map(|p| display_path(p)).collect();
    assert_eq!(
        paths,
        [
            ".metadata.finalizers",
            ".metadata.labels",
            ".metadata.finalizers[=\"orphan\"]",
            ".metadata.labels.app",
            ".spec.ports[port=80,protocol=\"TCP\"]",
            ".spec.ports[port=80,protocol=\"TCP\"].port",
            ".spec.x[3]"
        ]
    );
    assert_eq!(set(&json!({})), FieldSet::new());
    assert_eq!(set(&json!({"z:new": {"f:a": {}}})), FieldSet::new());
    assert_eq!(set(&json!({"f:a:b": {}})).paths(), [[PathElement::Field("a:b".into())]]);
}

#[test]
fn malformed_fields_are_named() {
    for (fields, part) in [
        (json!([]), "must be an object"),
        (json!({"f:a": 1}), "\"f:a\" must hold an object"),
        (json!({"bare": {}}), "a kind and a colon"),
        (json!({"k:x": {}}), "\"k:x\""),
        (json!({"i:x": {}}), "whole number"),
    ] {
        let error = FieldSet::from_fields_v1(&fields).expect_err("malformed");
        assert!(error.to_string().contains(part), "{fields}: {error}");
    }
}

#[test]
fn keys_with_equal_numbers_are_one_element() {
    assert_eq!(set(&json!({"k:{\"port\":80}": {}})), set(&json!({"k:{\"port\":80.0}": {}})));
}

/// Whatever a body may hold is read in well under a second where elements are compared and merged as they are.
#[test]
fn d5_large_and_equal_elements_are_not_compared_as_text() {
    let started = std::time::Instant::now();
    // The large one is read first, being first as text, and comes last in the set, where all others meet it.
    let large = format!("v: {{\"b\":{:?}}}", "x".repeat(1_400_000));
    let mut fields: serde_json::Map<String, Value> = (0..70_000).map(|n| (format!("v:{{\"a\":{n}}}"), json!({}))).collect();
    fields.insert(large, json!({}));
    assert_eq!(set(&fields.into()).members.len(), 70_001);
    // One element, written in many ways, with something else below each.
    let spaces = |n: usize| (0..16).map(|bit| if n >> bit & 1 == 0 { ' ' } else { '\t' }).collect::<String>();
    let fields: serde_json::Map<String, Value> =
        (0..30_000).map(|n| (format!("v:{}1", spaces(n)), json!({format!("f:{n}"): {}}))).collect();
    let read = set(&fields.into());
    assert_eq!((read.children.len(), read.paths().len()), (1, 30_000));
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}

fn any_element() -> impl Strategy<Value = PathElement> {
    let scalar = || {
        prop_oneof![
            Just(json!(1)),
            Just(json!("a")),
            Just(json!(true)),
            any::<String>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from)
        ]
    };
    prop_oneof![
        "[a-c:.]{0,3}".prop_map(PathElement::Field),
        prop::collection::btree_map("[a-b]", scalar(), 1..3)
            .prop_map(|m| PathElement::Key(m.into_iter().map(|(k, v)| (k, Scalar(v))).collect())),
        scalar().prop_map(|v| PathElement::Value(Scalar(v))),
        (0i64..3).prop_map(PathElement::Index),
    ]
}

fn any_set() -> impl Strategy<Value = FieldSet> {
    prop::collection::vec(prop::collection::vec(any_element(), 1..4), 0..12).prop_map(|paths| {
        let mut out = FieldSet::new();
        paths.iter().for_each(|p| out.insert(p));
        out
    })
}

proptest! {
    #[test]
    fn a_set_survives_its_wire_form(s in any_set()) {
        prop_assert_eq!(FieldSet::from_fields_v1(&s.to_fields_v1()).expect("what was written can be read"), s);
    }

    #[test]
    fn sets_obey_the_laws_of_sets(a in any_set(), b in any_set()) {
        let union = a.union(&b);
        for path in union.paths() {
            prop_assert!(a.contains(&path) || b.contains(&path));
            prop_assert_eq!(a.intersection(&b).contains(&path), a.contains(&path) && b.contains(&path));
            prop_assert_eq!(a.difference(&b).contains(&path), a.contains(&path) && !b.contains(&path));
        }
        prop_assert_eq!(union.paths().len(), a.paths().len() + b.difference(&a).paths().len());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert_eq!(a.intersection(&union), a);
    }

    #[test]
    fn no_json_makes_the_reader_panic(json in crate::patch::arbitrary::any_json()) {
        let _ = FieldSet::from_fields_v1(&json);
    }
}
