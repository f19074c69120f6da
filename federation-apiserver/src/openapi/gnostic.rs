//! An OpenAPI 2 document as protobuf, `openapi.v2.Document` of gnostic: the only form in which
//! client-go reads it. Field numbers are those of gnostic's `OpenAPIv2.proto`.

use serde_json::Value;

use super::wire::Shape::{Bool, Double, Int, Many, One, Text, Texts};
use super::wire::{Field, Message, any};

/// The document's bytes. What gnostic has no place for is left out.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    const FIELDS: &[Field] = &[
        ("swagger", 1, Text),
        ("info", 2, One(info)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, One(paths)),
        ("definitions", 9, One(schemas)),
        ("parameters", 10, One(parameters)),
        ("responses", 11, One(|v| Message::default().pairs(1, v, all, response))),
        ("security", 12, Many(security)),
        ("securityDefinitions", 13, One(|v| Message::default().pairs(1, v, all, security_definition))),
        ("tags", 14, Many(|v| Message::of(v, &[("name", 1, Text), ("description", 2, Text)], 4))),
        ("externalDocs", 15, One(external_docs)),
    ];
    Message::of(document, FIELDS, 16).0
}

fn all(_: &str) -> bool {
    true
}

fn info(v: &Value) -> Message {
    Message::of(v, &[("title", 1, Text), ("version", 2, Text), ("description", 3, Text), ("termsOfService", 4, Text)], 7)
}

fn external_docs(v: &Value) -> Message {
    Message::of(v, &[("description", 1, Text), ("url", 2, Text)], 3)
}

fn paths(v: &Value) -> Message {
    Message::of(v, &[], 1).pairs(2, v, |name| name.starts_with('/'), path_item)
}

fn path_item(v: &Value) -> Message {
    const FIELDS: &[Field] = &[
        ("$ref", 1, Text),
        ("get", 2, One(operation)),
        ("put", 3, One(operation)),
        ("post", 4, One(operation)),
        ("delete", 5, One(operation)),
        ("options", 6, One(operation)),
        ("head", 7, One(operation)),
        ("patch", 8, One(operation)),
        ("parameters", 9, Many(parameter_or_reference)),
    ];
    Message::of(v, FIELDS, 10)
}

fn operation(v: &Value) -> Message {
    const FIELDS: &[Field] = &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("externalDocs", 4, One(external_docs)),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Many(parameter_or_reference)),
        ("responses", 9, One(responses)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Bool),
        ("security", 12, Many(security)),
    ];
    Message::of(v, FIELDS, 13)
}

fn responses(v: &Value) -> Message {
    let codes = Message::default().pairs(1, v, |name| !name.starts_with("x-"), |v| reference_or(v, response));
    let Message(extensions) = Message::of(v, &[], 2);
    Message([codes.0, extensions].concat())
}

fn response(v: &Value) -> Message {
    const FIELDS: &[Field] = &[("description", 1, Text), ("schema", 2, One(|v| Message::wrap(1, &schema(v))))];
    Message::of(v, FIELDS, 5)
}

/// Field 2 is a reference, field 1 the thing itself.
fn reference_or(v: &Value, make: fn(&Value) -> Message) -> Message {
    match v.get("$ref") {
        Some(_) => Message::wrap(2, &Message::of(v, &[("$ref", 1, Text), ("description", 2, Text)], 0)),
        None => Message::wrap(1, &make(v)),
    }
}

fn parameters(v: &Value) -> Message {
    Message::default().pairs(1, v, all, parameter)
}

fn parameter_or_reference(v: &Value) -> Message {
    reference_or(v, parameter)
}

fn parameter(v: &Value) -> Message {
    const BODY: &[Field] =
        &[("description", 1, Text), ("name", 2, Text), ("in", 3, Text), ("required", 4, Bool), ("schema", 5, One(schema))];
    let plain = match v["in"].as_str().unwrap_or_default() {
        "body" => return Message::wrap(1, &Message::of(v, BODY, 6)),
        "header" => Message::wrap(1, &Message::of(v, &PLAIN, 22)),
        "formData" => Message::wrap(2, &Message::of(v, &OPTIONAL, 23)),
        "query" => Message::wrap(3, &Message::of(v, &OPTIONAL, 23)),
        _ => Message::wrap(4, &Message::of(v, &PLAIN, 22)),
    };
    Message::wrap(2, &plain)
}

