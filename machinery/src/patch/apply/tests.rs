use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::patch::arbitrary::any_json;

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-01-02T00:00:00Z";

fn gvk(kind: &str) -> Gvk {
    Gvk::new(if kind == "Deployment" { "apps" } else { "" }, "v1", kind)
}

fn by<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, subresource: "", api_version: "v1", now, ignored: &[] }
}

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn applied(live: Option<&Value>, data: &Value, manager: &str, now: &str) -> Result<Value, ApiError> {
    apply(Types::builtin(), &gvk("ConfigMap"), live, &config(data), false, &by(manager, now))
}

fn updated(old: Option<&Value>, data: &Value, manager: &str, now: &str) -> Value {
    let mut new = old.cloned().unwrap_or_else(|| config(&json!({})));
    new["data"] = data.clone();
    update(Types::builtin(), &gvk("ConfigMap"), old, &mut new, &by(manager, now));
    new
}

fn managed(object: &Value) -> Vec<(String, String)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |e: &Value, key: &str| e[key].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|e| (text(e, "manager"), text(e, "time"))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_configuration_that_changes_nothing_changes_nothing() {
    let live = applied(None, &json!({"x": "1"}), "a", EARLY).expect("no conflict");
    assert_eq!(managed(&live), pairs(&[("a", EARLY)]));
    assert_eq!(applied(Some(&live), &json!({"x": "1"}), "a", LATE).expect("no conflict"), live);
}

#[test]
fn a_new_owner_of_unchanged_fields_has_no_time() {
    let live = applied(None, &json!({"x": "1"}), "a", EARLY).expect("no conflict");
    let live = applied(Some(&live), &json!({"x": "1"}), "b", LATE).expect("no conflict");
    assert_eq!(managed(&live), pairs(&[("b", ""), ("a", EARLY)]));
}

#[test]
fn times_move_only_with_changes() {
    let old = updated(None, &json!({"x": "1"}), "m", EARLY);
    assert_eq!(updated(Some(&old), &json!({"x": "1"}), "m", LATE), old);
    assert_eq!(managed(&updated(Some(&old), &json!({"x": "2"}), "m", LATE)), pairs(&[("m", LATE)]));
    assert_eq!(managed(&updated(Some(&old), &json!({"x": "2"}), "n", LATE)), pairs(&[("m", EARLY), ("n", LATE)]));
}

#[test]
fn the_oldest_updaters_are_merged() {
    let mut live = updated(None, &json!({"k": "0"}), "m", EARLY);
    let mut data = serde_json::Map::new();
    for i in 0..15 {
        data.insert(format!("k{i}"), "1".into());
        let now = format!("2026-01-01T00:01:{i:02}Z");
        live = updated(Some(&live), &data.clone().into(), &format!("m{i:02}"), &now);
    }
    let names: Vec<String> = managed(&live).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(names[0], "ancient-changes");
    assert_eq!(names[9], "m14");
    let ancient = &live["metadata"]["managedFields"][0]["fieldsV1"]["f:data"];
    assert!((0..=5).all(|i| ancient.get(format!("f:k{i}")).is_some()) && ancient.get("f:k6").is_none(), "{ancient}");
}

#[test]
fn managed_fields_cannot_be_set_through_a_subresource() {
    let old = updated(None, &json!({"x": "1"}), "m", EARLY);
    let mut new = old.clone();
    new["metadata"]["managedFields"] = json!([{}]);
    let writer = Writer { subresource: "status", ..by("n", LATE) };
    update(Types::builtin(), &gvk("ConfigMap"), Some(&old), &mut new, &writer);
    assert_eq!(new, old);
    new["metadata"]["managedFields"] = json!([{}]);
    update(Types::builtin(), &gvk("ConfigMap"), Some(&old), &mut new, &by("n", LATE));
    assert_eq!(new["metadata"].get("managedFields"), None);
}

#[test]
fn ignored_fields_are_never_owned() {
    let writer = Writer { api_version: "apps/v1", ignored: &["status"], ..by("a", EARLY) };
    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}, "status": {"replicas": 3}});
    let live = apply(Types::builtin(), &gvk("Deployment"), None, &config, false, &writer).expect("no conflict");
    assert_eq!(live["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
}

#[test]
fn an_explicit_zero_is_an_opinion() {
    let writer = Writer { api_version: "apps/v1", ..by("a", EARLY) };
    let config = |seconds: i64| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"minReadySeconds": seconds}});
    let types = Types::builtin();
    let live = apply(types, &gvk("Deployment"), None, &config(5), false, &writer).expect("no conflict");
    let live = apply(types, &gvk("Deployment"), Some(&live), &config(0), false, &writer).expect("no conflict");
    assert_eq!(live["spec"]["minReadySeconds"], 0);
    assert_eq!(live["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:spec": {"f:minReadySeconds": {}}}));
}

