//! What is served changes while the server runs.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use machinery::schema::{Gvk, Type, Types};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::registry::RegistryError;
use crate::registry::resource::Resource;
use crate::{Config, Profile, Server};

async fn ask(server: &Server, method: &str, path: &str, accept: &str, body: Value) -> (StatusCode, Value) {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("accept", accept).header("content-type", "application/json");
    let response = server.admin_service().oneshot(request.body(Body::from(bytes)).unwrap()).await.unwrap();
    let code = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The built-in types and a kind with the fields of a ConfigMap.
fn with_rings() -> Arc<Types> {
    let mut types = Types::clone(&Types::shared());
    let like = types.get(types.kind("", "v1", "ConfigMap").unwrap()).clone();
    types.add(Gvk::new("jewels.example.com", "v1", "Ring"), Type { name: "com.example.jewels.v1.Ring".into(), ..like });
    Arc::new(types)
}

fn rings() -> Resource {
    let name = |name: &str| name.to_owned().into();
    Resource {
        group: name("jewels.example.com"),
        version: name("v1"),
        kind: name("Ring"),
        plural: name("rings"),
        singular: name("ring"),
        ..Resource::namespaced("", "", "", "", "")
    }
}

#[tokio::test]
async fn issue8_a_resource_is_served_and_no_more_while_the_server_runs() {
    let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
    server.wait_ready(Duration::from_secs(60)).await.unwrap();
    let registry = &server.api().registry;
    let group = "/apis/jewels.example.com/v1";
    let path = format!("{group}/namespaces/default/rings");
    let ring = json!({"apiVersion": "jewels.example.com/v1", "kind": "Ring", "metadata": {"name": "one"}, "data": {"metal": "gold"}});
    let get = async |path: &str| ask(&server, "GET", path, "application/json", Value::Null).await;
    let described = async || get("/openapi/v3").await.1["paths"]["apis/jewels.example.com/v1"].clone();
    assert_eq!((get(&path).await.0, get(group).await.0, described().await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND, Value::Null));

    let known = registry.find("", "v1", "configmaps").unwrap();
    registry.put(rings(), &with_rings()).unwrap();
    assert!(Arc::ptr_eq(&known, &registry.find("", "v1", "configmaps").unwrap()), "others stay as they are");
    assert_eq!(get(group).await.1["resources"][0]["name"], "rings");
    assert!(described().await.is_object());
    let open = get(described().await["serverRelativeURL"].as_str().unwrap()).await.1;
    assert!(open["components"]["schemas"]["com.example.jewels.v1.Ring"].is_object(), "{open}");
    let wrong = json!({"apiVersion": "jewels.example.com/v1", "kind": "Ring", "metadata": {"name": "two"}, "weight": 1});
    assert_eq!(ask(&server, "POST", &format!("{path}?fieldValidation=Strict"), "*/*", wrong).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&server, "POST", &path, "*/*", ring.clone()).await.0, StatusCode::CREATED);
    let table = ask(&server, "GET", &path, "application/json;as=Table;v=v1;g=meta.k8s.io", Value::Null).await.1;
    assert_eq!(table["rows"][0]["cells"][0], "one");
    let metrics = server.admin_service().oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    let metrics = metrics.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&metrics).contains(r#"group="jewels.example.com""#));

    assert!(registry.remove("jewels.example.com", "v1", "rings"));
    assert!(!registry.remove("jewels.example.com", "v1", "rings"));
    assert_eq!((get(&path).await.0, get(group).await.0, described().await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND, Value::Null));
    registry.put(rings(), &with_rings()).unwrap();
    assert_eq!(get(&format!("{path}/one")).await.1["data"], ring["data"], "what was stored is there again");

    let selectable = crate::names::Names::Made([String::from("data.metal")].into());
    registry.put(Resource { selectable, ..rings() }, &with_rings()).unwrap();
    for (metal, count) in [("gold", 1), ("silver", 0)] {
        let found = get(&format!("{path}?fieldSelector=data.metal%3D{metal}")).await.1;
        assert_eq!(found["items"].as_array().map(Vec::len), Some(count), "{metal}: {found}");
    }
}

#[tokio::test]
async fn a_resource_without_a_type_changes_nothing() {
    let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
    let before = server.api().registry.catalog();
    let refused = server.api().registry.put(rings(), &Types::shared());
    assert!(matches!(refused, Err(RegistryError::NoType(gvk)) if gvk.kind == "Ring"));
    assert!(Arc::ptr_eq(&before, &server.api().registry.catalog()));
}
