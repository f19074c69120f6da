//! What a version has no field for and carries as JSON in an annotation. The text is the one Go writes, which others read
//! and compare: fields in the order of upstream's types, zero values where those are no pointers.

use serde_json::{Map, Value, json};

use crate::schema::{Text, canonical_quantity, canonical_text};

/// A field of the text, and where in the stored object its value is.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// JSON pointer within the stored object.
    pub(super) path: &'static str,
    pub(super) form: Form,
    pub(super) absent: Absent,
}

/// What a field holds.
pub(super) enum Form {
    Text,
    Integer,
    Quantity,
    Time,
    Labels,
    Texts,
    Object(&'static [Field]),
    Objects(&'static [Field]),
}

/// How a field without a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Absent {
    /// Not at all.
    Left,
    /// As the zero of its type, and read as that where it is missing.
    Zero,
    Null,
}

/// Always written.
pub(super) const fn always(name: &'static str, path: &'static str, form: Form) -> Field {
    Field { name, path, form, absent: Absent::Zero }
}

/// Written where there is a value.
pub(super) const fn maybe(name: &'static str, path: &'static str, form: Form) -> Field {
    Field { name, path, form, absent: Absent::Left }
}

/// Written as null where there is no value.
pub(super) const fn nullable(name: &'static str, path: &'static str, form: Form) -> Field {
    Field { name, path, form, absent: Absent::Null }
}

/// The text of one object.
pub(super) fn text(fields: &[Field], value: &Value) -> String {
    escaped(&written(fields, value))
}

/// The text of several.
pub(super) fn texts(fields: &[Field], values: &[Value]) -> String {
    escaped(&list(values.iter().map(|value| written(fields, value))))
}

/// What Go writes otherwise than others do, which can stand within strings only.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn written(fields: &[Field], value: &Value) -> String {
    let mut out = Vec::with_capacity(fields.len());
    for field in fields {
        let said = value.pointer(field.path).filter(|v| !v.is_null() && (field.absent != Absent::Left || **v != ""));
        let text = match (said, field.absent) {
            (Some(said), _) => field.form.written(said),
            (None, Absent::Left) => continue,
            (None, Absent::Null) => "null".to_owned(),
            (None, Absent::Zero) => field.form.written(&field.form.zero()),
        };
        out.push(format!("\"{}\":{text}", field.name));
    }
    format!("{{{}}}", out.join(","))
}

impl Form {
    fn written(&self, value: &Value) -> String {
        match (self, value) {
            (Self::Object(fields), value) => written(fields, value),
            (Self::Objects(fields), Value::Array(items)) => list(items.iter().map(|item| written(fields, item))),
            (_, value) => value.to_string(),
        }
    }

    fn zero(&self) -> Value {
        match self {
            Self::Text => "".into(),
            Self::Integer => 0.into(),
            Self::Quantity => "0".into(),
            Self::Time | Self::Labels | Self::Texts | Self::Objects(_) => Value::Null,
            Self::Object(_) => json!({}),
        }
    }

    /// The value as it is stored; `None` when it is of another type.
    fn read(&self, value: &Value) -> Option<Value> {
        let texts = |mut values: Box<dyn Iterator<Item = &Value> + '_>| values.all(Value::is_string);
        match (self, value) {
            (Self::Text, Value::String(_)) => Some(value.clone()),
            (Self::Integer, Value::Number(n)) => i32::try_from(n.as_i64()?).ok().map(Value::from),
            (Self::Quantity, Value::String(text)) => canonical_quantity(text).map(Value::from),
            (Self::Quantity, Value::Number(n)) => canonical_quantity(&n.to_string()).map(Value::from),
            (Self::Time, Value::String(text)) => Some(canonical_text(Text::Time, text).ok()?.unwrap_or_else(|| text.clone()).into()),
            (Self::Labels, Value::Object(map)) => texts(Box::new(map.values())).then(|| value.clone()),
            (Self::Texts, Value::Array(list)) => texts(Box::new(list.iter())).then(|| value.clone()),
            (Self::Object(fields), value) => object(fields, value),
            (Self::Objects(fields), Value::Array(items)) => items.iter().map(|item| object(fields, item)).collect(),
            _ => None,
        }
    }
}

/// Reads one object; `None` when that is not what the text holds.
pub(super) fn read(fields: &[Field], text: &str) -> Option<Value> {
    object(fields, &serde_json::from_str(text).ok()?)
}

/// Reads several.
pub(super) fn read_list(fields: &[Field], text: &str) -> Option<Vec<Value>> {
    match serde_json::from_str(text).ok()? {
        Value::Array(items) => items.iter().map(|item| object(fields, item)).collect(),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

fn object(fields: &[Field], value: &Value) -> Option<Value> {
    let (mut out, nothing) = (json!({}), Map::new());
    let said = if value.is_null() { &nothing } else { value.as_object()? };
    for field in fields {
        match (find(said, field.name), field.absent) {
            (Some(value), _) => set(&mut out, field.path, field.form.read(value)?),
            (None, Absent::Zero) => match &field.form {
                Form::Object(fields) => set(&mut out, field.path, object(fields, &Value::Null)?),
                form if !form.zero().is_null() => set(&mut out, field.path, form.zero()),
                _ => {}
            },
            (None, Absent::Left | Absent::Null) => {}
        }
    }
    Some(out)
}

/// As Go reads: a name in other letters counts where there is none in these.
fn find<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let other = || map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    map.get(name).or_else(other).filter(|value| !value.is_null())
}

/// Puts a value at a JSON pointer, with the objects it is in.
fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for step in path.split('/').skip(1) {
        at = &mut at[step];
    }
    *at = value;
}
