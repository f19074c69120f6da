//! Brings JSON into the form of its type, as decoding into a Go struct and encoding it again would:
//! unknown fields go, `null` and the zero values that say nothing go, quantities become strings.

use serde_json::{Map, Value};

use super::{Field, Fields, Shape, Text, TypeId, Types};
use crate::clip;

/// Most findings of each kind that are kept.
const MAX_FINDINGS: usize = 100;
/// Most bytes that are shown of a name in a path.
const MAX_NAME: usize = 253;

/// What was found on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conformed {
    /// Paths of fields the type does not have, such as `spec.ports[0].colour`.
    pub unknown: Vec<String>,
    /// Values of the wrong JSON type, each as one sentence. They are left as they are.
    pub wrong: Vec<String>,
}

/// Conforms `value` to its type and says what did not fit.
pub fn conform(types: &Types, id: TypeId, value: &mut Value) -> Conformed {
    let mut walk = Walk { types, path: Vec::new(), found: Conformed::default(), owner: "" };
    walk.value(id, value);
    walk.found
}

/// Removes unknown fields and what says nothing; leaves values of the wrong type alone.
pub fn prune(types: &Types, id: TypeId, value: &mut Value) {
    conform(types, id, value);
}

enum Step {
    /// A field.
    Name(String),
    /// A key of a map.
    Key(String),
    /// An item of a list.
    Index(usize),
}

struct Walk<'a> {
    types: &'a Types,
    path: Vec<Step>,
    found: Conformed,
    /// Name of the innermost named object, for messages.
    owner: &'a str,
}

