//! A place in the document and its schema, what the directives of a patch are called, and what looking at values costs.

use std::cell::Cell;

use serde_json::{Map, Value};

use crate::schema::{Shape, TypeId, Types};

pub(super) const PATCH: &str = "$patch";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const ELEMENT_ORDER: &str = "$setElementOrder/";
pub(super) const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Values that may be looked at or copied for one patch, together. A patch may name an item of a list as often as it likes,
/// and each time costs as much as the lists inside that item are long.
pub(super) const MAX_WORK: usize = 10_000_000;

/// Bytes of text that cost as much as one value.
pub(super) const TEXT: usize = 64;

pub(super) type Object = Map<String, Value>;

/// Why a patch cannot be applied.
pub(super) enum Fault {
    /// The patch breaks the rules of the format.
    Malformed(String),
    /// The patch does not fit the document.
    Misfit(String),
    /// The patch asks for too much.
    TooMuch,
}

/// A place in the schema; inside what the schema does not know, `id` is `None`.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) types: &'a Types,
    pub(super) id: Option<TypeId>,
    /// What the patch has cost so far.
    pub(super) spent: &'a Cell<usize>,
}

/// What the schema says of one field of an object.
pub(super) struct Below<'a> {
    pub(super) place: Place<'a>,
    /// Lists are merged, not replaced.
    pub(super) merge: bool,
    /// Key that tells items of a merged list apart; `None` for lists of scalars.
    pub(super) key: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn shape(&self) -> Option<&'a Shape> {
        self.id.map(|id| &self.types.get(id).shape)
    }

    pub(super) fn below(&self, name: &str) -> Below<'a> {
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
    pub(super) fn items(&self) -> Self {
        let id = match self.shape() {
            Some(Shape::List { items, .. }) => Some(*items),
            _ => None,
        };
        Self { id, ..*self }
    }

    /// Counts what looking at so many values costs.
    pub(super) fn spend(&self, values: usize) -> Result<(), Fault> {
        self.spent.set(self.spent.get().saturating_add(values));
        if self.spent.get() <= MAX_WORK { Ok(()) } else { Err(Fault::TooMuch) }
    }
}

/// How many values there are in one, and in its text.
pub(super) fn weight(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len() / TEXT,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() / TEXT + weight(value)).sum(),
        _ => 0,
    }
}

/// Whether a key says how to merge its object, other than by `$patch`.
pub(super) fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(DELETE_PRIMITIVES) || key.starts_with(ELEMENT_ORDER)
}

/// A patch value as it is put where there is nothing yet: nulls and directives say nothing there.
/// `None` when the value itself is a directive.
pub(super) fn without_directives(value: Value) -> Option<Value> {
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
