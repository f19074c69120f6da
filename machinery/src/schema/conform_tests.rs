use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Gvk, Types};
use super::*;

fn run(kind: (&str, &str, &str), mut value: Value) -> (Value, Conformed) {
    let types = Types::builtin();
    let found = conform(types, types.kind(kind.0, kind.1, kind.2).unwrap(), &mut value);
    (value, found)
}

const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");

#[test]
fn unknown_fields_are_named_with_their_path() {
    let (value, found) =
        run(DEPLOYMENT, json!({"spec": {"replica": 3, "template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}}, "foo": 1}));
    assert_eq!(found.unknown, ["foo", "spec.replica", "spec.template.spec.containers[0].imag"]);
    assert_eq!(value, json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}));
}

#[test]
fn wrong_types_are_told_as_go_tells_them() {
    let (_, found) = run(DEPLOYMENT, json!({"spec": {"replicas": "3"}}));
    assert_eq!(found.wrong, ["json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"]);
    for (bad, wanted) in [
        (json!({"data": ["a"]}), "of type map[string]string"),
        (json!({"data": {"a": 1}}), "of type string"),
        (json!({"immutable": "yes"}), "of type bool"),
        (json!({"binaryData": {"a": "%%"}}), "illegal base64"),
        (json!({"metadata": {"creationTimestamp": "yesterday"}}), "parsing time"),
        (json!({"metadata": {"generation": 1.5}}), "of type int64"),
    ] {
        let (_, found) = run(("", "v1", "ConfigMap"), bad.clone());
        assert!(found.wrong.len() == 1 && found.wrong[0].contains(wanted), "{bad}: {:?}", found.wrong);
    }
}

#[test]
fn what_says_nothing_goes_and_what_says_something_stays() {
    let (value, found) = run(
        DEPLOYMENT,
        json!({"metadata": {"namespace": "", "creationTimestamp": null, "labels": {}, "name": "a"},
               "spec": {"replicas": 0, "paused": false, "strategy": {}, "template": {"spec": {"containers": null, "volumes": [
                   {"name": "v", "emptyDir": {}}], "nodeSelector": {"a": null}}}}, "status": {}}),
    );
    assert_eq!(found, Conformed::default());
    assert_eq!(
        value,
        json!({"metadata": {"name": "a"}, "spec": {"replicas": 0, "strategy": {}, "template": {"spec": {"volumes": [
            {"name": "v", "emptyDir": {}}], "nodeSelector": {"a": ""}}}}, "status": {}})
    );
}

#[test]
fn quantities_and_times_take_one_form() {
    let (value, found) = run(
        ("", "v1", "Pod"),
        json!({"metadata": {"creationTimestamp": "2024-01-02T03:04:05+01:00"},
               "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 1.5, "memory": "1024Mi", "x": "1000m"}}}]}}),
    );
    assert_eq!(found, Conformed::default());
    assert_eq!(value["metadata"]["creationTimestamp"], "2024-01-02T02:04:05Z");
    assert_eq!(value["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "1500m", "memory": "1Gi", "x": "1"}));
}

fn any_deployment() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "metadata",
        "spec",
        "template",
        "containers",
        "ports",
        "name",
        "labels",
        "selector",
        "strategy",
        "replicas",
        "volumes",
        "x",
        "resources",
        "limits",
        "cpu",
        "containerPort",
        "livenessProbe",
        "httpGet",
        "port",
        "maxSurge",
        "rollingUpdate",
        "creationTimestamp",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        Just(json!("1000m")),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

#[test]
fn d17_null_in_a_list_is_the_zero_value_of_its_items() {
    let types = Types::builtin();
    let rule = json!({"verbs": ["get", null], "apiGroups": [null], "resources": ["pods"]});
    let mut role = json!({"metadata": {"name": "r", "finalizers": [null]}, "rules": [rule, null]});
    let found = conform(types, types.kind("rbac.authorization.k8s.io", "v1", "Role").unwrap(), &mut role);
    assert_eq!(found, Conformed::default());
    assert_eq!(role["rules"][0], json!({"verbs": ["get", ""], "apiGroups": [""], "resources": ["pods"]}));
    assert_eq!((&role["rules"][1], &role["metadata"]["finalizers"]), (&json!({}), &json!([""])));
    let mut job = json!({"spec": {"podFailurePolicy": {"rules": [{"onExitCodes": {"values": [1, null]}}]}}});
    conform(types, types.kind("batch", "v1", "Job").unwrap(), &mut job);
    assert_eq!(job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"], json!([1, 0]));
}

proptest! {
    #[test]
    fn defaulting_twice_is_defaulting_once(mut value in any_deployment()) {
        let types = Types::builtin();
        for (group, version, kind) in [("apps", "v1", "Deployment"), ("batch", "v1", "Job"), ("", "v1", "Pod"), ("", "v1", "Service"), ("", "v1", "Namespace")] {
            let gvk = Gvk::new(group, version, kind);
            prune(types, types.kind(group, version, kind).unwrap(), &mut value);
            super::super::default(types, &gvk, &mut value);
            let once = value.clone();
            super::super::default(types, &gvk, &mut value);
            prop_assert_eq!(&once, &value);
            super::super::validate(types, &gvk, &value);
            super::super::validate_update(&gvk, &value, &once);
        }
    }

    #[test]
    fn pruning_twice_is_pruning_once(mut value in any_deployment()) {
        let types = Types::builtin();
        let id = types.kind("apps", "v1", "Deployment").unwrap();
        prune(types, id, &mut value);
        let once = value.clone();
        prune(types, id, &mut value);
        prop_assert_eq!(once, value);
    }
}
