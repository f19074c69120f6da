//! Writing protobuf by field tables.

use serde_json::Value;

/// A message under construction.
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

/// How a JSON value becomes a field.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// `string`.
    Text,
    /// `repeated string`.
    Texts,
    /// `bool`.
    Bool,
    /// `int64`.
    Int,
    /// `double`.
    Double,
    /// A message that this function makes.
    One(fn(&Value) -> Message),
    /// A repeated message: this function makes each item of the list.
    Many(fn(&Value) -> Message),
}

/// A field: JSON name, number, shape.
pub(super) type Field = (&'static str, u32, Shape);

impl Message {
    /// An object's fields by a table, in its order; then its `x-` keys under the number `extensions`.
    pub(super) fn of(object: &Value, fields: &[Field], extensions: u32) -> Self {
        let mut out = Self::default();
        for (name, number, shape) in fields {
            if let Some(value) = object.get(*name) {
                out.field(*number, *shape, value);
            }
        }
        for (name, value) in entries(object).filter(|(name, _)| name.starts_with("x-")) {
            out.message(extensions, &named(name, &any(value)));
        }
        out
    }

    /// A map as repeated pairs of name and message under one number.
    pub(super) fn pairs(mut self, number: u32, object: &Value, keep: fn(&str) -> bool, make: fn(&Value) -> Self) -> Self {
        for (name, value) in entries(object).filter(|(name, _)| keep(name)) {
            self.message(number, &named(name, &make(value)));
        }
        self
    }

    /// A message with one field.
    pub(super) fn wrap(number: u32, inner: &Self) -> Self {
        let mut out = Self::default();
        out.message(number, inner);
        out
    }

    pub(super) fn field(&mut self, number: u32, shape: Shape, value: &Value) {
        let items = || value.as_array().into_iter().flatten();
        match shape {
            Shape::Text => self.text(number, value.as_str().unwrap_or_default()),
            Shape::Texts => items().for_each(|v| self.bytes(number, v.as_str().unwrap_or_default().as_bytes())),
            Shape::Bool if value == &Value::Bool(true) => self.number(number, 1),
            Shape::Int => match value.as_i64() {
                Some(0) | None => {}
                Some(n) => self.number(number, n.cast_unsigned()),
            },
            Shape::Double => {
                let n = value.as_f64().unwrap_or_default();
                if n != 0.0 {
                    self.tag(number, 1);
                    self.0.extend(n.to_le_bytes());
                }
            }
            Shape::One(make) => self.message(number, &make(value)),
            Shape::Many(make) => items().for_each(|v| self.message(number, &make(v))),
            Shape::Bool => {}
        }
    }

    /// A string; the empty one is the default and left out.
    pub(super) fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(number, text.as_bytes());
        }
    }

    pub(super) fn message(&mut self, number: u32, inner: &Self) {
        self.bytes(number, &inner.0);
    }

    /// A varint field.
    pub(super) fn number(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.varint(u64::from(number) << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// A pair of name and message.
fn named(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.text(1, name);
    out.message(2, value);
    out
}

/// A value of any kind, as YAML text; JSON is YAML.
pub(super) fn any(value: &Value) -> Message {
    let mut out = Message::default();
    out.text(2, &format!("{value}\n"));
    out
}
