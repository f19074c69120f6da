use serde_json::Value;

use super::*;
use crate::names::Names;
use crate::registry::resource::Subresource;

fn table() -> Vec<Resource> {
    vec![
        Resource::namespaced("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler"),
        Resource::cluster("federation", "v1beta1", "Cluster", "clusters", "cluster"),
        Resource {
            short_names: Names::Fixed(&["deploy"]),
            categories: Names::Fixed(&["all"]),
            subresources: &[Subresource::Status, Subresource::Scale],
            ..Resource::namespaced("apps", "v1", "Deployment", "deployments", "deployment")
        },
        Resource { subresources: &[Subresource::Finalize], ..Resource::cluster("", "v1", "Namespace", "namespaces", "namespace") },
        Resource { short_names: Names::Fixed(&["cm"]), ..Resource::namespaced("", "v1", "ConfigMap", "configmaps", "configmap") },
        Resource::namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler"),
        Resource::question("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
    ]
}

const CLIENT_GO: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                         application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

fn get(path: &str, accept: Option<&str>) -> Response<Bytes> {
    let mut headers = HeaderMap::new();
    headers.extend(accept.map(|a| (ACCEPT, HeaderValue::from_str(a).unwrap())));
    Discovery::new(&table(), "192.0.2.1:6443").respond(path, &headers).unwrap_or_else(|| panic!("{path} is a discovery path"))
}

fn pretty(response: &Response<Bytes>) -> String {
    let value: Value = serde_json::from_slice(response.body()).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn plain_documents() {
    for (name, path) in [
        ("api", "/api"),
        ("api_v1", "/api/v1"),
        ("apis", "/apis/"),
        ("apis_autoscaling", "/apis/autoscaling"),
        ("apis_apps_v1", "/apis/apps/v1"),
        ("apis_authorization_v1", "/apis/authorization.k8s.io/v1"),
    ] {
        insta::assert_snapshot!(name, pretty(&get(path, None)));
    }
}

#[test]
fn aggregated_documents() {
    let core = get("/api", Some(CLIENT_GO));
    assert_eq!(core.headers()[CONTENT_TYPE], negotiate::V2);
    insta::assert_snapshot!("aggregated_api", pretty(&core));
    insta::assert_snapshot!("aggregated_apis", pretty(&get("/apis", Some(CLIENT_GO))));
}

#[test]
fn the_first_form_the_client_accepts_is_served() {
    let kind = |path: &str, accept: &str| {
        let response = get(path, Some(accept));
        let value: Value = serde_json::from_slice(response.body()).unwrap();
        format!("{} {}", value["kind"].as_str().unwrap(), value["apiVersion"].as_str().unwrap_or("-"))
    };
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(kind("/apis", beta), "APIGroupDiscoveryList apidiscovery.k8s.io/v2beta1");
    assert_eq!(kind("/apis", "application/json"), "APIGroupList v1");
    assert_eq!(kind("/apis", "*/*"), "APIGroupList v1");
    assert_eq!(kind("/api", "application/json"), "APIVersions -");
    assert_eq!(
        kind("/apis", "application/json;q=0.5,application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io;profile=nopeer"),
        "APIGroupDiscoveryList apidiscovery.k8s.io/v2"
    );
    assert_eq!(kind("/apis/apps/v1", CLIENT_GO), "APIResourceList v1");
    assert_eq!(kind("/apis", "application/vnd.kubernetes.protobuf,application/json"), "APIGroupList v1");
    assert_eq!(kind("/apis", "text/html"), "Status v1");
    assert_eq!(get("/apis", Some("text/html")).status(), 406);
}

#[test]
fn aggregated_documents_are_not_sent_twice() {
    let discovery = Discovery::new(&table(), "");
    let mut headers: HeaderMap = [(ACCEPT, HeaderValue::from_static(CLIENT_GO))].into_iter().collect();
    let first = discovery.respond("/apis", &headers).unwrap();
    headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
    let again = discovery.respond("/apis", &headers).unwrap();
    assert_eq!((again.status().as_u16(), again.body().len()), (304, 0));
    assert!(discovery.respond("/apis/nonesuch", &headers).is_none());
    assert!(discovery.respond("/apis/apps/v2", &headers).is_none());
}
