//! Kubernetes strategic merge patches: like JSON merge patches, but lists are merged by the merge
//! keys of the schema, and directives (`$patch`, `$retainKeys`, `$setElementOrder/…`,
//! `$deleteFromPrimitiveList/…`) say what a merge alone cannot.

mod list;
mod place;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::Value;

use self::place::{
    DELETE_PRIMITIVES, ELEMENT_ORDER, Fault, MAX_WORK, Object, PATCH, Place, RETAIN_KEYS, is_directive, weight, without_directives,
};
use crate::schema::{TypeId, Types};
use crate::status::ApiError;

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

impl Place<'_> {
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