impl<'a> Walk<'a> {
    fn value(&mut self, id: TypeId, value: &mut Value) {
        let ty = self.types.get(id);
        match (&ty.shape, &mut *value) {
            (Shape::Any, _)
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::String(Text::Plain), Value::String(_))
            | (Shape::IntOrString, Value::String(_))
            | (Shape::Number, Value::Number(_)) => {}
            (Shape::Quantity, Value::String(s)) => match super::quantity::canonical(s) {
                Some(canonical) => *s = canonical,
                None => self.wrong(&format!("quantities must match the regular expression '{}'", super::quantity::PATTERN)),
            },
            (Shape::Quantity, Value::Number(n)) => match super::quantity::canonical(&n.to_string()) {
                Some(canonical) => *value = canonical.into(),
                None => self.wrong(&format!("quantities must match the regular expression '{}'", super::quantity::PATTERN)),
            },
            (Shape::Integer { wide: true }, Value::Number(n)) if n.as_i64().is_some() => {}
            (Shape::Integer { wide: false } | Shape::IntOrString, Value::Number(n))
                if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            (Shape::String(kind), Value::String(s)) => match super::text::canonical(*kind, s) {
                Ok(Some(canonical)) => *s = canonical,
                Ok(None) => {}
                Err(why) => self.wrong(&why.to_string()),
            },
            (Shape::List { items, .. }, Value::Array(list)) => {
                let items = *items;
                for (index, item) in list.iter_mut().enumerate() {
                    if item.is_null() {
                        *item = self.zero(items);
                    }
                    self.path.push(Step::Index(index));
                    self.value(items, item);
                    self.path.pop();
                }
            }
            (Shape::Map { values, .. }, Value::Object(map)) => {
                let (values, nullable) = (*values, self.null_is_zero(*values));
                if !nullable {
                    map.retain(|_, v| !v.is_null());
                }
                for (key, item) in map.iter_mut() {
                    if item.is_null() {
                        *item = "".into();
                    }
                    self.path.push(Step::Key(key.clone()));
                    self.value(values, item);
                    self.path.pop();
                }
            }
            (Shape::Object(fields), Value::Object(map)) => {
                let outer = self.owner;
                if !ty.name.is_empty() {
                    self.owner = &ty.name;
                }
                self.object(fields, map);
                self.owner = outer;
            }
            (_, Value::Null) => {}
            (shape, value) => {
                if self.found.wrong.len() >= MAX_FINDINGS {
                    return;
                }
                let (found, wanted) = (kind_of(value), self.name_of(id, shape));
                let owner = self.owner.rsplit('.').next().unwrap_or_default();
                let path = self.path_of(|step| matches!(step, Step::Name(_)));
                self.found.wrong.push(format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}"));
            }
        }
    }

    /// What an item of a list reads as that is `null`: in Go it is left as it was made.
    fn zero(&self, id: TypeId) -> Value {
        match &self.types.get(id).shape {
            Shape::String(Text::Plain) => "".into(),
            Shape::Boolean => false.into(),
            Shape::Integer { .. } | Shape::Number | Shape::IntOrString => 0.into(),
            Shape::Quantity => "0".into(),
            Shape::Object(_) => Value::Object(Map::new()),
            Shape::Any | Shape::String(_) | Shape::List { .. } | Shape::Map { .. } => Value::Null,
        }
    }

    /// A map of strings keeps an entry whose value is `null`, as the empty string.
    fn null_is_zero(&self, values: TypeId) -> bool {
        matches!(self.types.get(values).shape, Shape::String(_))
    }

    fn object(&mut self, fields: &'a Fields, map: &mut Map<String, Value>) {
        let unknown: Vec<String> = map.keys().filter(|k| fields.get(k).is_none()).cloned().collect();
        for key in unknown {
            map.remove(&key);
            if self.found.unknown.len() < MAX_FINDINGS {
                self.path.push(Step::Name(key));
                let path = self.path();
                self.found.unknown.push(path);
                self.path.pop();
            }
        }
        for (key, value) in map.iter_mut() {
            let Some(field) = fields.get(key) else { continue };
            self.path.push(Step::Name(key.clone()));
            self.value(field.type_id, value);
            self.path.pop();
        }
        map.retain(|key, value| fields.get(key).is_some_and(|field| !self.says_nothing(field, value)));
    }

    fn says_nothing(&self, field: &Field, value: &Value) -> bool {
        if value.is_null() {
            return true;
        }
        field.omit_zero
            && match value {
                Value::String(s) => s.is_empty(),
                Value::Bool(b) => !b,
                Value::Number(n) => n.as_i64() == Some(0) && !matches!(self.types.get(field.type_id).shape, Shape::IntOrString),
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty() && matches!(self.types.get(field.type_id).shape, Shape::Map { .. }),
                Value::Null => true,
            }
    }

    /// The type as Go would write it.
    fn name_of(&self, id: TypeId, shape: &Shape) -> String {
        let simple = match shape {
            Shape::Any => "any",
            Shape::Boolean => "bool",
            Shape::Integer { wide: false } => "int32",
            Shape::Integer { wide: true } => "int64",
            Shape::Number => "float64",
            Shape::String(Text::Plain) => "string",
            Shape::String(Text::Bytes) => "[]uint8",
            Shape::String(Text::Time) => "Time",
            Shape::String(Text::MicroTime) => "MicroTime",
            Shape::IntOrString => "intstr.IntOrString",
            Shape::Quantity => "resource.Quantity",
            Shape::List { items, .. } => return format!("[]{}", self.name_of(*items, &self.types.get(*items).shape)),
            Shape::Map { values, .. } => return format!("map[string]{}", self.name_of(*values, &self.types.get(*values).shape)),
            Shape::Object(_) => {
                let name = &self.types.get(id).name;
                let from = name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
                return name[from..].to_owned();
            }
        };
        simple.to_owned()
    }

    fn wrong(&mut self, why: &str) {
        if self.found.wrong.len() >= MAX_FINDINGS {
            return;
        }
        let message = format!("{}: {why}", self.path());
        self.found.wrong.push(message);
    }

    fn path(&self) -> String {
        self.path_of(|_| true)
    }

    /// The path made of some of its steps; Go's messages name fields only.
    fn path_of(&self, keep: impl Fn(&Step) -> bool) -> String {
        let mut out = String::new();
        for step in self.path.iter().filter(|s| keep(s)) {
            match step {
                Step::Name(name) | Step::Key(name) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(&clip::shown(name, MAX_NAME));
                }
                Step::Index(index) => {
                    out.push_str(&format!("[{index}]"));
                }
            }
        }
        out
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
#[path = "conform_tests.rs"]
mod tests;