#[test]
fn what_is_stored_unchanged_keeps_its_times() {
    let writer = |now| Writer { api_version: "apps/v1", ..by("a", now) };
    let resources = json!({"limits": {"cpu": "1000m"}});
    let spec = json!({"minReadySeconds": 0, "template": {"spec": {"containers": [{"name": "c", "resources": resources}]}}});
    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
    let stored = |mut object: Value| {
        let id = Versions { types: Types::builtin(), gvk: &gvk("Deployment") }.place().id.expect("built in");
        crate::schema::conform::conform(Types::builtin(), id, &mut object);
        object
    };
    let types = Types::builtin();
    let live = stored(apply(types, &gvk("Deployment"), None, &config, false, &writer(EARLY)).expect("no conflict"));
    let mut again = stored(apply(types, &gvk("Deployment"), Some(&live), &config, false, &writer(LATE)).expect("no conflict"));
    assert_ne!(again, live, "only the stored form shows that nothing changed");
    keep_times(&live, &mut again);
    assert_eq!(again, live);
    again["metadata"]["managedFields"][0]["time"] = LATE.into();
    again["spec"]["replicas"] = 3.into();
    let changed = again.clone();
    keep_times(&live, &mut again);
    assert_eq!(again, changed);
}

fn any_data() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", "[xy]", 1..4)
        .prop_map(|m| m.into_iter().map(|(k, v)| (k, Value::from(v))).collect::<serde_json::Map<_, _>>().into())
}

fn any_deployment() -> impl Strategy<Value = Value> {
    let port = (80i64..83, prop::option::of(prop::sample::select(vec!["TCP", "UDP"]))).prop_map(|(port, protocol)| match protocol {
        Some(protocol) => json!({"containerPort": port, "protocol": protocol}),
        None => json!({"containerPort": port}),
    });
    let container = ("[a-d]", prop::option::of("[xy]"), prop::collection::vec(port, 0..3), any_data());
    (prop::option::of(1i64..4), prop::collection::vec(container, 1..4), any_data()).prop_map(|(replicas, containers, labels)| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, image, ports, limits)| json!({"name": name, "image": image, "ports": ports, "resources": {"limits": limits}}))
            .collect();
        let spec = json!({"replicas": replicas, "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec})
    })
}

/// The spec as it would be stored.
fn conformed(mut object: Value) -> Value {
    let id = Versions { types: Types::builtin(), gvk: &gvk("Deployment") }.place().id.expect("built in");
    crate::schema::conform::conform(Types::builtin(), id, &mut object);
    object["spec"].take()
}

fn autoscaler(version: &str, spec: &Value) -> (Gvk, String, Value) {
    let api_version = format!("autoscaling/{version}");
    let object = json!({"apiVersion": api_version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec});
    (Gvk::new("autoscaling", version, "HorizontalPodAutoscaler"), api_version, object)
}

/// The object of the version that is stored, after `manager` applied it.
fn applied_autoscaler(stored: Option<&Value>, version: &str, spec: &Value, manager: &str) -> Result<Value, ApiError> {
    let (gvk, api_version, config) = autoscaler(version, spec);
    let live = stored.map(|stored| {
        let mut live = stored.clone();
        crate::conversion::from_stored(&gvk, &mut live);
        live
    });
    let writer = Writer { api_version: &api_version, ignored: &["status"], ..by(manager, EARLY) };
    let mut new = apply(Types::builtin(), &gvk, live.as_ref(), &config, false, &writer)?;
    crate::conversion::to_stored(&gvk, &mut new);
    Ok(new)
}

