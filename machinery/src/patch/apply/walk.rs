//! The walks over typed values that apply is made of: which paths a value holds, how two values
//! differ, and taking paths out of a value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::typed::{Kind, Place};
use crate::patch::fields::{FieldSet, PathElement};
use crate::patch::json::same;

/// How one value came to be another.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Modified or added.
    pub(super) fn written(&self) -> FieldSet {
        self.modified.union(&self.added)
    }

    /// Without what happened to these top-level fields.
    pub(super) fn without_fields(&self, names: &[&str]) -> Self {
        Self {
            removed: self.removed.without_fields(names),
            modified: self.modified.without_fields(names),
            added: self.added.without_fields(names),
        }
    }
}

/// An empty map, an empty list or `null`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Items of a list by path element, in order of first appearance within each. Items that cannot be
/// told apart from others by any key belong to nobody and are left out.
fn by_element<'v>(place: Place<'_>, keys: Option<&[String]>, list: &'v [Value]) -> BTreeMap<PathElement, Vec<&'v Value>> {
    let mut out: BTreeMap<PathElement, Vec<&Value>> = BTreeMap::new();
    for item in list {
        if let Ok(element) = place.element(keys, item) {
            out.entry(element).or_default().push(item);
        }
    }
    out
}

impl Place<'_> {
    /// Every leaf and item of a value.
    pub(super) fn paths_of(self, value: &Value) -> FieldSet {
        let mut out = FieldSet::new();
        self.collect(value, &mut out);
        out
    }

    /// Collects the paths below a value; says whether the value itself is a leaf.
    fn collect(self, value: &Value, out: &mut FieldSet) -> bool {
        match (self.kind(value), value) {
            (Kind::Map, Value::Object(map)) => {
                for (name, below) in map {
                    let element = PathElement::Field(name.clone());
                    let mut child = FieldSet::new();
                    let leaf = self.entry(name).collect(below, &mut child);
                    let empty = below.is_null() || below.as_object().is_some_and(Map::is_empty);
                    if leaf || empty || self.field(name).is_none() {
                        out.members.insert(element.clone());
                    }
                    if !child.is_empty() {
                        out.children.insert(element, child);
                    }
                }
                false
            }
            (Kind::List(keys), Value::Array(list)) => {
                for (element, items) in by_element(self, keys, list) {
                    if let [item] = items.as_slice() {
                        let mut child = FieldSet::new();
                        self.items().collect(item, &mut child);
                        if !child.is_empty() {
                            out.children.insert(element.clone(), child);
                        }
                    }
                    out.members.insert(element);
                }
                false
            }
            (Kind::Map | Kind::List(_), Value::Null) => false,
            _ => true,
        }
    }

    /// How `old` became `new`.
    pub(super) fn compare(self, old: &Value, new: &Value) -> Comparison {
        let mut out = Comparison::default();
        self.compare_at(Some(old), Some(new), &mut Vec::new(), &mut out);
        out
    }

    fn compare_at(self, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<PathElement>, out: &mut Comparison) {
        let Some(shown) = new.filter(|v| !v.is_null()).or(old).or(new) else { return };
        let empty = old.is_none_or(is_empty) && new.is_none_or(is_empty);
        let fits = |v: Option<&Value>, fit: fn(&Value) -> bool| v.is_none_or(|v| v.is_null() || fit(v));
        match self.kind(shown) {
            Kind::Map if !empty && fits(old, Value::is_object) && fits(new, Value::is_object) => {
                self.compare_maps(old.and_then(Value::as_object), new.and_then(Value::as_object), path, out);
            }
            Kind::List(keys) if !empty && fits(old, Value::is_array) && fits(new, Value::is_array) => {
                self.compare_lists(keys, old.and_then(Value::as_array), new.and_then(Value::as_array), path, out);
            }
            _ => {
                match (old, new) {
                    (None, _) => out.added.insert(path),
                    (_, None) => out.removed.insert(path),
                    (Some(old), Some(new)) if !same(old, new) => out.modified.insert(path),
                    _ => {}
                }
                return;
            }
        }
        if old.is_none() {
            out.added.insert(path);
        } else if new.is_none() {
            out.removed.insert(path);
        }
    }

    fn compare_maps(
        self,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
        path: &mut Vec<PathElement>,
        out: &mut Comparison,
    ) {
        let mut names: Vec<&String> = old.into_iter().chain(new).flat_map(Map::keys).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let zero = self.zero(name);
            // A parent that is missing has no zero values: all of it is new, or gone.
            let old = old.and_then(|m| m.get(name).or(zero.as_ref()));
            let new = new.and_then(|m| m.get(name).or(zero.as_ref()));
            path.push(PathElement::Field(name.clone()));
            self.entry(name).compare_at(old, new, path, out);
            path.pop();
        }
    }

    fn compare_lists(
        self,
        keys: Option<&[String]>,
        old: Option<&Vec<Value>>,
        new: Option<&Vec<Value>>,
        path: &mut Vec<PathElement>,
        out: &mut Comparison,
    ) {
        let (old, new) = (by_element(self, keys, old.map_or(&[], Vec::as_slice)), by_element(self, keys, new.map_or(&[], Vec::as_slice)));
        let mut elements: Vec<&PathElement> = old.keys().chain(new.keys()).collect();
        elements.sort_unstable();
        elements.dedup();
        for element in elements {
            let (before, after) = (old.get(element).map_or(&[][..], Vec::as_slice), new.get(element).map_or(&[][..], Vec::as_slice));
            path.push(element.clone());
            // Items that share a key are owned together, as one leaf.
            match (before.len(), after.len()) {
                (0 | 1, 0 | 1) => self.items().compare_at(before.first().copied(), after.first().copied(), path, out),
                (2.., 2..) => {
                    if before != after {
                        out.modified.insert(path);
                    }
                }
                (2.., _) => {
                    if let [item] = after {
                        self.items().compare_at(None, Some(item), path, out);
                    }
                    out.removed.insert(path);
                }
                (_, 2..) => {
                    if let [item] = before {
                        self.items().compare_at(Some(item), None, path, out);
                    }
                    out.added.insert(path);
                }
            }
            path.pop();
        }
    }

    /// The value without these paths; containers that become empty go with them.
    pub(super) fn without(self, value: &Value, gone: &FieldSet) -> Option<Value> {
        match (self.kind(value), value) {
            (Kind::Map, Value::Object(map)) => {
                let keep = |(name, below): (&String, &Value)| {
                    let element = PathElement::Field(name.clone());
                    if gone.members.contains(&element) {
                        return None;
                    }
                    let below = match gone.children.get(&element) {
                        Some(child) if !child.is_empty() => self.entry(name).without(below, child)?,
                        _ => below.clone(),
                    };
                    Some((name.clone(), below))
                };
                let out: Map<String, Value> = map.iter().filter_map(keep).collect();
                (!out.is_empty() || map.is_empty()).then_some(Value::Object(out))
            }
            (Kind::List(keys), Value::Array(list)) => {
                let keep = |item: &Value| {
                    let Ok(element) = self.element(keys, item) else { return Some(item.clone()) };
                    if gone.members.contains(&element) {
                        return None;
                    }
                    match gone.children.get(&element) {
                        Some(child) if !child.is_empty() => self.items().without(item, child),
                        _ => Some(item.clone()),
                    }
                };
                let out: Vec<Value> = list.iter().filter_map(keep).collect();
                (!out.is_empty() || list.is_empty()).then_some(Value::Array(out))
            }
            _ => Some(value.clone()),
        }
    }

    /// The set with each declared field that has paths below it as a member.
    pub(super) fn with_named_fields(self, set: &FieldSet) -> FieldSet {
        let mut out = FieldSet { members: set.members.clone(), children: BTreeMap::new() };
        for (element, child) in &set.children {
            if let PathElement::Field(name) = element
                && self.field(name).is_some()
            {
                out.members.insert(element.clone());
            }
            out.children.insert(element.clone(), self.step(element).with_named_fields(child));
        }
        out
    }
}
