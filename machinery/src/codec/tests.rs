use serde_json::json;

use super::*;

fn configmap() -> Gvk {
    Gvk::new("", "v1", "ConfigMap")
}

fn json_body(body: &str, validation: FieldValidation) -> Result<Decoded, ApiError> {
    decode(Types::builtin(), &configmap(), body.as_bytes(), MediaType::Json, validation)
}

#[test]
fn unknown_and_duplicate_fields_follow_field_validation() {
    let body = r#"{"data": {"a": "1", "a": "2"}, "foo": 1, "metadata": {"name": "x", "name": "y", "bar": {}}}"#;
    let ignored = json_body(body, FieldValidation::Ignore).unwrap();
    assert_eq!(ignored.value, json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}, "metadata": {"name": "y"}}));
    assert_eq!(ignored.warnings, Vec::<String>::new());
    let all =
        ["duplicate field \"data.a\"", "duplicate field \"metadata.name\"", "unknown field \"foo\"", "unknown field \"metadata.bar\""];
    assert_eq!(json_body(body, FieldValidation::Warn).unwrap().warnings, all);
    let refused = json_body(body, FieldValidation::Strict).unwrap_err();
    assert_eq!(refused.code, 400);
    assert!(refused.message.ends_with(&format!("strict decoding error: {}", all.join(", "))), "{}", refused.message);
}

#[test]
fn another_kind_or_version_is_refused() {
    let version = json_body(r#"{"apiVersion": "v2", "kind": "ConfigMap"}"#, FieldValidation::Ignore).unwrap_err();
    assert_eq!(version.message, "the API version in the data (v2) does not match the expected API version (v1)");
    let kind = json_body(r#"{"apiVersion": "v1", "kind": "Secret"}"#, FieldValidation::Ignore).unwrap_err();
    assert!(kind.message.starts_with("Secret in version \"v1\" cannot be handled as a ConfigMap"), "{}", kind.message);
    for broken in ["", " ", "{", "[]", "3", "{} {}"] {
        assert_eq!(json_body(broken, FieldValidation::Ignore).unwrap_err().code, 400, "{broken}");
    }
}

#[test]
fn null_is_an_object_without_fields() {
    let empty = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap"});
    for (body, media) in [("null", MediaType::Json), ("null", MediaType::Yaml), ("", MediaType::Yaml), ("# nothing", MediaType::Yaml)] {
        let decoded = decode(Types::builtin(), &configmap(), body.as_bytes(), media, FieldValidation::Strict).unwrap();
        assert_eq!(decoded.value, empty, "{body:?}");
    }
}

#[test]
fn delete_options_come_under_any_group() {
    let gvk = Gvk::new("", "v1", "DeleteOptions");
    let body = br#"{"apiVersion": "apps/v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"}"#;
    let decoded = decode(Types::builtin(), &gvk, body, MediaType::Json, FieldValidation::Strict).unwrap();
    assert_eq!(decoded.value["propagationPolicy"], "Orphan");
}

#[test]
fn yaml_reads_as_json_does() {
    let yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: 'yes'\n  b: |\n    two\n    lines\n  b: last\n";
    let decoded = decode(Types::builtin(), &configmap(), yaml, MediaType::Yaml, FieldValidation::Warn).unwrap();
    assert_eq!(decoded.value["data"], json!({"a": "yes", "b": "last"}));
    assert_eq!(decoded.warnings, ["duplicate field \"data.b\""]);
    let error = decode(Types::builtin(), &configmap(), b"a: [", MediaType::Yaml, FieldValidation::Warn).unwrap_err();
    assert_eq!(error.code, 400);
}

#[test]
fn content_types_are_read_without_their_parameters() {
    assert_eq!(MediaType::parse("application/json; charset=utf-8"), Some(MediaType::Json));
    assert_eq!(MediaType::parse("application/vnd.kubernetes.protobuf"), Some(MediaType::Protobuf));
    assert_eq!(MediaType::parse("application/cbor"), None);
}

#[test]
fn a_configuration_keeps_its_zeros() {
    let deployment = Gvk::new("apps", "v1", "Deployment");
    let body = b"apiVersion: apps/v1\nkind: Deployment\nspec: {minReadySeconds: 0, paused: false, replicas: null, template: {}}\n";
    let decoded = decode_configuration(&deployment, body, FieldValidation::Strict).unwrap();
    assert_eq!(decoded.value["spec"], json!({"minReadySeconds": 0, "paused": false, "replicas": null, "template": {}}));
    let twice = decode_configuration(&deployment, b"spec: {replicas: 1, replicas: 2}", FieldValidation::Strict).unwrap_err();
    assert!(twice.code == 400 && twice.message.contains("duplicate field \"spec.replicas\""), "{}", twice.message);
}

#[test]
fn d1_bodies_too_deep_to_be_read_back_are_refused() {
    use crate::depth::{MAX, nested_text};
    let read = |levels: usize, media| {
        // The object, metadata, the list and the entry are four levels.
        let entry = r#"{"manager":"x","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":"#;
        let fields = nested_text(levels - 4);
        let body = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"q","managedFields":[{entry}{fields}}}]}}}}"#);
        decode(Types::builtin(), &configmap(), body.as_bytes(), media, FieldValidation::Strict)
    };
    for media in [MediaType::Json, MediaType::Yaml] {
        let taken = read(MAX, media).unwrap().value;
        // A list and a watch event around it are read by all who use serde_json.
        assert!(serde_json::from_str::<Value>(&json!({"items": [taken]}).to_string()).is_ok());
        for levels in [MAX + 1, 126, 200, 5000] {
            let refused = read(levels, media).unwrap_err();
            assert_eq!((refused.code, refused.reason), (400, "BadRequest"), "{levels}: {}", refused.message);
        }
    }
    assert!(read(MAX + 1, MediaType::Json).unwrap_err().message.contains("exceeded max depth"));
    for yaml in ["- ".repeat(10_000), "[".repeat(10_000), "a: &x\n  b: *x".into(), "{a: ".repeat(10_000)] {
        let refused = decode(Types::builtin(), &configmap(), yaml.as_bytes(), MediaType::Yaml, FieldValidation::Strict).unwrap_err();
        assert_eq!(refused.code, 400, "{}", refused.message);
    }
}

