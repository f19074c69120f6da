//! Merging lists, and their order afterwards. Lists come from clients and may be long: items are looked up in sets and
//! maps of their keys, never one by one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::place::{Below, DELETE_PRIMITIVES, ELEMENT_ORDER, Fault, Object, PATCH, weight, without_directives};
use crate::clip;
use crate::patch::fields::{ByValue, MAX_SHOWN};
use crate::patch::json::same;

impl Below<'_> {
    /// Merges two lists: items with the same key are merged, others are added; scalars are united.
    pub(super) fn merge_list(&self, original: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, Fault> {
        self.place.spend(original.iter().chain(&patch).map(weight).sum())?;
        let Some(key) = self.key else { return merge_scalars(&original, &patch) };
        let mut changes = Vec::new();
        let mut gone = Vec::new();
        let mut replace = false;
        for item in patch {
            let Some(directive) = item.get(PATCH) else {
                changes.push(item);
                continue;
            };
            match directive.as_str() {
                Some("delete") => gone.push(key_of(&item, key)?.clone()),
                Some("replace") => replace = true,
                Some("merge") => return Err(Fault::Malformed("merging lists cannot be specified in the patch".into())),
                _ => return Err(Fault::Malformed(format!("unknown value of $patch: {directive}; it is one of delete, replace"))),
            }
        }
        if replace {
            return Ok(changes);
        }
        let gone: BTreeSet<ByValue<'_>> = gone.iter().map(ByValue).collect();
        let before: Vec<Value> = original.into_iter().filter(|o| o.get(key).is_none_or(|v| !gone.contains(&ByValue(v)))).collect();
        let wanted = changes.iter().map(|change| key_of(change, key)).collect::<Result<Vec<_>, _>>()?;
        let mut at = positions(before.iter().map(|o| o.get(key)));
        let mut merged = before.clone();
        for (change, wanted) in changes.iter().zip(wanted) {
            if let Some(found) = at.get(&ByValue(wanted)).map(|at| &mut merged[*at]) {
                *found = self.place.items().merge_object(object(found.take())?, object(change.clone())?)?.into();
            } else {
                let new = without_directives(change.clone()).unwrap_or_default();
                if new.get(key).is_some() {
                    at.insert(ByValue(wanted), merged.len());
                }
                merged.push(new);
            }
        }
        in_order(merged, &changes, &before, Some(key))
    }
}

/// Where each value comes first.
fn positions<'a>(values: impl Iterator<Item = Option<&'a Value>>) -> BTreeMap<ByValue<'a>, usize> {
    let mut out = BTreeMap::new();
    for (at, value) in values.enumerate() {
        if let Some(value) = value {
            out.entry(ByValue(value)).or_insert(at);
        }
    }
    out
}

fn merge_scalars(original: &[Value], patch: &[Value]) -> Result<Vec<Value>, Fault> {
    if let Some(odd) = original.iter().chain(patch).find(|v| v.is_object() || v.is_array()) {
        return Err(Fault::Misfit(format!("a list of scalars cannot be merged with {}", shown(odd))));
    }
    let mut seen = BTreeSet::new();
    let merged = original.iter().chain(patch).filter(|item| seen.insert(ByValue(item))).cloned().collect();
    in_order(merged, patch, original, None)
}

/// `$deleteFromPrimitiveList/name`: takes scalars out of a list.
pub(super) fn delete_primitives(original: &mut Object, name: &str, gone: &Value) -> Result<(), Fault> {
    let Value::Array(gone) = gone else { return Err(Fault::Malformed(format!("{}{name} must be a list", DELETE_PRIMITIVES))) };
    if let Some(Value::Array(items)) = original.get_mut(name) {
        let gone: BTreeSet<ByValue<'_>> = gone.iter().map(ByValue).collect();
        items.retain(|item| !gone.contains(&ByValue(item)));
    }
    Ok(())
}

/// The items of a patch must come in the order its `$setElementOrder` directive states.
pub(super) fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Fault> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in patch.iter().filter(|i| i.get(PATCH).is_none()) {
        let id = identity(item, key)?;
        let mut found = false;
        for o in rest.by_ref() {
            if same(identity(o, key)?, id) {
                found = true;
                break;
            }
        }
        if !found {
            return Err(Fault::Malformed(format!("the order of the list in the patch does not match {}: {}", ELEMENT_ORDER, shown(id))));
        }
    }
    Ok(())
}

/// Puts a merged list into order: items the patch names come as `order` says; the server's other
/// items keep their order (`before`) and their place relative to those, where it is known.
pub(super) fn in_order(merged: Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) -> Result<Vec<Value>, Fault> {
    let index = |list| -> Result<BTreeMap<ByValue<'_>, usize>, Fault> {
        let ids = <[Value]>::iter(list).map(|v| identity(v, key)).collect::<Result<Vec<_>, _>>()?;
        Ok(positions(ids.into_iter().map(Some)))
    };
    let (order, before) = (index(order)?, index(before)?);
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let id = ByValue(identity(&item, key)?);
        let (position, was) = (order.get(&id).copied(), before.get(&id).copied());
        match position {
            Some(position) => named.push((position, was, item)),
            None => others.push((was, item)),
        }
    }
    named.sort_by_key(|(position, ..)| *position);
    others.sort_by_key(|(position, _)| *position);
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let Some((_, right, _)) = named.peek() {
        let first = others.next_if(|(left, _)| matches!((left, right), (Some(left), Some(right)) if left < right));
        match first {
            Some((_, item)) => out.push(item),
            None => out.extend(named.next().map(|(.., item)| item)),
        }
    }
    out.extend(others.map(|(_, item)| item));
    Ok(out)
}

/// What tells an item from others: the value of its merge key, or a scalar itself.
fn identity<'a>(item: &'a Value, key: Option<&str>) -> Result<&'a Value, Fault> {
    match key {
        Some(key) => key_of(item, key),
        None => Ok(item),
    }
}

fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, Fault> {
    match item.get(key) {
        Some(Value::Array(_) | Value::Object(_)) => Err(Fault::Misfit(format!("{} has no scalar as its merge key {key}", shown(item)))),
        Some(value) => Ok(value),
        None => Err(Fault::Misfit(format!("{} does not contain the declared merge key: {key}", shown(item)))),
    }
}

fn shown(item: &Value) -> String {
    clip::shown(&item.to_string(), MAX_SHOWN).into_owned()
}

fn object(item: Value) -> Result<Object, Fault> {
    match item {
        Value::Object(map) => Ok(map),
        other => Err(Fault::Misfit(format!("{} is not an object", shown(&other)))),
    }
}