#[test]
fn issue8_fields_are_owned_in_the_version_they_were_written_in() {
    let utilization = |n: i32| json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": n});
    let metrics = |n: i32| json!({"maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": n}}}]});
    let live = applied_autoscaler(None, "v1", &utilization(50), "old").expect("nobody is there");
    assert_eq!(live["spec"], metrics(50));
    // Another version's name of the same fields is no conflict while the value is the same.
    let both = applied_autoscaler(Some(&live), "v2", &metrics(50), "new").expect("nothing changes");
    let owners = |object: &Value| -> Vec<(String, String, bool)> {
        let entries = managers::decode(object.pointer("/metadata/managedFields")).expect("our own entries");
        let cpu = FieldSet::of_names(&[&["spec", "targetCPUUtilizationPercentage"]]);
        entries.into_iter().map(|e| (e.identity.manager, e.api_version, !e.fields.intersection(&cpu).is_empty())).collect()
    };
    let owner = |manager: &str, version: &str, cpu: bool| (manager.to_owned(), format!("autoscaling/{version}"), cpu);
    assert_eq!(owners(&both), [owner("new", "v2", false), owner("old", "v1", true)]);
    let conflict = applied_autoscaler(Some(&both), "v2", &metrics(60), "new").expect_err("old owns it by another name");
    assert_eq!((conflict.code, conflict.details["causes"][0]["field"].as_str()), (409, Some(".spec.targetCPUUtilizationPercentage")));
    // A manager that goes over to another version owns there what it owned here.
    let over = applied_autoscaler(Some(&live), "v2", &json!({"maxReplicas": 4}), "old").expect("only its own");
    let mut default = metrics(80);
    default["maxReplicas"] = 4.into();
    assert_eq!((owners(&over), &over["spec"]), (vec![owner("old", "v2", false)], &default));
    // Whoever wrote a version that is no more owns nothing.
    let mut ancient = both;
    ancient["metadata"]["managedFields"][1]["apiVersion"] = "autoscaling/v2beta1".into();
    assert_eq!(
        owners(&applied_autoscaler(Some(&ancient), "v2", &metrics(60), "new").expect("no owner is left")),
        [owner("new", "v2", false)]
    );
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in any_deployment(), second in any_deployment(), force in any::<bool>()) {
        let (types, id) = (Types::builtin(), &gvk("Deployment"));
        let by = |manager, now| Writer { api_version: "apps/v1", ..by(manager, now) };
        // Configurations with duplicate items are refused, and some conflict: both are fine.
        let Ok(live) = apply(types, id, None, &first, force, &by("a", EARLY)) else { return Ok(()) };
        let Ok(live) = apply(types, id, Some(&live), &second, force, &by("b", EARLY)) else { return Ok(()) };
        prop_assert_eq!(&apply(types, id, Some(&live), &second, force, &by("b", LATE)).expect("cannot conflict"), &live);
        // One manager alone: what it applies is what there is, and nothing of its past stays.
        let Ok(alone) = apply(types, id, None, &second, false, &by("a", EARLY)) else { return Ok(()) };
        let Ok(changed) = apply(types, id, apply(types, id, None, &first, false, &by("a", EARLY)).ok().as_ref(), &second, false, &by("a", EARLY)) else {
            return Ok(());
        };
        prop_assert_eq!(conformed(changed), conformed(alone));
    }

    #[test]
    fn nobody_owns_what_is_not_there(steps in prop::collection::vec((any_data(), 0usize..3, any::<bool>()), 1..8)) {
        let mut live: Option<Value> = None;
        for (data, who, apply_it) in steps {
            let manager = ["a", "b", "c"][who];
            let next = if apply_it { applied(live.as_ref(), &data, manager, EARLY).ok() } else { Some(updated(live.as_ref(), &data, manager, EARLY)) };
            live = next.or(live);
        }
        let Some(live) = live else { return Ok(()) };
        let gvk = gvk("ConfigMap");
        let place = Versions { types: Types::builtin(), gvk: &gvk }.place();
        let there = place.with_named_fields(&place.paths_of(&live));
        for entry in managers::decode(live.pointer("/metadata/managedFields")).expect("our own entries") {
            prop_assert!(entry.fields.difference(&there).is_empty(), "{:?} owns more than {live}", entry.identity);
        }
    }

    #[test]
    fn nothing_panics(live in any_json(), config in any_json(), spec in any_json(), managed in any_json()) {
        let types = Types::builtin();
        let writer = by("kubectl", EARLY);
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"managedFields": managed}, "spec": spec});
        let wild = json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": spec, "selector": live, "externalIPs": config}});
        for live in [&live, &object, &wild] {
            for config in [&config, &object, &wild] {
                let _ = apply(types, &gvk("Service"), Some(live), config, true, &writer);
                let mut new = config.clone();
                update(types, &gvk("Service"), Some(live), &mut new, &writer);
            }
        }
    }
}
