//! Kubernetes strategic merge patches: like JSON merge patches, but lists are merged by the merge
//! keys of the schema, and directives (`$patch`, `$retainKeys`, `$setElementOrder/…`,
//! `$deleteFromPrimitiveList/…`) say what a merge alone cannot.

mod list;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::schema::{Shape, TypeId, Types};
use crate::status::ApiError;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Values that may be looked at or copied for one patch, together. A patch may name an item of a list as often as it likes,
/// and each time costs as much as the lists inside that item are long.
const MAX_WORK: usize = 10_000_000;

/// Bytes of text that cost as much as one value.
const TEXT: usize = 64;

type Object = Map<String, Value>;

/// Why a patch cannot be applied.
enum Fault {
    /// The patch breaks the rules of the format.
    Malformed(String),
    /// The patch does not fit the document.
    Misfit(String),
    /// The patch asks for too much.
    TooMuch,
}

/// Applies a strategic merge patch to a document of type `id` and returns the new document.
///
/// # Errors
/// 400 when the patch is malformed, 413 when it asks for too much, 422 when it does not fit the document.
pub fn apply(types: &Types, id: TypeId, document: &Value, patch: &Value) -> Result<Value, ApiError> {
    let Value::Object(patch) = patch else {
        return Err(ApiError::bad_request("error decoding patch: a strategic merge patch is an object"));
    };
    let original = document.as_object().cloned().unwrap_or_default();
    let place = Place { types, id: Some(id), spent: &Cell::new(0) };
    place.merge_object(original, patch.clone()).map(Value::Object).map_err(|fault| match fault {
        Fault::Malformed(why) => ApiError::bad_request(format!("error decoding patch: {why}")),
        Fault::Misfit(why) => ApiError::new(
            422,
            "Invalid",
            format!("the server rejected our request due to an error in our request: strategic merge patch: {why}"),
        ),
        Fault::TooMuch => {
            let message = format!("strategic merge patch: the merges together look at more than {MAX_WORK} values");
            ApiError::new(413, "RequestEntityTooLarge", message)
        }
    })
}

/// A place in the schema; inside what the schema does not know, `id` is `None`.
#[derive(Clone, Copy)]
struct Place<'a> {
    types: &'a Types,
    id: Option<TypeId>,
    /// What the patch has cost so far.
    spent: &'a Cell<usize>,
}

