//! Whether an applied configuration can be owned field by field.

use std::collections::BTreeSet;

use serde_json::Value;

use super::typed::{Kind, Place};
use crate::clip;
use crate::patch::fields::display_path;
use crate::schema::Shape;

/// Most bytes that are shown of a name.
const MAX_NAME: usize = 253;
/// Most faults that are told.
const MAX_FAULTS: usize = 100;

fn tell(faults: &mut Vec<String>, fault: String) {
    if faults.len() < MAX_FAULTS {
        faults.push(fault);
    }
}

impl Place<'_> {
    /// What is wrong with a configuration: fields the schema does not declare, values of the wrong
    /// kind, list items that cannot be told apart. Each with its path.
    pub(super) fn faults(self, value: &Value) -> Vec<String> {
        let mut out = Vec::new();
        self.find_faults(value, "", &mut out);
        out
    }

    fn find_faults(self, value: &Value, path: &str, out: &mut Vec<String>) {
        if value.is_null() {
            return;
        }
        if let Some(wanted) = self.unfit(value) {
            tell(out, format!("{path}: expected {wanted}, got {value}"));
            return;
        }
        match value {
            Value::Object(map) => {
                let declared = self.id.is_some_and(|id| matches!(self.types.get(id).shape, Shape::Object(_)));
                for (name, below) in map {
                    let path = format!("{path}.{}", clip::shown(name, MAX_NAME));
                    if declared && self.field(name).is_none() {
                        tell(out, format!("{path}: field not declared in schema"));
                    } else {
                        self.entry(name).find_faults(below, &path, out);
                    }
                }
            }
            Value::Array(list) => {
                let mut seen = BTreeSet::new();
                for (i, item) in list.iter().enumerate() {
                    let Kind::List(keys) = self.kind(value) else {
                        self.items().find_faults(item, &format!("{path}[{i}]"), out);
                        continue;
                    };
                    match self.element(keys, item) {
                        Err(why) => tell(out, format!("{path}: element {i}: {why}")),
                        Ok(element) => {
                            let at = display_path(std::slice::from_ref(&element));
                            self.items().find_faults(item, &format!("{path}{at}"), out);
                            if !seen.insert(element) {
                                tell(out, format!("{path}: duplicate entries for key {at}"));
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// What the schema wants here, if the value is of another kind.
    fn unfit(self, value: &Value) -> Option<&'static str> {
        let shape = &self.types.get(self.id?).shape;
        let (fits, wanted) = match shape {
            Shape::Any => (true, ""),
            Shape::Boolean => (value.is_boolean(), "boolean"),
            Shape::Integer { .. } | Shape::Number => (value.is_number(), "numeric (int or float)"),
            Shape::String(_) => (value.is_string(), "string"),
            Shape::IntOrString | Shape::Quantity => (value.is_string() || value.is_number(), "string or number"),
            Shape::List { .. } => (value.is_array(), "list"),
            Shape::Map { .. } | Shape::Object(_) => (value.is_object(), "map"),
        };
        (!fits).then_some(wanted)
    }
}
