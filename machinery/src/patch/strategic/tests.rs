use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::patch::arbitrary::any_json;

fn deployment() -> TypeId {
    Types::builtin().kind("apps", "v1", "Deployment").expect("built in")
}

fn patched(document: &Value, patch: &Value) -> Result<Value, ApiError> {
    apply(Types::builtin(), deployment(), document, patch)
}

fn with_containers(containers: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

#[test]
fn new_items_keep_the_place_of_old_ones() {
    let old = with_containers(&json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
    let patch = with_containers(&json!([{"name": "x"}, {"name": "b", "image": "i"}]));
    let new = patched(&old, &patch).expect("fits");
    assert_eq!(new, with_containers(&json!([{"name": "x"}, {"name": "a"}, {"name": "b", "image": "i"}, {"name": "c"}])));
}

#[test]
fn directives_do_not_reach_the_document() {
    let patch = json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "b"}], "$retainKeys": ["containers"],
        "containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "env": [{"name": "E", "value": null}]}]}}}});
    let new = patched(&json!({}), &patch).expect("fits");
    assert_eq!(new, with_containers(&json!([{"name": "b", "env": [{"name": "E"}]}])));
}

#[test]
fn what_is_wrong_with_a_patch_is_said() {
    let mut old = with_containers(&json!([{"name": "a"}]));
    old["metadata"] = json!({"finalizers": ["a"]});
    let cases = [
        (json!([]), 400, "a strategic merge patch is an object"),
        (with_containers(&json!([{"image": "i"}])), 422, "does not contain the declared merge key: name"),
        (with_containers(&json!([{"name": "a", "$patch": "merge"}])), 400, "merging lists cannot be specified"),
        (json!({"spec": {"$patch": "frob"}}), 400, "unknown value of $patch: \"frob\""),
        (json!({"spec": {"$retainKeys": ["a"], "b": 1}}), 400, "the patch sets \"b\""),
        (json!({"metadata": {"$deleteFromPrimitiveList/finalizers": 1}}), 400, "must be a list"),
        (with_containers(&json!([{"name": {"a": 1}}])), 422, "no scalar as its merge key name"),
        (with_containers(&json!([{"name": ["a"], "$patch": "delete"}])), 422, "no scalar as its merge key name"),
        (json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": {}}]}}}}), 422, "no scalar as its merge key name"),
        (with_containers(&json!(["scalar"])), 422, "does not contain the declared merge key"),
    ];
    for (patch, code, part) in cases {
        let error = patched(&old, &patch).expect_err("must fail");
        assert!(error.code == code && error.message.contains(part), "{patch}: {error:?}");
    }
}

#[test]
fn d5_large_merge_keys_are_refused_at_once() {
    let started = std::time::Instant::now();
    let mut items: Vec<Value> = (0..70_000).map(|n| json!({"name": {"a": n}})).collect();
    items.push(json!({"name": {"b": "x".repeat(1_400_000)}}));
    let items = Value::from(items);
    let order = json!({"spec": {"template": {"spec": {"$setElementOrder/containers": items}}}});
    let old = with_containers(&json!([{"name": "a"}]));
    for patch in [with_containers(&items), order] {
        let error = patched(&old, &patch).expect_err("must fail");
        assert!(error.code == 422 && error.message.len() < 1000, "{}", error.message.len());
    }
    // Where objects are compared all the same, they are so up to their first difference.
    let finalizers = |list: &Value| json!({"metadata": {"finalizers": list}});
    let gone = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": items}});
    assert_eq!(patched(&finalizers(&items), &gone).expect("fits"), finalizers(&json!([])));
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn issue7_an_item_named_again_and_again_costs_no_more_than_a_patch_may() {
    // Few and large, so that the test is quick: a value costs what its text is long.
    let text = "x".repeat(1_000_000);
    let variables: Vec<Value> = (0..3).map(|n| json!({"name": n.to_string(), "value": text})).collect();
    let args: Vec<Value> = (0..3).map(|n| json!(format!("{n}{text}"))).collect();
    let old = with_containers(&json!([{"name": "a", "env": variables, "args": args}]));
    let again = |times: usize, change: &Value| with_containers(&vec![change.clone(); times].into());
    let variable = json!({"name": "a", "env": [{"name": "x", "value": "y"}]});
    for change in [
        variable.clone(),
        json!({"name": "a", "$setElementOrder/env": [{"name": "1"}]}),
        json!({"name": "a", "$deleteFromPrimitiveList/args": ["x"]}),
    ] {
        let error = patched(&old, &again(1000, &change)).expect_err("must be too much");
        assert!(error.code == 413 && error.message.contains("10000000 values"), "{change}: {error:?}");
    }
    // What people do is far below.
    let new = patched(&old, &again(20, &variable)).expect("fits");
    assert_eq!(new["spec"]["template"]["spec"]["containers"][0]["env"].as_array().map(Vec::len), Some(4));
}

proptest! {
    #[test]
    fn nothing_panics(document in any_json(), patch in any_json(), containers in any_json(), more in any_json()) {
        let _ = patched(&document, &patch);
        let _ = patched(&with_containers(&containers), &with_containers(&more));
    }

    #[test]
    fn patching_twice_is_patching_once(names in prop::collection::vec(("[a-e]", "[x-z]"), 0..5), old in prop::collection::vec("[a-e]", 0..4)) {
        let items = |names: &[(String, String)]| Value::from(names.iter().map(|(n, i)| json!({"name": n, "image": i})).collect::<Vec<_>>());
        let unique: std::collections::BTreeMap<String, String> = names.into_iter().collect();
        let patch = with_containers(&items(&unique.into_iter().rev().collect::<Vec<_>>()));
        let unique: std::collections::BTreeSet<String> = old.into_iter().collect();
        let old = with_containers(&items(&unique.into_iter().map(|n| (n, "old".to_owned())).collect::<Vec<_>>()));
        let once = patched(&old, &patch).expect("fits");
        prop_assert_eq!(patched(&once, &patch).expect("fits"), once);
    }
}
