//! `FieldsV1`: nested objects whose keys are path elements; `.` says that the element itself is in
//! the set where longer paths are too.

use std::collections::btree_map::Entry;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::FieldSet;
use super::element::{PathElement, Scalar};

/// Why a value is no `FieldsV1`.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum MalformedFields {
    /// It is no object.
    #[error("fieldsV1 must be an object")]
    NoObject,
    /// What stands below an element is no object.
    #[error("fieldsV1: \"{key}\" must hold an object")]
    Below {
        /// The element's key.
        key: String,
    },
    /// A key names no element.
    #[error("fieldsV1: \"{key}\": {why}")]
    Element {
        /// The key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl FieldSet {
    /// Reads `FieldsV1`. Kinds of elements this version does not know are dropped.
    ///
    /// # Errors
    /// The first thing that is malformed.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, MalformedFields> {
        let Value::Object(map) = fields else { return Err(MalformedFields::NoObject) };
        read(map).map(|(set, _)| set)
    }

    /// Writes `FieldsV1`; one set has one form.
    pub fn to_fields_v1(&self) -> Value {
        self.write(false)
    }

    fn write(&self, with_self: bool) -> Value {
        let mut out = Map::new();
        if with_self {
            out.insert(".".into(), json!({}));
        }
        for member in &self.members {
            out.insert(key_of(member), json!({}));
        }
        for (element, child) in self.children.iter().filter(|(_, child)| !child.is_empty()) {
            out.insert(key_of(element), child.write(self.members.contains(element)));
        }
        out.into()
    }
}

/// The set below an element, and whether the element itself is in the set.
fn read(map: &Map<String, Value>) -> Result<(FieldSet, bool), MalformedFields> {
    let mut out = FieldSet::new();
    let mut is_member = false;
    for (key, below) in map {
        if key == "." {
            is_member = true;
            continue;
        }
        let Some(element) = element_of(key)? else { continue };
        let Value::Object(below) = below else { return Err(MalformedFields::Below { key: key.clone() }) };
        let (child, child_is_member) = read(below)?;
        if child_is_member {
            out.members.insert(element.clone());
        }
        if !child.is_empty() {
            match out.children.entry(element) {
                Entry::Vacant(place) => drop(place.insert(child)),
                Entry::Occupied(mut same) => same.get_mut().absorb(&child),
            }
        }
    }
    let leaf = out.is_empty();
    Ok((out, is_member || leaf))
}

fn key_of(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Key(keys) => {
            let map: Map<String, Value> = keys.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
            format!("k:{}", Value::Object(map))
        }
        PathElement::Value(value) => format!("v:{}", value.0),
        PathElement::Index(index) => format!("i:{index}"),
    }
}

/// `None` for kinds of elements this version does not know.
fn element_of(key: &str) -> Result<Option<PathElement>, MalformedFields> {
    let bad = |why: &str| MalformedFields::Element { key: key.to_owned(), why: why.to_owned() };
    let (kind, rest) = key.split_once(':').filter(|(kind, _)| kind.len() == 1).ok_or_else(|| bad("a kind and a colon must come first"))?;
    Ok(Some(match kind {
        "f" => PathElement::Field(rest.to_owned()),
        "v" => PathElement::Value(Scalar(serde_json::from_str(rest).map_err(|e| bad(&e.to_string()))?)),
        "k" => {
            let map: Map<String, Value> = serde_json::from_str(rest).map_err(|e| bad(&e.to_string()))?;
            let mut keys: Vec<(String, Scalar)> = map.into_iter().map(|(k, v)| (k, Scalar(v))).collect();
            keys.sort();
            PathElement::Key(keys)
        }
        "i" => PathElement::Index(rest.parse().map_err(|_| bad("an index is a whole number"))?),
        _ => return Ok(None),
    }))
}
