//! Merging an applied configuration into the live object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::typed::{Kind, Place};
use crate::patch::fields::PathElement;

impl Place<'_> {
    /// Lays `config` over `live`. Nothing is removed, except where the configuration says `null`.
    pub(super) fn merge(self, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
        let Some(config) = config else { return live.cloned() };
        let Some(live) = live else { return without_nulls(config) };
        match (self.kind(config), live, config) {
            (Kind::Map, Value::Object(old), Value::Object(new)) if !new.is_empty() => {
                let mut out = Map::new();
                let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for name in names {
                    if let Some(value) = self.entry(name).merge(old.get(name), new.get(name)) {
                        out.insert(name.clone(), value);
                    }
                }
                Some(Value::Object(out))
            }
            (Kind::Map, Value::Object(old), Value::Object(_)) if !old.is_empty() => Some(live.clone()),
            (Kind::List(keys), Value::Array(old), Value::Array(new)) if !(old.is_empty() && new.is_empty()) => {
                Some(Value::Array(self.merge_lists(keys, old, new)))
            }
            // An empty configuration of something owned part by part says nothing about the parts.
            (Kind::Map, Value::Object(_), Value::Null) | (Kind::List(_), Value::Array(_), Value::Null) if !is_empty(live) => {
                Some(live.clone())
            }
            _ => without_nulls(config),
        }
    }

    /// Items of both lists. Where the configuration reorders shared items its order wins; the live
    /// object's other items stay where they were between their neighbours.
    fn merge_lists(self, keys: Option<&[String]>, old: &[Value], new: &[Value]) -> Vec<Value> {
        // An item without any key is an element of its own, so that it survives.
        let index = |list: &[Value]| -> Vec<Option<PathElement>> { list.iter().map(|item| self.element(keys, item).ok()).collect() };
        let (old_at, new_at) = (index(old), index(new));
        let mut first_old: BTreeMap<&PathElement, Option<usize>> = BTreeMap::new();
        for (i, element) in old_at.iter().enumerate() {
            if let Some(element) = element {
                // Duplicates are not merged with the new item; it takes their place.
                first_old.entry(element).and_modify(|at| *at = None).or_insert(Some(i));
            }
        }
        let in_new: BTreeMap<&PathElement, usize> = new_at.iter().enumerate().filter_map(|(i, e)| Some((e.as_ref()?, i))).collect();
        let mut shared = new_at.iter().flatten().filter(|e| first_old.contains_key(e)).peekable();
        let mut done: BTreeSet<&PathElement> = BTreeSet::new();
        let mut out = Vec::with_capacity(old.len().max(new.len()));
        let (mut l, mut r) = (0, 0);
        while l < old.len() || r < new.len() {
            let left = old_at.get(l).and_then(Option::as_ref);
            if l < old.len() {
                match left.filter(|e| in_new.contains_key(e)) {
                    None => {
                        out.push(old[l].clone());
                        l += 1;
                        continue;
                    }
                    Some(element) if done.contains(element) => {
                        l += 1;
                        continue;
                    }
                    // Shared, but the configuration wants another shared item first.
                    Some(element) if r < new.len() && shared.peek().is_some_and(|next| *next != element) => {
                        l += 1;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            if r >= new.len() {
                l += usize::from(l < old.len());
                continue;
            }
            let element = new_at[r].as_ref();
            let before = element.and_then(|e| first_old.get(e)).copied().flatten().map(|i| &old[i]);
            out.extend(self.items().merge(before, Some(&new[r])));
            if let Some(element) = element {
                done.insert(element);
                if shared.peek() == Some(&element) {
                    shared.next();
                }
                if left == Some(element) {
                    l += 1;
                }
            }
            r += 1;
        }
        out
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// A configuration as it is put where there is nothing yet: its nulls say nothing there.
fn without_nulls(config: &Value) -> Option<Value> {
    match config {
        Value::Null => None,
        Value::Object(map) => Some(Value::Object(map.iter().filter_map(|(k, v)| Some((k.clone(), without_nulls(v)?))).collect())),
        Value::Array(list) => Some(Value::Array(list.iter().map(|v| without_nulls(v).unwrap_or_default()).collect())),
        other => Some(other.clone()),
    }
}
