//! Kinds that came with the table of kinds: each follows its original, is put right, and goes with it.

use serde_json::{Value, json};

use crate::bed::Bed;

const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/demo/statefulsets";

fn template(restart: &str) -> Value {
    json!({"metadata": {"labels": {"app": "a"}}, "spec": {"restartPolicy": restart, "containers": [{"name": "a", "image": "a:1"}]}})
}

/// Creates an object of a kind whose copies are like it, and waits for what becomes of it in the members. `field` is a
/// pointer into the spec that may be changed, and `values` what is in it at first and later.
async fn follows(bed: &Bed, collection: &str, object: Value, field: &str, values: [Value; 2]) {
    let [first, later] = values;
    let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
    bed.federation.create(collection, object).await;
    let has = |value: Value| move |copy: Option<&Value>| copy.is_some_and(|c| c.pointer(field) == Some(&value));
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&path, has(first.clone())).await;
    }
    let change = |value: &Value| field.rsplit('/').filter(|part| !part.is_empty()).fold(value.clone(), |inner, key| json!({key: inner}));
    bed.federation.merge(&path, change(&later)).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&path, has(later.clone())).await;
    }
    bed.gondor.merge(&path, change(&first)).await;
    bed.gondor.until(&path, has(later.clone())).await;
    bed.federation.delete(&path, Some("Background")).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until_gone(&path).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_what_is_the_same_everywhere_follows() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "night"},
        "spec": {"schedule": "0 4 * * *", "jobTemplate": {"spec": {"template": template("Never")}}},
    });
    let schedules = [json!("0 4 * * *"), json!("0 5 * * *")];
    follows(&bed, "/apis/batch/v1/namespaces/demo/cronjobs", cron, "/spec/schedule", schedules).await;
    let wall = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "wall"},
        "spec": {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"ports": [{"port": 80}]}]},
    });
    let ports = [80, 81].map(|port| json!([{"ports": [{"port": port, "protocol": "TCP"}]}]));
    follows(&bed, "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies", wall, "/spec/ingress", ports).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_the_replicas_of_a_stateful_set_are_divided_and_its_status_is_summed() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let preferences = json!({"clusters": {"gondor": {"weight": 2}, "rohan": {"weight": 1}}});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "annotations": {"federation.kubernetes.io/stateful-set-preferences": preferences.to_string()}},
        "spec": {
            "replicas": 6, "serviceName": "db", "selector": {"matchLabels": {"app": "a"}}, "template": template("Always"),
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
        },
    });
    bed.federation.create(STATEFUL_SETS, set).await;
    let path = format!("{STATEFUL_SETS}/db");
    for (member, share) in [(&bed.gondor, 4), (&bed.rohan, 2)] {
        member.until(&path, |s| s.is_some_and(|s| s["spec"]["replicas"] == share)).await;
        let claims = &member.get(&path).await.unwrap()["spec"]["volumeClaimTemplates"];
        assert_eq!(claims[0]["spec"]["resources"]["requests"]["storage"], "1Gi");
        let status = json!({
            "replicas": share, "readyReplicas": share, "availableReplicas": share, "currentReplicas": share, "updatedReplicas": share,
            "observedGeneration": 1, "currentRevision": "db-1", "updateRevision": "db-1",
        });
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    }
    let whole = |s: &Value| s["readyReplicas"] == 6 && s["updateRevision"] == "db-1" && s["observedGeneration"] == 1;
    bed.federation.until(&path, |s| s.is_some_and(|s| whole(&s["status"]))).await;

    bed.federation.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 9}})).await;
    for (member, share) in [(&bed.gondor, 6), (&bed.rohan, 3)] {
        member.until(&path, |s| s.is_some_and(|s| s["spec"]["replicas"] == share)).await;
    }
    bed.federation.delete(&path, Some("Background")).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until_gone(&path).await;
    }
}
