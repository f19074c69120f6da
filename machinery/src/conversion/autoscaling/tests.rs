use proptest::prelude::*;

use super::super::{from_stored, stored_as, to_stored};
use super::*;
use crate::schema::Gvk;

fn v1() -> Gvk {
    Gvk::new("autoscaling", "v1", "HorizontalPodAutoscaler")
}

fn shown(stored: &Value) -> Value {
    let mut object = stored.clone();
    from_stored(&v1(), &mut object);
    object
}

fn stored(shown: &Value) -> Value {
    let mut object = shown.clone();
    to_stored(&v1(), &mut object);
    object
}

/// Texts as kube-apiserver 1.36.3 writes them.
#[test]
fn what_v1_has_no_field_for_is_carried_as_upstream_writes_it() {
    let web = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "annotations": {"note": "one"}},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}, "minReplicas": 1, "maxReplicas": 4,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Pods", "pods": {"metric": {"name": "songs", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "5"}}},
            ],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}], "selectPolicy": "Max"}},
        },
        "status": {
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "3m"}}}],
            "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "a < b"}],
            "desiredReplicas": 2,
        },
    });
    let old = shown(&web);
    assert_eq!(stored_as(&v1()).map(|gvk| gvk.version).as_deref(), Some("v2"));
    assert_eq!(old["apiVersion"], "autoscaling/v1");
    let target = json!({"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"});
    assert_eq!(old["spec"], json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "targetCPUUtilizationPercentage": 50}));
    assert_eq!(old["status"], json!({"currentReplicas": 0, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 12}));
    assert_eq!(
        old["metadata"]["annotations"],
        json!({
            "note": "one",
            METRICS: r#"[{"type":"Pods","pods":{"metricName":"songs","targetAverageValue":"5","selector":{"matchLabels":{"a":"b"}}}}]"#,
            CURRENT_METRICS: r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":12,"currentAverageValue":"3m"}}]"#,
            CONDITIONS: r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","message":"a \u003c b"}]"#,
            BEHAVIOR_ANNOTATION: r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":60}],"Tolerance":null}}"#,
        })
    );
    // The processor's metric comes last on the way back.
    let mut back = web;
    back["spec"]["metrics"].as_array_mut().unwrap().reverse();
    back["status"]["currentReplicas"] = 0.into();
    assert_eq!(stored(&old), back);
}

#[test]
fn annotations_that_are_not_understood_say_nothing() {
    let old = |metrics: &str| json!({"apiVersion": "autoscaling/v1", "metadata": {"annotations": {METRICS: metrics}}, "spec": {"maxReplicas": 1}});
    let default = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    for metrics in ["", "{", "{}", "[1]", "null", "[]", r#"[{"type":1}]"#, r#"[{"type":"Pods","pods":{"targetAverageValue":"x"}}]"#] {
        let new = stored(&old(metrics));
        assert_eq!((&new["spec"]["metrics"], new["metadata"].get("annotations")), (&default, None), "{metrics}");
    }
    let zeros = stored(&old(r#"[{"type":"Object","object":{"averageValue":"1000m","targetvalue":0}},{"type":"Pods","pods":{}}]"#));
    assert_eq!(
        zeros["spec"]["metrics"],
        json!([
            {"type": "Object", "object": {"describedObject": {"kind": "", "name": ""}, "metric": {"name": ""}, "target": {"type": "AverageValue", "averageValue": "1"}}},
            {"type": "Pods", "pods": {"metric": {"name": ""}, "target": {"type": "AverageValue", "averageValue": "0"}}},
        ])
    );
    for nothing in [json!({}), json!(null), json!([]), json!({"spec": 1, "status": [], "metadata": {"annotations": 1}})] {
        drop(shown(&nothing));
        drop(stored(&nothing));
    }
}

fn metric() -> impl Strategy<Value = Value> {
    let identifier = prop_oneof![
        Just(json!({"name": "songs"})),
        Just(json!({"name": "songs", "selector": {}})),
        Just(
            json!({"name": "<&>", "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}})
        ),
    ];
    let of = json!({"kind": "Service", "name": "web", "apiVersion": "v1"});
    (identifier, 0..6u8, 1..9i32).prop_map(move |(metric, kind, n)| {
        let average = json!({"type": "AverageValue", "averageValue": n.to_string()});
        let value = json!({"type": "Value", "value": format!("{n}k")});
        match kind {
            0 => json!({"type": "Pods", "pods": {"metric": metric, "target": average}}),
            1 => json!({"type": "Object", "object": {"describedObject": of, "metric": metric, "target": value}}),
            2 => json!({"type": "Object", "object": {"describedObject": of, "metric": metric, "target": average}}),
            3 => json!({"type": "External", "external": {"metric": metric, "target": value}}),
            4 => json!({"type": "Resource", "resource": {"name": "memory", "target": average}}),
            _ => json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                "target": {"type": "Utilization", "averageUtilization": n}}}),
        }
    })
}

proptest! {
    #[test]
    fn nothing_is_lost_on_the_way_to_v1_and_back(metrics in prop::collection::vec(metric(), 0..4), cpu in 1..100, window in prop::option::of(0..300)) {
        let mut metrics = metrics;
        metrics.push(processor("target", &json!({"type": "Utilization", "averageUtilization": cpu})));
        let mut spec = json!({"minReplicas": 1, "maxReplicas": 9, "metrics": metrics});
        if let Some(window) = window {
            spec["behavior"] = json!({"scaleUp": {"stabilizationWindowSeconds": window, "tolerance": "100m"}});
        }
        let web = json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "web"}, "spec": spec, "status": {"currentReplicas": 1, "desiredReplicas": 2}});
        prop_assert_eq!(stored(&shown(&web)), web);
    }
}
