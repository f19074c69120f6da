//! Generators for property tests.

use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON, small, with keys that collide often.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let key = || prop_oneof!["[a-c]", Just("name".to_owned()), Just("$patch".to_owned()), Just("~/".to_owned()), any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        key().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..5).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Anything that resembles a JSON patch.
pub(crate) fn any_json_patch() -> impl Strategy<Value = Value> {
    let op = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test", "x"]);
    let path = || prop_oneof!["(/[a-c0-3~-]){0,4}", any::<String>()];
    let one =
        (op, path(), path(), any_json()).prop_map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}));
    prop_oneof![4 => prop::collection::vec(one, 0..6).prop_map(Value::from), 1 => any_json()]
}
