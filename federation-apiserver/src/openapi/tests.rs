use super::*;

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

/// Reads back one field of a message: what stands under the number, for each time it stands there.
fn fields(mut message: &[u8], wanted: u64) -> Vec<Vec<u8>> {
    fn varint(m: &mut &[u8]) -> u64 {
        let (mut out, mut shift) = (0, 0);
        loop {
            let byte = m[0];
            *m = &m[1..];
            out |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return out;
            }
        }
    }
    let mut out = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let value = match tag & 7 {
            0 => varint(&mut message).to_le_bytes().to_vec(),
            1 => message.split_off(..8).unwrap().to_vec(),
            2 => {
                let length = varint(&mut message) as usize;
                message.split_off(..length).unwrap().to_vec()
            }
            other => panic!("wire type {other}"),
        };
        if tag >> 3 == wanted {
            out.push(value);
        }
    }
    out
}

fn at(message: &[u8], path: &[u64]) -> Vec<u8> {
    path.iter().fold(message.to_vec(), |m, number| fields(&m, *number).first().expect("the field is there").clone())
}

#[test]
fn protobuf_has_every_part_kubectl_reads_in_gnostic_numbers() {
    let bytes = gnostic::encode(&json!({
        "swagger": "2.0",
        "paths": {"/api/v1/things": {"patch": {
            "operationId": "patchThing",
            "parameters": [
                {"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Thing"}},
                {"name": "fieldValidation", "in": "query", "type": "string", "uniqueItems": true},
                {"$ref": "#/parameters/pretty"},
            ],
            "responses": {"200": {"description": "OK", "schema": {"type": "string"}}},
            "x-kubernetes-group-version-kind": {"group": "", "kind": "Thing", "version": "v1"},
        }}},
        "definitions": {"Thing": {
            "type": "object", "required": ["a", "b"], "maxLength": 300, "minimum": 1.5,
            "properties": {"list": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}},
            "additionalProperties": {"type": "integer"},
        }},
    }));
    assert_eq!(at(&bytes, &[1]), b"2.0");
    let patch = at(&bytes, &[8, 2, 2, 8]);
    assert_eq!(at(&bytes, &[8, 2, 1]), b"/api/v1/things");
    assert_eq!(at(&patch, &[5]), b"patchThing");
    let parameters = fields(&patch, 8);
    assert_eq!(at(&parameters[0], &[1, 1, 5, 1]), b"#/definitions/Thing");
    let query = at(&parameters[1], &[1, 2, 3]);
    assert_eq!((at(&query, &[4]), at(&query, &[6])), (b"fieldValidation".to_vec(), b"string".to_vec()));
    assert_eq!(at(&query, &[20])[0], 1, "uniqueItems");
    assert_eq!(at(&parameters[2], &[2, 1]), b"#/parameters/pretty");
    assert_eq!(at(&patch, &[9, 1, 1]), b"200");
    assert_eq!(at(&patch, &[9, 1, 2, 1, 2, 1, 22, 1]), b"string");
    assert_eq!(at(&patch, &[13, 1]), b"x-kubernetes-group-version-kind");
    assert_eq!(at(&patch, &[13, 2, 2]), b"{\"group\":\"\",\"kind\":\"Thing\",\"version\":\"v1\"}\n");
    let thing = at(&bytes, &[9, 1, 2]);
    assert_eq!(fields(&thing, 19), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(at(&thing, &[11]), 300u64.to_le_bytes());
    assert_eq!(at(&thing, &[9]), 1.5f64.to_le_bytes());
    assert_eq!(at(&thing, &[25, 1, 2, 23, 1, 22, 1]), b"string");
    assert_eq!(at(&thing, &[21, 1, 22, 1]), b"integer");
}

#[test]
fn the_served_kinds_are_described_in_both_versions() {
    let api = OpenApi::new(Box::new(Builtin::new(crate::registry::resources(crate::config::Profile::Federation))));
    let apps: Value = serde_json::from_slice(get(&api, "/openapi/v3/apis/apps/v1", "", None).body()).unwrap();
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    // kubectl trusts the server to validate fields only where it finds this parameter.
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"), "{patch}");
    let federation = get(&api, "/openapi/v3/apis/federation/v1beta1", "", None);
    assert!(String::from_utf8_lossy(federation.body()).contains("Cluster"));
    let v2 = get(&api, "/openapi/v2", "", Some(V2_PROTOBUF));
    let definitions = at(v2.body(), &[9]);
    let names: Vec<Vec<u8>> = fields(&definitions, 1).iter().map(|pair| at(pair, &[1])).collect();
    assert!(names.contains(&b"io.k8s.api.apps.v1.Deployment".to_vec()));
}
