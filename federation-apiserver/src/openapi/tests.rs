use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::Profile;
use crate::registry::Registry;
use crate::storage::embedded::Embedded;
use crate::storage::store::Store;

struct Sample;

impl Documents for Sample {
    fn versions(&self) -> Vec<(String, String)> {
        vec![(String::new(), "v1".into()), ("apps".into(), "v1".into())]
    }

    fn v3(&self, group: &str, version: &str) -> Vec<u8> {
        json!({"openapi": "3.0.0", "info": {"title": group, "version": version}}).to_string().into_bytes()
    }

    fn v2(&self) -> Vec<u8> {
        json!({"swagger": "2.0", "info": {"title": "t", "version": "1"}, "definitions": {"A": {"type": "object"}}}).to_string().into_bytes()
    }

    fn v2_protobuf(&self) -> Vec<u8> {
        vec![10, 3, b'2', b'.', b'0']
    }
}

fn get(api: &OpenApi, path: &str, query: &str, accept: Option<&str>) -> Response<Bytes> {
    let mut headers = HeaderMap::new();
    headers.extend(accept.map(|a| (ACCEPT, HeaderValue::from_str(a).unwrap())));
    api.respond(path, query, &headers).expect("an OpenAPI path")
}

#[test]
fn the_index_leads_to_documents_that_may_be_kept_for_ever() {
    let api = OpenApi::new(Box::new(Sample));
    let index: Value = serde_json::from_slice(get(&api, "/openapi/v3", "", None).body()).unwrap();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let (path, query) = url.split_once('?').unwrap();
    let found = get(&api, path, query, Some("application/json"));
    assert_eq!(found.headers()[CACHE_CONTROL], "public, immutable");
    assert!(found.headers()[EXPIRES].to_str().unwrap().ends_with(" GMT"));
    assert_eq!(serde_json::from_slice::<Value>(found.body()).unwrap()["info"]["title"], "apps");
    let outdated = get(&api, path, "hash=00", None);
    assert_eq!((outdated.status().as_u16(), outdated.headers()[LOCATION].to_str().unwrap()), (301, url));
    let plain = get(&api, path, "", None);
    assert_eq!(plain.headers()[CACHE_CONTROL], "no-cache, private");
    assert!(index["paths"].get("api/v1").is_some());
}

#[test]
fn a_copy_that_is_still_good_is_not_sent_again() {
    let api = OpenApi::new(Box::new(Sample));
    let tag = get(&api, "/openapi/v2", "", None).headers()[ETAG].clone();
    let headers: HeaderMap = [(http::header::IF_NONE_MATCH, tag)].into_iter().collect();
    let again = api.respond("/openapi/v2", "", &headers).unwrap();
    assert_eq!((again.status().as_u16(), again.body().len()), (304, 0));
}

#[test]
fn forms_are_negotiated_and_unknown_paths_are_not_ours() {
    let api = OpenApi::new(Box::new(Sample));
    let content_type = |accept| get(&api, "/openapi/v2", "", accept).headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    assert_eq!(content_type(None), JSON);
    assert_eq!(content_type(Some("*/*")), JSON);
    assert_eq!(content_type(Some(V2_PROTOBUF)), V2_PROTOBUF_ANSWER);
    assert_eq!(content_type(Some("application/json, application/com.github.proto-openapi.spec.v2@v1.0+protobuf")), JSON);
    assert_eq!(get(&api, "/openapi/v2", "", Some("text/html")).status(), 406);
    for path in ["/openapi", "/openapi/v4", "/openapi/v3/apis/nonesuch/v1", "/api"] {
        assert!(api.respond(path, "", &HeaderMap::new()).is_none(), "{path}");
    }
}

#[tokio::test]
async fn the_served_kinds_are_described_in_both_versions() {
    let store = Store::open(Arc::new(Embedded::in_memory()));
    let registry = Registry::open(&store, Profile::Federation, Duration::ZERO);
    let api = OpenApi::new(Box::new(Source::new(registry.catalog())));
    let apps: Value = serde_json::from_slice(get(&api, "/openapi/v3/apis/apps/v1", "", None).body()).unwrap();
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    // kubectl trusts the server to validate fields only where it finds this parameter.
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"), "{patch}");
    let federation = get(&api, "/openapi/v3/apis/federation/v1beta1", "", None);
    assert!(String::from_utf8_lossy(federation.body()).contains("Cluster"));
    let v2 = get(&api, "/openapi/v2", "", Some(V2_PROTOBUF));
    assert!(String::from_utf8_lossy(v2.body()).contains("io.k8s.api.apps.v1.Deployment"));
}
