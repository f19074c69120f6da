//! OpenAPI v2 as protobuf: the messages of gnostic's `openapi.v2`, as far as our documents need them.
//!
//! Field numbers are those of `OpenAPIv2.proto`; a table per message names them.

use serde_json::{Map, Value};

/// A message being written.
#[derive(Default)]
struct Message(Vec<u8>);

/// How a JSON property becomes a field.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Flag,
    Texts,
    /// `Any` with the JSON as YAML.
    Any,
    One(fn(&Value) -> Message),
    Each(fn(&Value) -> Message),
}

/// JSON name, field number, form.
type Table = &'static [(&'static str, u32, Form)];

/// The whole document.
pub(super) fn document(value: &Value) -> Vec<u8> {
    const TABLE: Table = &[
        ("swagger", 1, Form::Text),
        ("info", 2, Form::One(info)),
        ("paths", 8, Form::One(paths)),
        ("definitions", 9, Form::One(named_schemas)),
    ];
    by_table(value, TABLE, None).0
}

fn info(value: &Value) -> Message {
    by_table(value, &[("title", 1, Form::Text), ("version", 2, Form::Text)], None)
}

fn paths(value: &Value) -> Message {
    named(value, 2, path_item)
}

/// `Definitions` and `Properties` have the same shape.
fn named_schemas(value: &Value) -> Message {
    named(value, 1, schema)
}

fn path_item(value: &Value) -> Message {
    const TABLE: Table = &[
        ("get", 2, Form::One(operation)),
        ("put", 3, Form::One(operation)),
        ("post", 4, Form::One(operation)),
        ("delete", 5, Form::One(operation)),
        ("patch", 8, Form::One(operation)),
        ("parameters", 9, Form::Each(parameter)),
    ];
    by_table(value, TABLE, Some(10))
}

fn operation(value: &Value) -> Message {
    const TABLE: Table = &[
        ("tags", 1, Form::Texts),
        ("operationId", 5, Form::Text),
        ("produces", 6, Form::Texts),
        ("consumes", 7, Form::Texts),
        ("parameters", 8, Form::Each(parameter)),
        ("responses", 9, Form::One(responses)),
        ("schemes", 10, Form::Texts),
    ];
    by_table(value, TABLE, Some(13))
}

/// `ParametersItem` around `Parameter` around the form for where the parameter stands.
fn parameter(value: &Value) -> Message {
    const BODY: Table = &[("name", 2, Form::Text), ("in", 3, Form::Text), ("required", 4, Form::Flag), ("schema", 5, Form::One(schema))];
    const QUERY: Table = &[
        ("required", 1, Form::Flag),
        ("in", 2, Form::Text),
        ("name", 4, Form::Text),
        ("type", 6, Form::Text),
        ("uniqueItems", 20, Form::Flag),
    ];
    const PATH: Table = &[
        ("required", 1, Form::Flag),
        ("in", 2, Form::Text),
        ("name", 4, Form::Text),
        ("type", 5, Form::Text),
        ("uniqueItems", 19, Form::Flag),
    ];
    let inner = match value["in"].as_str() {
        Some("body") => wrap(1, &by_table(value, BODY, None)),
        Some("path") => wrap(2, &wrap(4, &by_table(value, PATH, None))),
        _ => wrap(2, &wrap(3, &by_table(value, QUERY, None))),
    };
    wrap(1, &inner)
}

fn responses(value: &Value) -> Message {
    named(value, 1, |response| wrap(1, &by_table(response, &[("description", 1, Form::Text), ("schema", 2, Form::One(schema_item))], None)))
}

fn schema_item(value: &Value) -> Message {
    wrap(1, &schema(value))
}

fn schema(value: &Value) -> Message {
    const TABLE: Table = &[
        ("$ref", 1, Form::Text),
        ("format", 2, Form::Text),
        ("description", 4, Form::Text),
        ("default", 5, Form::Any),
        ("required", 19, Form::Texts),
        ("additionalProperties", 21, Form::One(schema_item)),
        ("type", 22, Form::One(type_item)),
        ("items", 23, Form::One(schema_item)),
        ("properties", 25, Form::One(named_schemas)),
    ];
    by_table(value, TABLE, Some(31))
}

fn type_item(value: &Value) -> Message {
    let mut out = Message::default();
    out.text(1, value);
    out
}

