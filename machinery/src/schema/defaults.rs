//! Defaulting: the defaults of the type tables, then what only code can say, kind by kind.
//!
//! The published OpenAPI documents carry few of the defaults kube-apiserver applies; `FACTS` holds
//! the others as facts of the API, and the functions below those that depend on other fields.

mod facts;
mod kinds;

use serde_json::{Map, Value};

pub(super) use facts::FACTS;

use super::{Gvk, Shape, TypeId, Types};

/// Fills in defaults; idempotent. `object` must be conformed to its type.
pub fn default(types: &Types, gvk: &Gvk, object: &mut Value) {
    let Some(id) = types.kind(&gvk.group, &gvk.version, &gvk.kind) else { return };
    if let Value::Object(map) = object {
        kinds::before(gvk, map);
    }
    fill(types, id, object);
}

fn fill(types: &Types, id: TypeId, value: &mut Value) {
    let ty = types.get(id);
    match (&ty.shape, value) {
        (Shape::Object(fields), Value::Object(map)) => {
            kinds::shape(&ty.name, map);
            let counts = ty.name.ends_with("Status");
            for field in &fields.fields {
                // Counts of a status are written even when they are zero.
                if counts && field.required && matches!(types.get(field.type_id).shape, Shape::Integer { .. }) {
                    map.entry(field.name.clone()).or_insert_with(|| 0.into());
                }
                if let Some(default) = &field.default
                    && is_unset(map, &field.name, field.omit_zero)
                {
                    map.insert(field.name.clone(), default.clone());
                }
            }
            kinds::shape_after(&ty.name, map);
            for (key, value) in map.iter_mut() {
                if let Some(field) = fields.get(key) {
                    fill(types, field.type_id, value);
                }
            }
        }
        (Shape::List { items, .. }, Value::Array(list)) => list.iter_mut().for_each(|v| fill(types, *items, v)),
        (Shape::Map { values, .. }, Value::Object(map)) => map.values_mut().for_each(|v| fill(types, *values, v)),
        _ => {}
    }
}

/// Missing, or the zero value where that means missing.
fn is_unset(map: &Map<String, Value>, key: &str, omit_zero: bool) -> bool {
    match map.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(s)) => omit_zero && s.is_empty(),
        Some(_) => false,
    }
}
