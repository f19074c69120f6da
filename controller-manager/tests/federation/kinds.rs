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
    // Its name can be used again.
    bed.federation.until_gone(&path).await;
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
async fn issue8_the_status_of_a_cron_job_tells_of_all_its_copies() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let collection = "/apis/batch/v1/namespaces/demo/cronjobs";
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "night"},
        "spec": {"schedule": "0 4 * * *", "jobTemplate": {"spec": {"template": template("Never")}}},
    });
    bed.federation.create(collection, cron).await;
    let path = format!("{collection}/night");
    let job = |name: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": "demo", "name": name, "uid": name});
    for (member, name, hour) in [(&bed.gondor, "night-1", 4), (&bed.rohan, "night-2", 5)] {
        member.until_there(&path).await;
        let status = json!({"active": [job(name)], "lastScheduleTime": format!("2026-01-01T0{hour}:00:00Z")});
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    }
    let names = |s: &Value| -> Vec<String> {
        let all = s["active"].as_array().into_iter().flatten();
        let mut names: Vec<String> = all.filter_map(|job| job["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    };
    let both = |s: &Value| names(s) == ["night-1", "night-2"] && s["lastScheduleTime"] == "2026-01-01T05:00:00Z";
    bed.federation.until(&path, |c| c.is_some_and(|c| both(&c["status"]))).await;
    for (member, ended) in [(&bed.gondor, "2026-01-01T04:10:00Z"), (&bed.rohan, "2026-01-01T05:10:00Z")] {
        let status = json!({"active": null, "lastSuccessfulTime": ended});
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    }
    let done = |s: &Value| s["active"].is_null() && s["lastSuccessfulTime"] == "2026-01-01T05:10:00Z";
    bed.federation.until(&path, |c| c.is_some_and(|c| done(&c["status"]))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_budgets_and_accounts_follow() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "a"}}},
    });
    let budgets = "/apis/policy/v1/namespaces/demo/poddisruptionbudgets";
    follows(&bed, budgets, budget.clone(), "/spec/minAvailable", [json!("50%"), json!(2)]).await;
    bed.federation.create(budgets, budget).await;
    let path = format!("{budgets}/web");
    for (member, healthy) in [(&bed.gondor, 3), (&bed.rohan, 2)] {
        member.until_there(&path).await;
        let status = json!({"currentHealthy": healthy, "desiredHealthy": 2, "disruptionsAllowed": healthy - 2, "expectedPods": 4, "observedGeneration": 1});
        member.merge(&format!("{path}/status"), json!({"status": status})).await;
    }
    let summed =
        |s: &Value| s["currentHealthy"] == 5 && s["disruptionsAllowed"] == 1 && s["expectedPods"] == 8 && s["observedGeneration"] == 1;
    bed.federation.until(&path, |b| b.is_some_and(|b| summed(&b["status"]))).await;

    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"}, "imagePullSecrets": [{"name": "a"}]});
    let secrets = ["a", "b"].map(|name| json!([{"name": name}]));
    follows(&bed, "/api/v1/namespaces/demo/serviceaccounts", account, "/imagePullSecrets", secrets).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_a_claim_that_is_not_wanted_any_more_is_kept_and_one_that_is_deleted_goes() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let claims = "/api/v1/namespaces/demo/persistentvolumeclaims";
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    bed.federation.create(claims, claim).await;
    let path = format!("{claims}/data");
    let bound = json!({"spec": {"volumeName": "pv-1"}});
    let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    for member in [&bed.gondor, &bed.rohan] {
        bed.federation.until(&path, |c| c.is_some_and(|c| c["status"]["phase"] == "Pending")).await;
        member.until_there(&path).await;
        // As a member's controllers do.
        member.merge(&path, bound.clone()).await;
        member.merge(&format!("{path}/status"), status.clone()).await;
    }
    let whole = |s: &Value| s["phase"] == "Bound" && s["capacity"]["storage"] == "1Gi";
    bed.federation.until(&path, |c| c.is_some_and(|c| whole(&c["status"]))).await;
    bed.federation.merge(&path, json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&path, |c| c.is_some_and(|c| c["spec"]["resources"]["requests"]["storage"] == "2Gi")).await;
        assert_eq!(member.get(&path).await.unwrap()["spec"]["volumeName"], "pv-1");
    }

    let only = json!([{"key": "name", "operator": "=", "values": ["gondor"]}]).to_string();
    bed.federation.merge(&path, json!({"metadata": {"annotations": {"federation.alpha.kubernetes.io/cluster-selector": only}}})).await;
    let ours = |c: &Value| !c["metadata"]["labels"]["federation.kubernetes.io/managed-by"].is_null();
    bed.rohan.until(&path, |c| c.is_some_and(|c| !ours(c))).await;
    bed.federation.until("/api/v1/namespaces/demo/events", |e| e.is_some_and(|e| e.to_string().contains("KeptInCluster"))).await;
    bed.federation.delete(&path, Some("Background")).await;
    bed.gondor.until_gone(&path).await;
    assert!(bed.rohan.get(&path).await.is_some(), "it holds data");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_neither_a_namespace_taken_away_nor_a_memory_deletes_a_claim() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let (namespace, claims) = ("/api/v1/namespaces/demo", "/api/v1/namespaces/demo/persistentvolumeclaims");
    let claim = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        })
    };
    let path = |name: &str| format!("{claims}/{name}");
    let ours = |c: &Value| !c["metadata"]["labels"]["federation.kubernetes.io/managed-by"].is_null();
    for name in ["data", "restored"] {
        bed.federation.create(claims, claim(name)).await;
        for member in [&bed.gondor, &bed.rohan] {
            member.until_there(&path(name)).await;
        }
    }

    // A claim is deleted in the federation, and a member's backup brings it back with its marks.
    let mut backup = bed.rohan.get(&path("restored")).await.unwrap();
    bed.federation.delete(&path("restored"), Some("Background")).await;
    bed.federation.until_gone(&path("restored")).await;
    bed.rohan.until_gone(&path("restored")).await;
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "deletionTimestamp", "finalizers"] {
        backup["metadata"].as_object_mut().unwrap().remove(field);
    }
    assert!(ours(&backup));
    bed.rohan.create(claims, backup).await;
    bed.rohan.until(&path("restored"), |c| c.is_some_and(|c| !ours(c) && c["metadata"]["deletionTimestamp"].is_null())).await;

    // Its namespace is taken from rohan.
    let only = json!([{"key": "name", "operator": "=", "values": ["gondor"]}]).to_string();
    bed.federation.merge(namespace, json!({"metadata": {"annotations": {"federation.alpha.kubernetes.io/cluster-selector": only}}})).await;
    bed.rohan.until(namespace, |n| n.is_some_and(|n| !ours(n))).await;
    for kept in [namespace, &path("data"), &path("restored")] {
        assert_eq!(bed.rohan.get(kept).await.unwrap()["metadata"]["deletionTimestamp"], Value::Null, "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_rights_go_into_members_only_when_they_are_told_to() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let group = "/apis/rbac.authorization.k8s.io/v1/namespaces/demo";
    let told = json!({"federation.kubernetes.io/propagate": "true"});
    let role = |name: &str, annotations: &Value| {
        let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
        let metadata = json!({"name": name, "annotations": annotations});
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule]})
    };
    bed.federation.create(&format!("{group}/roles"), role("own", &Value::Null)).await;
    bed.federation.create(&format!("{group}/roles"), role("reader", &told)).await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader", "annotations": told},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "sam"}],
    });
    bed.federation.create(&format!("{group}/rolebindings"), binding).await;
    let (own, role, binding) = (format!("{group}/roles/own"), format!("{group}/roles/reader"), format!("{group}/rolebindings/reader"));
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&role, |r| r.is_some_and(|r| r["rules"][0]["resources"] == json!(["configmaps"]))).await;
        member.until(&binding, |b| b.is_some_and(|b| b["subjects"][0]["name"] == "sam" && b["roleRef"]["name"] == "reader")).await;
        assert_eq!(member.get(&binding).await.unwrap()["metadata"]["annotations"]["federation.kubernetes.io/propagate"], Value::Null);
        assert_eq!(member.get(&own).await, None);
    }
    // What stays in the federation does not wait for anybody when it is deleted.
    assert_eq!(bed.federation.get(&own).await.unwrap()["metadata"]["finalizers"], Value::Null);

    bed.federation.merge(&binding, json!({"metadata": {"annotations": {"federation.kubernetes.io/propagate": null}}})).await;
    bed.gondor.until_gone(&binding).await;
    bed.rohan.until_gone(&binding).await;
    assert!(bed.gondor.get(&role).await.is_some() && bed.federation.get(&binding).await.is_some());
    bed.federation.delete(&role, Some("Background")).await;
    bed.gondor.until_gone(&role).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_the_replicas_of_a_stateful_set_are_divided_and_its_status_is_summed() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let preferences = json!({"clusters": {"gondor": {"weight": 2}, "rohan": {"weight": 1}}});
    let mut mounting = template("Always");
    mounting["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "annotations": {"federation.kubernetes.io/stateful-set-preferences": preferences.to_string()}},
        "spec": {
            "replicas": 6, "serviceName": "db", "selector": {"matchLabels": {"app": "a"}}, "template": mounting,
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
