//! What roles of one namespace, a dry run or no roles at all let somebody do.

use bytes::Bytes;
use federation_apiserver::auth::UserInfo;
use federation_apiserver::auth::authz::Mode;
use federation_apiserver::{ApiService, Config, Profile, Server};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::subject::ready;

async fn send(service: &ApiService, method: &str, path: &str, body: Value) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path).header("content-type", kind);
    let response = service.clone().oneshot(request.body(Full::new(bytes)).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn frodo(server: &Server) -> ApiService {
    server.service(UserInfo { name: "frodo".into(), uid: String::new(), groups: vec!["system:authenticated".into()] })
}

/// What the roles say is known a moment after they are stored.
async fn until(service: &ApiService, path: &str, wanted: u16) {
    for _ in 0..200 {
        if send(service, "GET", path, Value::Null).await.0 == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{path} is never answered {wanted}");
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

#[tokio::test]
async fn roles_in_a_namespace_reach_nothing_outside() {
    let server = ready(Config::in_memory(Profile::Federation)).await;
    let (admin, user) = (server.admin_service(), frodo(&server));
    let make = async |path: &str, body: Value| {
        let (code, said) = send(&admin, "POST", path, body).await;
        assert_eq!(code, 201, "{path}: {said}");
    };
    make("/api/v1/namespaces", json!({"metadata": {"name": "foo"}})).await;
    make("/api/v1/namespaces", json!({"metadata": {"name": "bar"}})).await;
    let rule = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    make(&format!("{RBAC}/namespaces/foo/roles"), json!({"metadata": {"name": "all"}, "rules": [rule]})).await;
    let subject = json!({"kind": "User", "name": "frodo", "apiGroup": "rbac.authorization.k8s.io"});
    let reference = json!({"kind": "Role", "name": "all", "apiGroup": "rbac.authorization.k8s.io"});
    make(&format!("{RBAC}/namespaces/foo/rolebindings"), json!({"metadata": {"name": "all"}, "subjects": [subject], "roleRef": reference}))
        .await;
    let binding = json!({"metadata": {"name": "keep"}, "subjects": [], "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}});
    make(&format!("{RBAC}/clusterrolebindings"), binding).await;
    until(&user, "/api/v1/namespaces/foo/configmaps", 200).await;
    until(&user, "/api/v1/namespaces/foo", 200).await;

    let clusters = "/apis/federation.k8s.io/v1beta1";
    let cluster = json!({"metadata": {"name": "c"}});
    let table = [
        ("GET", format!("{clusters}/namespaces/foo/clusters"), Value::Null, 404),
        ("GET", format!("{clusters}/namespaces/foo/clusters?watch=true"), Value::Null, 404),
        ("GET", format!("{clusters}/watch/namespaces/foo/clusters"), Value::Null, 404),
        ("GET", format!("{clusters}/namespaces/foo/clusters/c"), Value::Null, 404),
        ("POST", format!("{clusters}/namespaces/foo/clusters"), cluster, 404),
        ("DELETE", format!("{clusters}/namespaces/foo/clusters"), Value::Null, 404),
        ("GET", format!("{RBAC}/namespaces/foo/clusterrolebindings"), Value::Null, 404),
        ("DELETE", format!("{RBAC}/namespaces/foo/clusterrolebindings"), Value::Null, 404),
        ("DELETE", format!("{RBAC}/namespaces/foo/clusterrolebindings/keep"), Value::Null, 404),
        ("GET", "/api/v1/namespaces/foo/namespaces".into(), Value::Null, 404),
        ("GET", "/api/v1/namespaces/foo/namespaces/bar".into(), Value::Null, 404),
        ("DELETE", "/api/v1/namespaces/foo/namespaces".into(), Value::Null, 404),
        ("DELETE", "/api/v1/namespaces/foo/namespaces/bar".into(), Value::Null, 404),
        ("GET", format!("{clusters}/clusters"), Value::Null, 403),
        ("GET", "/api/v1/namespaces/bar".into(), Value::Null, 403),
        ("GET", "/api/v1/configmaps".into(), Value::Null, 403),
    ];
    for (method, path, body, wanted) in table {
        let (code, said) = send(&user, method, &path, body).await;
        assert_eq!(code, wanted, "{method} {path}: {said}");
    }
    for kept in ["/api/v1/namespaces/bar".to_owned(), format!("{RBAC}/clusterrolebindings/keep")] {
        assert_eq!(send(&admin, "GET", &kept, Value::Null).await.0, 200, "{kept}");
    }
}

#[tokio::test]
async fn a_dry_run_does_not_say_that_roles_may_be_widened() {
    let server = ready(Config::in_memory(Profile::Member)).await;
    let (admin, user) = (server.admin_service(), frodo(&server));
    let path = format!("{RBAC}/namespaces/default/roles");
    let edit = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["get", "update"]});
    assert_eq!(send(&admin, "POST", &path, json!({"metadata": {"name": "edit"}, "rules": [edit.clone()]})).await.0, 201);
    let subject = json!({"kind": "User", "name": "frodo", "apiGroup": "rbac.authorization.k8s.io"});
    let reference = json!({"kind": "Role", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": "edit"}, "subjects": [subject], "roleRef": reference});
    assert_eq!(send(&admin, "POST", &format!("{RBAC}/namespaces/default/rolebindings"), binding).await.0, 201);
    until(&user, &format!("{path}/edit"), 200).await;
    let more = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    for query in ["", "?dryRun=All"] {
        let wider = json!({"metadata": {"name": "edit"}, "rules": [edit.clone(), more.clone()]});
        assert_eq!(send(&user, "PUT", &format!("{path}/edit{query}"), wider).await.0, 403, "{query}");
    }
}

#[tokio::test]
async fn probes_are_answered_without_permission() {
    let server = ready(Config { authorization: vec![Mode::AlwaysDeny], ..Config::in_memory(Profile::Member) }).await;
    let user = frodo(&server);
    for (path, wanted) in
        [("/livez", 200), ("/readyz?verbose", 200), ("/healthz", 200), ("/livez/ping", 403), ("/readyz/storage", 403), ("/version", 403)]
    {
        assert_eq!(send(&user, "GET", path, Value::Null).await.0, wanted, "{path}");
    }
    assert_eq!(send(&user, "POST", "/livez", Value::Null).await.0, 403);
}
