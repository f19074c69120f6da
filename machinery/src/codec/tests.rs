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
    for broken in ["", "{", "[]", "3", "{} {}", "null"] {
        assert_eq!(json_body(broken, FieldValidation::Ignore).unwrap_err().code, 400, "{broken}");
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