/// What the schema says of one field of an object.
struct Below<'a> {
    place: Place<'a>,
    /// Lists are merged, not replaced.
    merge: bool,
    /// Key that tells items of a merged list apart; `None` for lists of scalars.
    key: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn shape(&self) -> Option<&'a Shape> {
        self.id.map(|id| &self.types.get(id).shape)
    }

    fn below(&self, name: &str) -> Below<'a> {
        let at = |id| Self { id, ..*self };
        match self.shape() {
            Some(Shape::Object(fields)) => match fields.get(name) {
                Some(f) => Below { place: at(Some(f.type_id)), merge: f.patch_merge, key: f.patch_key.as_deref() },
                None => Below { place: at(None), merge: false, key: None },
            },
            Some(Shape::Map { values, .. }) => Below { place: at(Some(*values)), merge: false, key: None },
            _ => Below { place: at(None), merge: false, key: None },
        }
    }

    /// The place of the items of a list.
    fn items(&self) -> Self {
        let id = match self.shape() {
            Some(Shape::List { items, .. }) => Some(*items),
            _ => None,
        };
        Self { id, ..*self }
    }

    /// Counts what looking at so many values costs.
    fn spend(&self, values: usize) -> Result<(), Fault> {
        self.spent.set(self.spent.get().saturating_add(values));
        if self.spent.get() <= MAX_WORK { Ok(()) } else { Err(Fault::TooMuch) }
    }

    fn merge_object(&self, mut original: Object, mut patch: Object) -> Result<Object, Fault> {
        if let Some(directive) = patch.remove(PATCH) {
            return match directive.as_str() {
                Some("replace") => Ok(patch),
                Some("delete") => Ok(Object::new()),
                _ => Err(Fault::Malformed(format!("unknown value of $patch: {directive}; it is one of delete, replace"))),
            };
        }
        if let Some(keys) = patch.remove(RETAIN_KEYS) {
            self.spend(original.len())?;
            retain_keys(&mut original, &patch, &keys)?;
        }
        self.set_element_orders(&mut original, &mut patch)?;
        for (key, change) in patch {
            if let Some(name) = key.strip_prefix(DELETE_PRIMITIVES) {
                self.spend(original.get(name).map_or(0, weight))?;
                list::delete_primitives(&mut original, name, &change)?;
            } else {
                self.merge_field(&mut original, key, change)?;
            }
        }
        Ok(original)
    }

    fn merge_field(&self, original: &mut Object, key: String, change: Value) -> Result<(), Fault> {
        if change.is_null() {
            original.remove(&key);
            return Ok(());
        }
        let merged = match (original.remove(&key), change) {
            (Some(Value::Object(old)), Value::Object(new)) => Some(self.below(&key).place.merge_object(old, new)?.into()),
            (Some(Value::Array(old)), Value::Array(new)) => {
                let below = self.below(&key);
                Some(if below.merge { below.merge_list(old, new)? } else { new }.into())
            }
            (_, new) => without_directives(new),
        };
        if let Some(merged) = merged {
            original.insert(key, merged);
        }
        Ok(())
    }

    /// Merges the lists that have an order directive, and puts them into that order.
    fn set_element_orders(&self, original: &mut Object, patch: &mut Object) -> Result<(), Fault> {
        let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(ELEMENT_ORDER)).cloned().collect();
        for directive in directives {
            let name = &directive[ELEMENT_ORDER.len()..];
            let list = |value: Option<Value>, what: &str| match value {
                None => Ok(None),
                Some(Value::Array(items)) => Ok(Some(items)),
                Some(_) => Err(Fault::Malformed(format!("{what} must be a list"))),
            };
            let order = list(patch.remove(&directive), &directive)?.unwrap_or_default();
            let change = list(patch.remove(name), name)?;
            let old = match original.remove(name) {
                None | Some(Value::Null) => None,
                old => list(old, name)?,
            };
            let below = self.below(name);
            self.spend(order.iter().chain(old.iter().flatten()).map(weight).sum())?;
            if let Some(change) = &change {
                list::check_order(change, &order, below.key)?;
            }
            let merged = match (old.clone(), change) {
                (None, None) => continue,
                (Some(old), None) => old,
                (None, Some(new)) => without_directives(new.into()).and_then(|v| v.as_array().cloned()).unwrap_or_default(),
                (Some(old), Some(new)) if below.merge => below.merge_list(old, new)?,
                (Some(_), Some(new)) => new,
            };
            let merged = list::in_order(merged, &order, old.as_deref().unwrap_or_default(), below.key)?;
            original.insert(name.to_owned(), merged.into());
        }
        Ok(())
    }
}

/// How many values there are in one, and in its text.
fn weight(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len() / TEXT,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() / TEXT + weight(value)).sum(),
        _ => 0,
    }
}

/// Whether a key says how to merge its object, other than by `$patch`.
fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(DELETE_PRIMITIVES) || key.starts_with(ELEMENT_ORDER)
}

/// `$retainKeys`: everything else leaves the object. What the patch sets must be among them.
fn retain_keys(original: &mut Object, patch: &Object, keys: &Value) -> Result<(), Fault> {
    let Value::Array(keys) = keys else { return Err(Fault::Malformed(format!("{RETAIN_KEYS} must be a list"))) };
    let keys: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let kept = |key: &str| keys.contains(key);
    if let Some((key, _)) = patch.iter().find(|(key, value)| !value.is_null() && !is_directive(key) && !kept(key)) {
        return Err(Fault::Malformed(format!("the patch sets \"{key}\", which is not in {RETAIN_KEYS}")));
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

/// A patch value as it is put where there is nothing yet: nulls and directives say nothing there.
/// `None` when the value itself is a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let keep = |(key, value): (String, Value)| {
                let said = !value.is_null() && !is_directive(&key);
                if said { Some((key, without_directives(value)?)) } else { None }
            };
            Some(Value::Object(map.into_iter().filter_map(keep).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}
