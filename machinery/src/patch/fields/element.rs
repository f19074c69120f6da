//! Elements of paths, their order and how people read them.

use std::cmp::Ordering;

use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PathElement {
    /// `f:name`: a field of an object or an entry of a map.
    Field(String),
    /// `k:{…}`: the item of a list with these keys, sorted by name.
    Key(Vec<(String, Scalar)>),
    /// `v:…`: this item of a set.
    Value(Scalar),
    /// `i:0`: the item of a list at this index.
    Index(i64),
}

/// A JSON value with a total order; numbers compare by value, so `1` and `1.0` are the same.
#[derive(Clone, Debug)]
pub struct Scalar(pub Value);

impl Scalar {
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i128(), b.as_i128()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => self.0.to_string().cmp(&other.0.to_string()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

/// A path as conflicts name it: `.spec.containers[name="web"].image`.
pub fn display_path(path: &[PathElement]) -> String {
    let one = |element: &PathElement| match element {
        PathElement::Field(name) => format!(".{name}"),
        PathElement::Key(keys) => format!("[{}]", keys.iter().map(|(k, v)| format!("{k}={}", v.0)).collect::<Vec<_>>().join(",")),
        PathElement::Value(value) => format!("[={}]", value.0),
        PathElement::Index(index) => format!("[{index}]"),
    };
    path.iter().map(one).collect()
}
