//! A member that refuses the federation a right: it stays joined, and only what needs the right fails.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{ADMIN, Apiserver, Place, create, eventually, request};

const MEMBER: &str = "member-token";

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_verb_is_named_and_harms_nobody_else() {
    let place = Place::new();
    let (federation, gondor, rohan) =
        (place.apiserver("fellowship", 0, &[]), place.apiserver("gondor", 0, &[]), place.apiserver("rohan", 0, &[]));
    place.kubeconfig(&[("fellowship", &federation.url, ADMIN)]);
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["get"]}]);
    grant(&rohan, &everything).await;
    grant(
        &gondor,
        &json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["get"]}]),
    )
    .await;
    let admin = federation.client(ADMIN);
    eventually("the federation", async || match request(&admin, "GET", "/readyz", &Value::Null).await {
        (200, ..) => Ok(()),
        (_, _, body) => Err(body),
    })
    .await;
    create(&admin, "/api/v1/namespaces", &json!({"metadata": {"name": "federation-system"}})).await;
    for (name, member) in [("gondor", &gondor), ("rohan", &rohan)] {
        join(&admin, name, member).await;
    }
    let flags = [
        "federation-controller-manager",
        "--kubeconfig=.kube/config",
        "--host-kubeconfig=.kube/config",
        "--host-namespace=federation-system",
        "--federation-name=fellowship",
        "--port=0",
        "--leader-elect=false",
    ];
    let _manager = place.start(env!("CARGO_BIN_EXE_fcp"), &flags, "manager.log");
    create(&admin, "/api/v1/namespaces", &json!({"metadata": {"name": "shire"}})).await;
    create(&admin, "/api/v1/namespaces/shire/secrets", &json!({"metadata": {"name": "ring"}, "data": {"one": "b25l"}})).await;
    create(&admin, "/api/v1/namespaces/shire/configmaps", &json!({"metadata": {"name": "map"}, "data": {"a": "b"}})).await;

    let there = async |member: &Apiserver, path: &str| {
        let path = format!("/api/v1/namespaces/shire/{path}");
        eventually(&path, async || match request(&member.client(ADMIN), "GET", &path, &Value::Null).await {
            (200, ..) => Ok(()),
            (_, _, body) => Err(body),
        })
        .await;
    };
    there(&rohan, "secrets/ring").await;
    there(&rohan, "configmaps/map").await;
    there(&gondor, "configmaps/map").await;
    let get = async |path: &str| {
        let (_, _, body) = request(&admin, "GET", path, &Value::Null).await;
        serde_json::from_str::<Value>(&body).map_err(|e| format!("{e}: {body}"))
    };
    let forbidden = "cannot patch resource \"secrets\" in API group \"\" in the namespace \"shire\"";
    eventually("a record that says Failed", async || {
        let list = get("/apis/federation/v1beta1/propagationrecords").await?;
        let of_ring = |r: &&Value| r["spec"]["object"]["resource"] == "secrets" && r["spec"]["object"]["name"] == "ring";
        let clusters = list["items"].as_array().and_then(|i| i.iter().find(of_ring)).map(|r| r["spec"]["clusters"].clone()).unwrap_or(list);
        let (bad, good) = (&clusters["gondor"], &clusters["rohan"]);
        let told = bad["state"] == "Failed" && bad["reason"].as_str().is_some_and(|r| r.contains(forbidden));
        if told && good["state"] == "Applied" { Ok(()) } else { Err(clusters.to_string()) }
    })
    .await;
    eventually("an event that names the verb", async || {
        let list = get("/api/v1/namespaces/shire/events").await?;
        let told = |e: &Value| {
            e["type"] == "Warning"
                && e["involvedObject"]["name"] == "ring"
                && e["message"].as_str().is_some_and(|m| m.contains(forbidden) && m.contains("gondor"))
        };
        if list["items"].as_array().is_some_and(|i| i.iter().any(told)) { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    ready(&get, "gondor").await;

    // Cured: the right is granted, and the federation does the rest by itself.
    let role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "member"}, "rules": everything});
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/member?fieldManager=test&force=true";
    let (status, _, body) = request(&gondor.client(ADMIN), "PATCH", path, &role).await;
    assert_eq!(status, 200, "{body}");
    there(&gondor, "secrets/ring").await;
}

/// The Cluster is joined and ready, whatever else.
async fn ready(get: &impl AsyncFn(&str) -> Result<Value, String>, name: &str) {
    eventually("a ready Cluster", async || {
        let cluster = get(&format!("/apis/federation/v1beta1/clusters/{name}")).await?;
        let is = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
        if cluster["status"]["conditions"].as_array().is_some_and(|c| c.iter().any(is)) { Ok(()) } else { Err(cluster.to_string()) }
    })
    .await;
}

/// Lets the federation's account do this in a member.
async fn grant(member: &Apiserver, rules: &Value) {
    let (admin, rbac) = (member.client(ADMIN), "/apis/rbac.authorization.k8s.io/v1");
    create(&admin, &format!("{rbac}/clusterroles"), &json!({"metadata": {"name": "member"}, "rules": rules})).await;
    let binding = json!({"metadata": {"name": "member"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "member"},
        "subjects": [{"kind": "User", "name": "legolas", "apiGroup": "rbac.authorization.k8s.io"}]});
    create(&admin, &format!("{rbac}/clusterrolebindings"), &binding).await;
}

/// What `kubefed join` leaves in host and federation.
async fn join(admin: &kube::Client, name: &str, member: &Apiserver) {
    let data = json!({"token": STANDARD.encode(MEMBER), "ca.crt": STANDARD.encode(&member.certificate)});
    create(admin, "/api/v1/namespaces/federation-system/secrets", &json!({"metadata": {"name": name}, "data": data})).await;
    let spec =
        json!({"serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": member.url}], "secretRef": {"name": name}});
    create(admin, "/apis/federation/v1beta1/clusters", &json!({"metadata": {"name": name}, "spec": spec})).await;
}
