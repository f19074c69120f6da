use std::collections::BTreeSet;

use super::*;

fn served() -> Vec<Served<'static>> {
    let all: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let sub: &[&str] = &["get", "patch", "update"];
    let one = |group, version, kind, plural, namespaced, subresources| Served {
        group,
        version,
        kind,
        plural,
        namespaced,
        verbs: all.to_vec(),
        subresources,
    };
    let status = |g, v, k| ServedSubresource { name: "status", kind: Gvk::new(g, v, k), verbs: sub.to_vec() };
    vec![
        one("", "v1", "ConfigMap", "configmaps", true, vec![]),
        one("", "v1", "Namespace", "namespaces", false, vec![status("", "v1", "Namespace")]),
        one(
            "apps",
            "v1",
            "Deployment",
            "deployments",
            true,
            vec![
                status("apps", "v1", "Deployment"),
                ServedSubresource { name: "scale", kind: Gvk::new("autoscaling", "v1", "Scale"), verbs: sub.to_vec() },
            ],
        ),
        one("federation", "v1beta1", "Cluster", "clusters", false, vec![status("federation", "v1beta1", "Cluster")]),
        Served {
            verbs: vec!["create"],
            ..one("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false, vec![])
        },
    ]
}

fn refs(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            out.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| refs(v, out));
        }
        Value::Array(list) => list.iter().for_each(|v| refs(v, out)),
        _ => {}
    }
}

#[test]
fn every_reference_has_its_schema_and_every_operation_an_id() {
    let types = Types::builtin();
    let v3: Value = serde_json::from_slice(&v3(types, "apps", "v1", &served())).unwrap();
    let v2: Value = serde_json::from_slice(&v2(types, &served(), "v1.36.0")).unwrap();
    for (document, prefix, schemas) in
        [(&v3, "#/components/schemas/", &v3["components"]["schemas"]), (&v2, "#/definitions/", &v2["definitions"])]
    {
        let mut all = BTreeSet::new();
        refs(document, &mut all);
        assert!(all.len() > 20);
        for reference in all {
            let name = reference.strip_prefix(prefix).unwrap_or_else(|| panic!("{reference}"));
            assert!(schemas[name].is_object(), "{reference}");
        }
        let mut ids = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for (_, operation) in item.as_object().unwrap().iter().filter(|(k, _)| *k != "parameters") {
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{}", operation["operationId"]);
            }
        }
    }
}

#[test]
fn a_v3_document_holds_its_group_only() {
    let v3: Value = serde_json::from_slice(&v3(Types::builtin(), "apps", "v1", &served())).unwrap();
    let paths: Vec<&String> = v3["paths"].as_object().unwrap().keys().collect();
    insta::assert_snapshot!("apps_v1_paths", format!("{paths:#?}"));
    assert!(v3["components"]["schemas"].get("io.k8s.api.core.v1.ConfigMap").is_none());
}

#[test]
fn kubectl_finds_field_validation_and_merge_keys() {
    let v3: Value = serde_json::from_slice(&v3(Types::builtin(), "apps", "v1", &served())).unwrap();
    let patch = &v3["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
    insta::assert_snapshot!("patch_deployment", format!("{patch:#}"));
    let ports = &v3["components"]["schemas"]["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    insta::assert_snapshot!("container_ports", format!("{ports:#}"));
}

#[test]
fn our_own_kinds_explain_themselves() {
    let v3: Value = serde_json::from_slice(&v3(Types::builtin(), "federation", "v1beta1", &served())).unwrap();
    let schemas = &v3["components"]["schemas"];
    for name in ["Cluster", "ClusterSpec", "ClusterStatus", "ClusterCondition", "ServerAddressByClientCIDR"] {
        let schema = &schemas[format!("federation.v1beta1.{name}")];
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{field}");
        }
    }
}

/// Field numbers and lengths on the way to one schema's name, read back by hand.
#[test]
fn the_protobuf_form_is_well_formed() {
    let types = Types::builtin();
    let document = v2_protobuf(types, &served(), "v1.36.0");
    let fields = crate::codec::wire_fields(&document).unwrap();
    assert_eq!(fields.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 8, 9]);
    assert_eq!(fields[0].1, b"2.0");
    let definitions = crate::codec::wire_fields(fields[3].1).unwrap();
    let names: Vec<String> =
        definitions.iter().map(|(_, named)| String::from_utf8(crate::codec::wire_fields(named).unwrap()[0].1.to_vec()).unwrap()).collect();
    let v2: Value = serde_json::from_slice(&v2(types, &served(), "v1.36.0")).unwrap();
    assert_eq!(names, v2["definitions"].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
}
