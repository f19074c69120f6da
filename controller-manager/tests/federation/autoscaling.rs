//! Autoscalers and Ingresses go into the members; who scales there is not fought.

use serde_json::{Value, json};

use crate::bed::{Api, Bed, DEPLOYMENTS, MAPS, config, config_map, deployment};

const SCALERS: &str = "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_x11_an_autoscaler_is_divided_and_owns_the_replicas() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let path = format!("{DEPLOYMENTS}/web");
    let replicas = |n: i64| move |d: Option<&Value>| d.is_some_and(|d| d["spec"]["replicas"] == n);
    bed.federation.create(DEPLOYMENTS, deployment("web", 4, &json!({"clusters": {"*": {"weight": 1}}}))).await;
    bed.gondor.until(&path, replicas(2)).await;
    bed.rohan.until(&path, replicas(2)).await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 10});
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec});
    bed.federation.create(SCALERS, scaler).await;
    let copy = format!("{SCALERS}/web");
    let divided = |h: &Value| h["spec"]["minReplicas"] == 1 && h["spec"]["maxReplicas"] == 5;
    bed.gondor.until(&copy, |h| h.is_some_and(divided)).await;
    bed.rohan.until(&copy, |h| h.is_some_and(divided)).await;

    // At the first time somebody else scales, the federation lets go of the field.
    let applied = |d: &Value| d["metadata"]["annotations"]["federation.kubernetes.io/applied"].clone();
    let before = applied(&bed.gondor.get(&path).await.unwrap());
    bed.gondor.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 4}})).await;
    bed.gondor.until(&path, |d| d.is_some_and(|d| applied(d) != before)).await;
    assert!(replicas(4)(bed.gondor.get(&path).await.as_ref()));

    // What the autoscaler of a member does stays, whatever happens to the rest.
    let scale = async |n: i64| {
        bed.gondor.merge(&format!("{path}/scale"), json!({"spec": {"replicas": n}})).await;
        let label = n.to_string();
        bed.federation.merge(&path, json!({"metadata": {"labels": {"scaled": label}}})).await;
        bed.gondor.until(&path, |d| d.is_some_and(|d| d["metadata"]["labels"]["scaled"] == label.as_str())).await;
        bed.has_settled(&[&bed.gondor]).await;
        assert!(replicas(n)(bed.gondor.get(&path).await.as_ref()), "after {n}");
    };
    scale(5).await;
    scale(3).await;
    assert!(replicas(2)(bed.rohan.get(&path).await.as_ref()));

    // Without it the federation decides again.
    bed.federation.delete(&copy, Some("Background")).await;
    bed.gondor.until_gone(&copy).await;
    bed.federation.merge(&path, json!({"spec": {"replicas": 8}, "metadata": {"annotations": {"federation.kubernetes.io/deployment-preferences": json!({"rebalance": true, "clusters": {"*": {"weight": 1}}}).to_string()}}})).await;
    bed.gondor.until(&path, replicas(4)).await;
    bed.rohan.until(&path, replicas(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue8_bounds_move_with_the_load_and_its_status_is_that_of_all() {
    let mut bed = Bed::start().await;
    bed.namespace().await;
    let mut web = deployment("web", 4, &Value::Null);
    web["metadata"]["annotations"] = json!({});
    bed.federation.create(DEPLOYMENTS, web).await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 10});
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec});
    bed.federation.create(SCALERS, scaler).await;
    let copy = format!("{SCALERS}/web");
    let has =
        |min: i64, max: i64| move |h: Option<&Value>| h.is_some_and(|h| h["spec"]["minReplicas"] == min && h["spec"]["maxReplicas"] == max);
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&copy, has(1, 5)).await;
    }
    // As an autoscaler's controller reports.
    let report = async |member: &Api, replicas: i64, percent: i64| {
        let cpu =
            json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent, "averageValue": "10m"}}});
        let status = json!({
            "currentReplicas": replicas, "desiredReplicas": replicas, "lastScaleTime": "2026-01-01T00:00:00Z", "currentMetrics": [cpu],
        });
        member.merge(&format!("{copy}/status"), json!({"status": status})).await;
    };
    report(&bed.rohan, 1, 20).await;
    report(&bed.gondor, 5, 80).await;
    bed.gondor.until(&copy, has(1, 6)).await;
    bed.rohan.until(&copy, has(1, 4)).await;
    report(&bed.gondor, 6, 80).await;
    bed.gondor.until(&copy, has(1, 7)).await;
    bed.rohan.until(&copy, has(1, 3)).await;
    let summed = |s: &Value| {
        s["currentReplicas"] == 7
            && s["desiredReplicas"] == 7
            && s["lastScaleTime"] == "2026-01-01T00:00:00Z"
            && s["currentMetrics"][0]["resource"]["current"] == json!({"averageUtilization": 71})
    };
    bed.federation.until(&copy, |h| h.is_some_and(|h| summed(&h["status"]))).await;

    // A restart begins where it was. There are the namespace, the Deployment and its autoscaler.
    bed.until_recorded(3).await;
    bed.stop().await;
    let writes = (bed.gondor.writes(), bed.rohan.writes());
    bed.run();
    bed.federation.create(MAPS, config_map("later")).await;
    bed.gondor.until_there(&format!("{MAPS}/later")).await;
    bed.rohan.until_there(&format!("{MAPS}/later")).await;
    assert_eq!((bed.gondor.writes(), bed.rohan.writes()), (writes.0 + 1, writes.1 + 1));
    assert!(has(1, 7)(bed.gondor.get(&copy).await.as_ref()) && has(1, 3)(bed.rohan.get(&copy).await.as_ref()));
    // With preferences of what it scales the division is theirs.
    let preferences = json!({"clusters": {"*": {"weight": 1}}}).to_string();
    let annotations = json!({"federation.kubernetes.io/deployment-preferences": preferences});
    bed.federation.merge(&format!("{DEPLOYMENTS}/web"), json!({"metadata": {"annotations": annotations}})).await;
    for member in [&bed.gondor, &bed.rohan] {
        member.until(&copy, has(1, 5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue7_case_x11_an_ingress_follows() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/demo/ingresses";
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let ingress =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "gate"}, "spec": {"defaultBackend": backend}});
    bed.federation.create(ingresses, ingress).await;
    let path = format!("{ingresses}/gate");
    bed.gondor.until(&path, |i| i.is_some_and(|i| i["spec"]["defaultBackend"]["service"]["name"] == "web")).await;
    bed.rohan.until_there(&path).await;
    bed.federation.delete(&path, Some("Background")).await;
    bed.gondor.until_gone(&path).await;
    bed.rohan.until_gone(&path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_have_the_autoscaler_keeps_its_replicas_and_zero_is_zero() {
    let mut bed = Bed::new(config()).await;
    bed.rohan.forbid(Some("horizontalpodautoscalers"));
    bed.run();
    bed.until_cluster("gondor", "Ready").await;
    bed.until_cluster("rohan", "Ready").await;
    bed.namespace().await;
    let path = format!("{DEPLOYMENTS}/web");
    let replicas = |n: i64| move |d: Option<&Value>| d.is_some_and(|d| d["spec"]["replicas"] == n);
    bed.federation.create(DEPLOYMENTS, deployment("web", 4, &json!({"clusters": {"*": {"weight": 1}}}))).await;
    bed.gondor.until(&path, replicas(2)).await;
    bed.rohan.until(&path, replicas(2)).await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 10});
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec});
    bed.federation.create(SCALERS, scaler).await;
    // All of it goes to gondor once rohan is not waited for any more.
    bed.gondor.until(&format!("{SCALERS}/web"), |h| h.is_some_and(|h| h["spec"]["maxReplicas"] == 10)).await;
    bed.gondor.until(&path, replicas(3)).await;
    bed.federation.merge(&path, json!({"metadata": {"labels": {"looked": "at"}}})).await;
    bed.rohan.until(&path, |d| d.is_some_and(|d| d["metadata"]["labels"]["looked"] == "at")).await;
    assert!(replicas(2)(bed.rohan.get(&path).await.as_ref()));

    bed.federation.merge(&path, json!({"spec": {"replicas": 0}})).await;
    bed.gondor.until(&path, replicas(0)).await;
    bed.rohan.until(&path, replicas(0)).await;
    bed.federation.merge(&path, json!({"spec": {"replicas": 4}})).await;
    bed.gondor.until(&path, replicas(3)).await;
}