/// Writes an object by its table; `x-…` properties go to the field `extensions`, as `NamedAny`.
fn by_table(value: &Value, table: Table, extensions: Option<u32>) -> Message {
    let mut out = Message::default();
    for (name, number, form) in table {
        let Some(value) = value.get(name) else { continue };
        match form {
            Form::Text => out.text(*number, value),
            Form::Flag => out.flag(*number, value == &Value::Bool(true)),
            Form::Texts => value.as_array().into_iter().flatten().for_each(|v| out.text(*number, v)),
            Form::Any => out.message(*number, &any(value)),
            Form::One(write) => out.message(*number, &write(value)),
            Form::Each(write) => value.as_array().into_iter().flatten().for_each(|v| out.message(*number, &write(v))),
        }
    }
    let none = Map::new();
    if let Some(number) = extensions {
        for (name, value) in value.as_object().unwrap_or(&none).iter().filter(|(k, _)| k.starts_with("x-")) {
            out.message(number, &name_and_value(name, &any(value)));
        }
    }
    out
}

/// An object as repeated messages of name and value.
fn named(value: &Value, number: u32, write: fn(&Value) -> Message) -> Message {
    let mut out = Message::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        out.message(number, &name_and_value(name, &write(value)));
    }
    out
}

fn name_and_value(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.bytes(1, name.as_bytes());
    out.message(2, value);
    out
}

/// JSON is YAML.
fn any(value: &Value) -> Message {
    let mut out = Message::default();
    out.bytes(2, value.to_string().as_bytes());
    out
}

fn wrap(number: u32, inner: &Message) -> Message {
    let mut out = Message::default();
    out.message(number, inner);
    out
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u32, value: &Value) {
        self.bytes(number, value.as_str().unwrap_or_default().as_bytes());
    }

    fn flag(&mut self, number: u32, set: bool) {
        if set {
            self.varint(u64::from(number) << 3);
            self.varint(1);
        }
    }

    fn message(&mut self, number: u32, inner: &Self) {
        self.bytes(number, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The messages under a path of field numbers, the first one on every level but the last.
    fn all(message: &[u8], path: &[u32]) -> Vec<Vec<u8>> {
        let [number, rest @ ..] = path else { return vec![message.to_vec()] };
        let here = crate::codec::wire_fields(message).unwrap();
        let mut found = here.into_iter().filter(|(n, _)| n == number).map(|(_, bytes)| bytes.to_vec());
        if rest.is_empty() { found.collect() } else { all(&found.next().expect("the field is there"), rest) }
    }

    fn at(message: &[u8], path: &[u32]) -> Vec<u8> {
        all(message, path).swap_remove(0)
    }

    #[test]
    fn every_part_kubectl_reads_stands_under_its_number() {
        let bytes = document(&json!({
            "swagger": "2.0",
            "paths": {"/api/v1/things": {"patch": {
                "operationId": "patchThing",
                "parameters": [
                    {"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Thing"}},
                    {"name": "fieldValidation", "in": "query", "type": "string", "uniqueItems": true},
                    {"name": "name", "in": "path", "type": "string", "required": true},
                ],
                "responses": {"200": {"description": "OK", "schema": {"type": "string"}}},
                "x-kubernetes-group-version-kind": {"group": "", "kind": "Thing", "version": "v1"},
            }}},
            "definitions": {"Thing": {
                "type": "object", "required": ["a", "b"],
                "properties": {"list": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}},
                "additionalProperties": {"type": "integer"},
            }},
        }));
        assert_eq!(at(&bytes, &[1]), b"2.0");
        assert_eq!(at(&bytes, &[8, 2, 1]), b"/api/v1/things");
        let patch = at(&bytes, &[8, 2, 2, 8]);
        assert_eq!(at(&patch, &[5]), b"patchThing");
        let parameters = all(&patch, &[8]);
        assert_eq!(at(&parameters[0], &[1, 1, 5, 1]), b"#/definitions/Thing");
        let query = at(&parameters[1], &[1, 2, 3]);
        assert_eq!((at(&query, &[4]), at(&query, &[6])), (b"fieldValidation".to_vec(), b"string".to_vec()));
        assert_eq!(at(&parameters[2], &[1, 2, 4, 5]), b"string");
        assert_eq!(at(&patch, &[9, 1, 1]), b"200");
        assert_eq!(at(&patch, &[9, 1, 2, 1, 2, 1, 22, 1]), b"string");
        assert_eq!(at(&patch, &[13, 1]), b"x-kubernetes-group-version-kind");
        assert_eq!(at(&patch, &[13, 2, 2]), br#"{"group":"","kind":"Thing","version":"v1"}"#);
        let thing = at(&bytes, &[9, 1, 2]);
        assert_eq!(all(&thing, &[19]), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(at(&thing, &[25, 1, 2, 23, 1, 22, 1]), b"string");
        assert_eq!(at(&thing, &[25, 1, 2, 31, 1]), b"x-kubernetes-list-type");
        assert_eq!(at(&thing, &[21, 1, 22, 1]), b"integer");
    }
}
