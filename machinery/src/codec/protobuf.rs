//! Kubernetes' protobuf bodies: the magic `k8s\0`, an envelope that names the kind, and one message
//! decoded by the type tables.
//!
//! The wire format is protobuf's: <https://protobuf.dev/programming-guides/encoding/>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::wire::{Reader, Wire};
use crate::depth;
use crate::schema::{Field, Fields, Shape, Text, TypeId, Types};

const MAGIC: &[u8] = b"k8s\0";

/// Decodes a body into JSON with `apiVersion` and `kind`; the result is not yet conformed.
///
/// # Errors
/// One sentence: what is not as it should be.
pub(super) fn decode(types: &Types, body: &[u8]) -> Result<Value, String> {
    let envelope =
        body.strip_prefix(MAGIC).ok_or("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(meta)) => {
                let mut reader = Reader::new(meta);
                while let Some((number, wire)) = reader.next()? {
                    match (number, wire) {
                        (1, Wire::Bytes(b)) => api_version = text(b)?,
                        (2, Wire::Bytes(b)) => kind = text(b)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(b)) => raw = b,
            (3, Wire::Bytes(encoding)) if !encoding.is_empty() => return Err("encoded bodies are not supported inside protobuf".into()),
            _ => {}
        }
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let shared = |kind: &str| types.kind("", "v1", kind).filter(|_| kind.ends_with("Options"));
    let id = types.kind(group, version, &kind).or_else(|| shared(&kind));
    let id = id.ok_or_else(|| format!("no kind {kind:?} is registered for version {api_version:?}"))?;
    let mut value = Decoder { types }.message(id, raw, 0)?;
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    depth::check(&value).map_err(|e| e.to_string())?;
    Ok(value)
}

fn text(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a string is not UTF-8".into())
}

struct Decoder<'a> {
    types: &'a Types,
}