/// Parameters in headers and paths.
const PLAIN: [Field; 21] = rest_of_parameter(5);
/// Parameters in queries and forms have `allowEmptyValue` as field 5, so the rest moves by one.
const OPTIONAL: [Field; 21] = rest_of_parameter(6);

const fn rest_of_parameter(first: u32) -> [Field; 21] {
    [
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", first, Text),
        ("format", first + 1, Text),
        ("items", first + 2, One(primitive_items)),
        ("collectionFormat", first + 3, Text),
        ("default", first + 4, One(any)),
        ("maximum", first + 5, Double),
        ("exclusiveMaximum", first + 6, Bool),
        ("minimum", first + 7, Double),
        ("exclusiveMinimum", first + 8, Bool),
        ("maxLength", first + 9, Int),
        ("minLength", first + 10, Int),
        ("pattern", first + 11, Text),
        ("maxItems", first + 12, Int),
        ("minItems", first + 13, Int),
        ("uniqueItems", first + 14, Bool),
        ("enum", first + 15, Many(any)),
        ("multipleOf", first + 16, Double),
    ]
}

fn primitive_items(v: &Value) -> Message {
    Message::of(v, &[("type", 1, Text), ("format", 2, Text), ("items", 3, One(primitive_items))], 18)
}

fn schemas(v: &Value) -> Message {
    Message::default().pairs(1, v, all, schema)
}

fn schema(v: &Value) -> Message {
    const FIELDS: &[Field] = &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, One(any)),
        ("multipleOf", 6, Double),
        ("maximum", 7, Double),
        ("exclusiveMaximum", 8, Bool),
        ("minimum", 9, Double),
        ("exclusiveMinimum", 10, Bool),
        ("maxLength", 11, Int),
        ("minLength", 12, Int),
        ("pattern", 13, Text),
        ("maxItems", 14, Int),
        ("minItems", 15, Int),
        ("uniqueItems", 16, Bool),
        ("maxProperties", 17, Int),
        ("minProperties", 18, Int),
        ("required", 19, Texts),
        ("enum", 20, Many(any)),
        ("additionalProperties", 21, One(additional_properties)),
        ("type", 22, One(type_item)),
        ("items", 23, One(items)),
        ("allOf", 24, Many(schema)),
        ("properties", 25, One(schemas)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Bool),
        ("externalDocs", 29, One(external_docs)),
        ("example", 30, One(any)),
    ];
    Message::of(v, FIELDS, 31)
}

fn additional_properties(v: &Value) -> Message {
    let mut out = Message::default();
    match v {
        Value::Bool(allowed) => out.number(2, u64::from(*allowed)),
        _ => out.message(1, &schema(v)),
    }
    out
}

/// One type or a list of them.
fn type_item(v: &Value) -> Message {
    let mut out = Message::default();
    match v {
        Value::String(one) => out.text(1, one),
        _ => out.field(1, Texts, v),
    }
    out
}

/// One schema or a list of them.
fn items(v: &Value) -> Message {
    let mut out = Message::default();
    match v {
        Value::Array(_) => out.field(1, Many(schema), v),
        _ => out.message(1, &schema(v)),
    }
    out
}

fn security(v: &Value) -> Message {
    Message::default().pairs(1, v, all, |scopes| {
        let mut out = Message::default();
        out.field(1, Texts, scopes);
        out
    })
}

fn security_definition(v: &Value) -> Message {
    const KEY: &[Field] = &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)];
    const BASIC: &[Field] = &[("type", 1, Text), ("description", 2, Text)];
    match v["type"].as_str() {
        Some("basic") => Message::wrap(1, &Message::of(v, BASIC, 3)),
        Some("apiKey") => Message::wrap(2, &Message::of(v, KEY, 5)),
        _ => Message::default(),
    }
}