#[test]
fn d1_json_inside_protobuf_counts_with_what_is_around_it() {
    use crate::depth::{MAX, nested_text};
    fn varint(mut number: usize, out: &mut Vec<u8>) {
        while number > 127 {
            out.push(number as u8 | 128);
            number >>= 7;
        }
        out.push(number as u8);
    }
    fn field(number: usize, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        varint(number << 3 | 2, &mut out);
        varint(content.len(), &mut out);
        out.extend_from_slice(content);
        out
    }
    let body = |levels: usize| {
        let fields = field(7, &field(1, nested_text(levels - 4).as_bytes()));
        let entry = [field(1, b"x"), field(2, b"Update"), field(3, b"v1"), field(6, b"FieldsV1"), fields].concat();
        let configmap = field(1, &[field(1, b"q"), field(17, &entry)].concat());
        [&b"k8s\0"[..], &field(1, &[field(1, b"v1"), field(2, b"ConfigMap")].concat()), &field(2, &configmap)].concat()
    };
    let read = |levels| decode(Types::builtin(), &configmap(), &body(levels), MediaType::Protobuf, FieldValidation::Strict);
    assert!(read(MAX).unwrap().value["metadata"]["managedFields"][0]["fieldsV1"]["f:a"].is_object());
    for levels in [MAX + 1, 128, 100_000] {
        let refused = read(levels).unwrap_err();
        assert!(refused.code == 400 && refused.message.contains("exceeded max depth"), "{levels}: {}", refused.message);
    }
}