impl Decoder<'_> {
    fn message(&self, id: TypeId, bytes: &[u8], depth: usize) -> Result<Value, String> {
        let mut out = Map::new();
        if let Shape::Object(fields) = &self.types.get(id).shape {
            self.fields(fields, None, bytes, &mut out, depth)?;
        }
        Ok(Value::Object(out))
    }

    /// Reads a message into `out`; `within` is the number of the embedded message being read.
    fn fields(&self, fields: &Fields, within: Option<u32>, bytes: &[u8], out: &mut Map<String, Value>, depth: usize) -> Result<(), String> {
        depth::enter(depth).map_err(|e| e.to_string())?;
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            if let Some(field) = fields.fields.iter().find(|f| f.proto == Some(number) && f.proto_within == within) {
                self.field(field, wire, out, depth).map_err(|e| format!("{}: {e}", field.name))?;
            } else if within.is_none()
                && let Wire::Bytes(bytes) = wire
                && fields.fields.iter().any(|f| f.proto_within == Some(number))
            {
                self.fields(fields, Some(number), bytes, out, depth + 1)?;
            }
        }
        Ok(())
    }

    fn field(&self, field: &Field, wire: Wire<'_>, out: &mut Map<String, Value>, depth: usize) -> Result<(), String> {
        match &self.types.get(field.type_id).shape {
            Shape::List { items, .. } => {
                let Value::Array(list) = out.entry(&field.name).or_insert_with(|| json!([])) else { return Ok(()) };
                match (wire, &self.types.get(*items).shape) {
                    // Packed numbers.
                    (Wire::Bytes(bytes), Shape::Integer { .. } | Shape::Boolean) => {
                        let mut reader = Reader::new(bytes);
                        while !reader.is_empty() {
                            list.push(self.value(*items, Wire::Varint(reader.varint()?), depth)?);
                        }
                    }
                    (wire, _) => list.push(self.value(*items, wire, depth)?),
                }
            }
            Shape::Map { values, .. } => {
                let Wire::Bytes(bytes) = wire else { return Err(wrong_wire()) };
                let (key, value) = self.entry(*values, bytes, depth)?;
                if let Value::Object(map) = out.entry(&field.name).or_insert_with(|| json!({})) {
                    map.insert(key, value);
                }
            }
            Shape::Object(inner) => {
                let Wire::Bytes(bytes) = wire else { return Err(wrong_wire()) };
                // Protobuf merges a message that comes in several pieces.
                if let Value::Object(map) = out.entry(&field.name).or_insert_with(|| json!({})) {
                    self.fields(inner, None, bytes, map, depth + 1)?;
                }
            }
            _ => {
                let value = self.value(field.type_id, wire, depth)?;
                if !value.is_null() {
                    out.insert(field.name.clone(), value);
                }
            }
        }
        Ok(())
    }

    fn entry(&self, values: TypeId, bytes: &[u8], depth: usize) -> Result<(String, Value), String> {
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match (number, wire) {
                (1, Wire::Bytes(b)) => key = text(b)?,
                (2, wire) => value = Some(self.value(values, wire, depth)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.value(values, Wire::Bytes(&[]), depth)?,
        };
        Ok((key, value))
    }

    fn value(&self, id: TypeId, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
        let ty = self.types.get(id);
        match (&ty.shape, wire) {
            (Shape::Boolean, Wire::Varint(n)) => Ok((n != 0).into()),
            // Negative numbers of either width travel as 64 bits; Go cuts an int32 off.
            (Shape::Integer { wide: true }, Wire::Varint(n)) => Ok(n.cast_signed().into()),
            (Shape::Integer { wide: false }, Wire::Varint(n)) => Ok(((n & 0xffff_ffff) as u32).cast_signed().into()),
            (Shape::Number, Wire::Fixed64(n)) => Ok(f64::from_bits(n).into()),
            (Shape::Number, Wire::Fixed32(n)) => Ok(f32::from_bits(n).into()),
            (Shape::String(Text::Plain), Wire::Bytes(b)) => text(b).map(Value::from),
            (Shape::String(Text::Bytes), Wire::Bytes(b)) => Ok(STANDARD.encode(b).into()),
            (Shape::String(Text::Time), Wire::Bytes(b)) => time(b, 0),
            (Shape::String(Text::MicroTime), Wire::Bytes(b)) => time(b, 6),
            (Shape::IntOrString, Wire::Bytes(b)) => int_or_string(b),
            (Shape::Quantity, Wire::Bytes(b)) => Ok(first_text(b)?.filter(|s| !s.is_empty()).unwrap_or_else(|| "0".into()).into()),
            (Shape::Any, Wire::Bytes(b)) => embedded_json(b),
            (Shape::Object(_), Wire::Bytes(b)) if depth < depth::MAX => self.message(id, b, depth + 1),
            // A named list in a map, such as `ExtraValue`, is a message with its items under 1.
            (Shape::List { items, .. }, Wire::Bytes(b)) if depth < depth::MAX => {
                let (mut list, mut reader) = (Vec::new(), Reader::new(b));
                while let Some((number, wire)) = reader.next()? {
                    if number == 1 {
                        list.push(self.value(*items, wire, depth + 1)?);
                    }
                }
                Ok(Value::Array(list))
            }
            _ => Err(wrong_wire()),
        }
    }
}

fn wrong_wire() -> String {
    "wrong wire type".into()
}

/// `Time` and `MicroTime`: seconds and nanoseconds since the epoch; an empty message is no time.
fn time(bytes: &[u8], digits: u8) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(n)) => seconds = n.cast_signed(),
            (2, Wire::Varint(n)) => nanos = ((n & 0xffff_ffff) as u32).cast_signed(),
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let instant = Timestamp::new(seconds, nanos).map_err(|_| "time out of range")?;
    Ok(crate::schema::format_time(instant, digits).into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number_value, mut text_value) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(n)) => is_text = n == 1,
            (2, Wire::Varint(n)) => number_value = ((n & 0xffff_ffff) as u32).cast_signed(),
            (3, Wire::Bytes(b)) => text_value = text(b)?,
            _ => {}
        }
    }
    Ok(if is_text { text_value.into() } else { number_value.into() })
}

/// The string under number 1 (`Quantity`).
fn first_text(bytes: &[u8]) -> Result<Option<String>, String> {
    let (mut out, mut reader) = (None, Reader::new(bytes));
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(b)) = (number, wire) {
            out = Some(text(b)?);
        }
    }
    Ok(out)
}

/// JSON under number 1 (`FieldsV1`, `RawExtension`).
fn embedded_json(bytes: &[u8]) -> Result<Value, String> {
    let (mut out, mut reader) = (Value::Null, Reader::new(bytes));
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(b)) = (number, wire) {
            depth::check_text(b).map_err(|e| e.to_string())?;
            out = serde_json::from_slice(b).map_err(|e| format!("embedded JSON: {e}"))?;
        }
    }
    Ok(out)
}

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;
