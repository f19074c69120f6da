//! Kinds that are served in several versions: one stored object, shown in each.

use serde_json::{Value, json};

use crate::subject::{Subject, subjects};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

fn pods_metric() -> Value {
    json!({"type": "Pods", "pods": {"metric": {"name": "songs"}, "target": {"type": "AverageValue", "averageValue": "5"}}})
}

fn autoscaler(name: &str, spec: &Value) -> Value {
    let mut object = json!({"metadata": {"name": name}, "spec": {"maxReplicas": 4, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    object
}

async fn paths(s: &Subject) -> [String; 2] {
    let namespace = s.namespace().await;
    ["v1", "v2"].map(|version| format!("/apis/autoscaling/{version}/namespaces/{namespace}/horizontalpodautoscalers"))
}

async fn shown(s: &Subject, path: &str, accept: &str) -> Value {
    let answer = s.send("GET", path, &[("accept", accept)], "").await;
    assert_eq!(answer.code, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    answer.json()
}

#[tokio::test]
async fn issue8_one_object_is_served_in_each_version_of_its_kind() {
    for s in subjects().await {
        let [old, new] = paths(&s).await;
        let made = s.expect(201, "POST", &old, autoscaler("web", &json!({"targetCPUUtilizationPercentage": 50}))).await;
        assert_eq!((&made["apiVersion"], &made["spec"]["targetCPUUtilizationPercentage"]), (&json!("autoscaling/v1"), &json!(50)));
        let stored = s.expect(200, "GET", &format!("{new}/web"), Value::Null).await;
        let target = json!({"type": "Utilization", "averageUtilization": 50});
        assert_eq!(stored["spec"]["metrics"], json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
        assert_eq!(
            (&stored["metadata"]["uid"], &stored["metadata"]["resourceVersion"]),
            (&made["metadata"]["uid"], &made["metadata"]["resourceVersion"])
        );

        s.expect(200, "PATCH", &format!("{new}/web"), json!({"spec": {"metrics": [pods_metric()]}})).await;
        let read = s.expect(200, "GET", &format!("{old}/web"), Value::Null).await;
        let carried = r#"[{"type":"Pods","pods":{"metricName":"songs","targetAverageValue":"5"}}]"#;
        assert_eq!(
            (&read["metadata"]["annotations"][METRICS], read["spec"].get("targetCPUUtilizationPercentage")),
            (&json!(carried), None)
        );
        // Written back as it was read, it says the same.
        let replaced = s.expect(200, "PUT", &format!("{old}/web"), read.clone()).await;
        assert_eq!(replaced["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
        let dry = s.expect(200, "PUT", &format!("{old}/web?dryRun=All"), autoscaler("web", &json!({"minReplicas": 2}))).await;
        assert_eq!((&dry["apiVersion"], &dry["spec"]["targetCPUUtilizationPercentage"]), (&json!("autoscaling/v1"), &json!(80)));
        s.expect(400, "PUT", &format!("{old}/web"), stored).await;

        let list = s.expect(200, "GET", &old, Value::Null).await;
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("HorizontalPodAutoscalerList"), &json!("autoscaling/v1")));
        assert_eq!(list["items"][0]["metadata"]["annotations"][METRICS], carried);
        // As in kube-apiserver, metadata alone is not of a version.
        assert_eq!(shown(&s, &old, PARTIAL).await["items"][0]["metadata"].get("annotations"), None);
        let table = shown(&s, &old, TABLE).await;
        assert_eq!((table["rows"][0]["object"]["metadata"].get("annotations"), &table["rows"][0]["cells"][4]), (None, &json!(4)));
        let whole = shown(&s, &format!("{old}?includeObject=Object"), TABLE).await;
        assert_eq!(whole["rows"][0]["object"]["metadata"]["annotations"][METRICS], carried);
        assert_eq!(whole["rows"][0]["object"]["apiVersion"], "autoscaling/v1");

        let gone = s.expect(200, "DELETE", &old, Value::Null).await;
        assert_eq!(
            (&gone["apiVersion"], &gone["items"][0]["metadata"]["annotations"][METRICS]),
            (&json!("autoscaling/v1"), &json!(carried))
        );
        s.expect(404, "GET", &format!("{new}/web"), Value::Null).await;
    }
}

#[tokio::test]
async fn issue8_a_watch_tells_of_every_write_in_its_own_version() {
    for s in subjects().await {
        let [old, new] = paths(&s).await;
        let from = s.expect(201, "POST", &new, autoscaler("web", &json!({"metrics": [pods_metric()]}))).await;
        s.expect(200, "PATCH", &format!("{old}/web"), json!({"spec": {"minReplicas": 2}})).await;
        s.expect(200, "DELETE", &format!("{new}/web"), Value::Null).await;
        let from = from["metadata"]["resourceVersion"].as_str().unwrap();
        for (path, version, carried) in [(&old, "autoscaling/v1", true), (&new, "autoscaling/v2", false)] {
            let answer = s.send("GET", &format!("{path}?watch=1&timeoutSeconds=1&resourceVersion={from}"), &[], "").await;
            let events: Vec<Value> =
                answer.bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
            let types: Vec<&Value> = events.iter().map(|e| &e["type"]).collect();
            assert_eq!(types, ["MODIFIED", "DELETED"], "{path}");
            for event in &events {
                let object = &event["object"];
                assert_eq!((&object["apiVersion"], &object["spec"]["minReplicas"]), (&json!(version), &json!(2)));
                assert_eq!(object["metadata"]["annotations"][METRICS].is_string(), carried);
            }
        }
    }
}
