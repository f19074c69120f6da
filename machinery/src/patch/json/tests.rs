use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::patch::arbitrary::{any_json, any_json_patch};

fn message(document: &Value, patch: &Value) -> (u16, String) {
    let e = apply(document, patch).expect_err("must fail");
    (e.code, e.message)
}

#[test]
fn every_operation_does_what_rfc_6902_says() {
    let doc = json!({"a": {"b": [1, 2]}, "x/y": 1, "t~": 2});
    let patch = json!([
        {"op": "test", "path": "/a/b/0", "value": 1.0},
        {"op": "add", "path": "/a/b/1", "value": "in"},
        {"op": "add", "path": "/a/b/-", "value": "end"},
        {"op": "replace", "path": "/x~1y", "value": null},
        {"op": "remove", "path": "/t~0"},
        {"op": "copy", "from": "/a/b/1", "path": "/c"},
        {"op": "move", "from": "/a/b/0", "path": "/a/first"},
    ]);
    assert_eq!(apply(&doc, &patch).expect("fits"), json!({"a": {"b": ["in", 2, "end"], "first": 1}, "x/y": null, "c": "in"}));
}

#[test]
fn errors_name_the_operation() {
    let doc = json!({"spec": {"replicas": 1, "list": [1]}});
    let cases = [
        (
            json!([{"op": "test", "path": "/spec/replicas", "value": 2}]),
            422,
            "operation 0 of the JSON patch (test /spec/replicas): test failed",
        ),
        (
            json!([{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/nope"}]),
            422,
            "operation 1 of the JSON patch (remove /nope): there is no \"nope\"",
        ),
        (json!([{"op": "add", "path": "/spec/list/3", "value": 1}]), 422, "index 3 is beyond the list of 1"),
        (json!([{"op": "add", "path": "/spec/list/-3", "value": 1}]), 422, "index -3 is beyond the list of 1"),
        (json!([{"op": "replace", "path": "/spec/list/1", "value": 1}]), 422, "index 1 is beyond the list of 1"),
        (json!([{"op": "remove", "path": "/spec/list/-9223372036854775808"}]), 422, "is beyond the list of 1"),
        (json!([{"op": "test", "path": "/spec/list/x", "value": null}]), 422, "\"x\" is not an index"),
        (json!([{"op": "replace", "path": "/spec/list/-", "value": 1}]), 422, "\"-\" is not an index"),
        (json!([{"op": "replace", "path": "/other/in", "value": 1}]), 422, "there is no \"other\""),
        (json!([{"op": "replace", "path": "/spec/replicas/in", "value": 1}]), 422, "does not lead into an object or a list"),
        (json!([{"op": "test", "path": "/spec/other", "value": 1}]), 422, "test failed"),
        (json!([{"op": "test", "path": "/other/in", "value": null}]), 422, "there is no \"other\""),
        (json!([{"op": "move", "from": "/spec/other", "path": "/a"}]), 422, "there is no \"other\""),
        (json!([{"op": "move", "from": "/spec", "path": "/spec/in"}]), 422, "into itself"),
        (json!([{"op": "frob", "path": "/a"}]), 422, "operation 0 of the JSON patch: unknown op \"frob\""),
        (json!([{"path": "/a"}]), 422, "\"op\" is missing"),
        (json!([null]), 422, "\"op\" is missing"),
        (json!([{"op": "add"}]), 422, "\"path\" is missing"),
        (json!([{"op": "copy", "path": "/a", "from": null}]), 422, "\"from\" is missing"),
        (json!([{"op": "add", "path": "a", "value": 1}]), 422, "must be empty or begin with /"),
        (json!([{"op": 3, "path": "/a"}]), 400, "operation 0: \"op\" must be a string"),
        (json!(["x"]), 400, "operation 0: must be an object"),
        (json!({"op": "add"}), 400, "a JSON patch is a list"),
        (json!([{"op": "remove", "path": ""}]), 422, "the document as a whole"),
        (json!([{"op": "add", "path": "", "value": {}}]), 422, "the document as a whole"),
        (json!([{"op": "replace", "path": "", "value": 3}]), 422, "the document as a whole"),
        (json!([{"op": "copy", "from": "", "path": "/a"}]), 422, "the document as a whole"),
        (json!([{"op": "move", "from": "/spec", "path": ""}]), 422, "the document as a whole"),
    ];
    for (patch, code, part) in cases {
        let (got, text) = message(&doc, &patch);
        assert_eq!(got, code, "{patch}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_is_not_said_is_null() {
    let doc = json!({"a": 1});
    assert_eq!(apply(&doc, &Value::Null).expect("an empty patch"), doc);
    assert_eq!(apply(&doc, &json!([{"op": "add", "path": "/b"}])).expect("fits"), json!({"a": 1, "b": null}));
    assert_eq!(apply(&doc, &json!([{"op": "replace", "path": "", "value": [1]}])).expect("fits"), json!([1]));
}

/// As kube-apiserver 1.36 answered to each.
#[test]
fn what_is_not_there_is_null_and_lists_are_counted_from_both_ends() {
    let doc = json!({"spec": {"list": [1, 2]}});
    let cases = [
        (json!({"op": "replace", "path": "/spec/other", "value": 3}), json!({"list": [1, 2], "other": 3})),
        (json!({"op": "test", "path": "/spec/other"}), json!({"list": [1, 2]})),
        (json!({"op": "copy", "from": "/spec/other", "path": "/spec/new"}), json!({"list": [1, 2], "new": null})),
        (json!({"op": "replace", "path": "/spec/list/-1", "value": 3}), json!({"list": [1, 3]})),
        (json!({"op": "replace", "path": "/spec/list/01", "value": 3}), json!({"list": [1, 3]})),
        (json!({"op": "add", "path": "/spec/list/-1", "value": 3}), json!({"list": [1, 2, 3]})),
        (json!({"op": "add", "path": "/spec/list/-3", "value": 3}), json!({"list": [3, 1, 2]})),
        (json!({"op": "remove", "path": "/spec/list/-2"}), json!({"list": [2]})),
    ];
    for (operation, want) in cases {
        assert_eq!(apply(&doc, &json!([operation])).map_err(|e| e.message), Ok(json!({"spec": want})), "{operation}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(document in any_json(), patch in any_json_patch()) {
        let _ = apply(&document, &patch);
    }

    #[test]
    fn adding_then_removing_a_key_changes_nothing(document in any_json(), value in any_json()) {
        prop_assume!(document.is_object() && document.get("zz").is_none());
        let patch = json!([{"op": "add", "path": "/zz", "value": value}, {"op": "test", "path": "/zz", "value": value}, {"op": "remove", "path": "/zz"}]);
        prop_assert_eq!(apply(&document, &patch).expect("fits"), document);
    }
}

#[test]
fn copies_cannot_fill_the_memory() {
    let doubling: Vec<_> = (0..40).map(|_| json!({"op": "copy", "from": "/a", "path": "/a/-"})).collect();
    let mut doc = json!({"a": ["x".repeat(1000)]});
    assert_eq!(message(&doc, &json!(doubling)).0, 413);
    doc["a"] = "x".repeat(1 << 20).into();
    let copy = |path: &str| json!({"op": "copy", "from": "/a", "path": path});
    assert!(apply(&doc, &json!([copy("/b"), copy("/c")])).is_ok());
    assert_eq!(message(&doc, &json!([copy("/b"), copy("/b"), copy("/b")])).0, 413);
}
