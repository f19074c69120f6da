//! How apply sees a place in the schema: as a leaf, a map or a list of items that can be told apart.

use serde_json::Value;

use crate::patch::fields::{PathElement, Scalar};
use crate::schema::{Field, ListMerge, Shape, TypeId, Types};

/// A place in the schema. Inside what the schema leaves open, `id` is `None`.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) types: &'a Types,
    pub(super) id: Option<TypeId>,
}

/// How a value at a place is owned.
pub(super) enum Kind<'a> {
    /// As a whole: scalars, and what the schema calls atomic.
    Leaf,
    /// Entry by entry.
    Map,
    /// Item by item; `None` for sets of scalars.
    List(Option<&'a [String]>),
}

impl<'a> Place<'a> {
    fn shape(&self) -> Option<&'a Shape> {
        self.id.map(|id| &self.types.get(id).shape)
    }

    /// How the value is owned. What the schema leaves open is judged by the value itself.
    pub(super) fn kind(&self, value: &Value) -> Kind<'a> {
        match self.shape() {
            None | Some(Shape::Any) => {
                if value.is_object() {
                    Kind::Map
                } else {
                    Kind::Leaf
                }
            }
            Some(Shape::Object(fields)) if !fields.atomic => Kind::Map,
            Some(Shape::Map { atomic: false, .. }) => Kind::Map,
            Some(Shape::List { merge: ListMerge::Set, .. }) => Kind::List(None),
            Some(Shape::List { merge: ListMerge::Map(keys), .. }) => Kind::List(Some(keys)),
            Some(_) => Kind::Leaf,
        }
    }

    /// The declared field of that name; maps have none.
    pub(super) fn field(&self, name: &str) -> Option<&'a Field> {
        match self.shape() {
            Some(Shape::Object(fields)) => fields.get(name),
            _ => None,
        }
    }

    /// The place of a field or of an entry of a map.
    pub(super) fn entry(&self, name: &str) -> Self {
        let id = match self.shape() {
            Some(Shape::Object(fields)) => fields.get(name).map(|f| f.type_id),
            Some(Shape::Map { values, .. }) => Some(*values),
            _ => None,
        };
        Self { types: self.types, id }
    }

    /// The place of the items of a list.
    pub(super) fn items(&self) -> Self {
        let id = match self.shape() {
            Some(Shape::List { items, .. }) => Some(*items),
            _ => None,
        };
        Self { types: self.types, id }
    }

    /// The place a path element leads to.
    pub(super) fn step(&self, element: &PathElement) -> Self {
        match element {
            PathElement::Field(name) => self.entry(name),
            _ => self.items(),
        }
    }

    /// The path element of a list item. Keys that are missing take their defaults; without a default
    /// they are left out.
    pub(super) fn element(&self, keys: Option<&[String]>, item: &Value) -> Result<PathElement, String> {
        let Some(keys) = keys else {
            return match item {
                Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("a set cannot hold {item}")),
                scalar => Ok(PathElement::Value(Scalar(scalar.clone()))),
            };
        };
        let Value::Object(map) = item else { return Err(format!("a list merged by keys cannot hold {item}")) };
        let items = self.items();
        let mut found: Vec<(String, Scalar)> = Vec::with_capacity(keys.len());
        for key in keys {
            let given = map.get(key).filter(|v| !v.is_null());
            if let Some(value) = given.cloned().or_else(|| items.field(key).and_then(|f| self.key_default(f))) {
                found.push((key.clone(), Scalar(value)));
            }
        }
        if found.is_empty() {
            return Err(format!("the item has none of the keys {} of its list", keys.join(", ")));
        }
        found.sort();
        Ok(PathElement::Key(found))
    }

    /// What a missing key of a list item reads as: its default, and for required keys the zero value.
    fn key_default(&self, field: &Field) -> Option<Value> {
        field.default.clone().or_else(|| match self.types.get(field.type_id).shape {
            Shape::String(_) if field.required => Some("".into()),
            Shape::Integer { .. } if field.required => Some(0.into()),
            _ => None,
        })
    }

    /// The zero value a missing field stands for, where upstream's type holds it by value: a missing
    /// struct is an empty one, a missing required list an empty one. Nobody comes to own the struct
    /// itself by filling it.
    pub(super) fn zero(&self, name: &str) -> Option<Value> {
        let field = self.field(name)?;
        match &self.types.get(field.type_id).shape {
            Shape::Object(fields) if (field.required || field.omit_zero) && !fields.atomic => Some(Value::Object(serde_json::Map::new())),
            Shape::List { .. } | Shape::Map { .. } if field.required => Some(Value::Null),
            _ => None,
        }
    }
}
