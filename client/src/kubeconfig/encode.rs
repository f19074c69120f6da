//! How client-go writes the fields of a kubeconfig.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Entries by name as a list; nothing where there are none.
pub(super) struct Named<'a, T>(pub(super) &'static str, pub(super) &'a BTreeMap<String, T>);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.1.is_empty() { to.serialize_none() } else { to.collect_seq(self.1.iter().map(|(name, entry)| One(name, self.0, entry))) }
    }
}

struct One<'a, T>(&'a str, &'static str, &'a T);

impl<T: Serialize> Serialize for One<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut one = to.serialize_map(Some(2))?;
        one.serialize_entry("name", self.0)?;
        one.serialize_entry(self.1, self.2)?;
        one.end()
    }
}

/// Whether a field is left out.
pub(super) fn nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(super) fn bytes<S: Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&BASE64.encode(value))
}

pub(super) fn extensions<S: Serializer>(all: &BTreeMap<String, Value>, to: S) -> Result<S::Ok, S::Error> {
    Named::<Value>("extension", all).serialize(to)
}

/// A field that is always there.
pub(super) fn or_null<T: Default + PartialEq + Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    (!nothing(value)).then_some(value).serialize(to)
}

pub(super) fn variables<S: Serializer>(all: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Variable<'a> {
        name: &'a str,
        value: &'a str,
    }
    let all = all.iter().map(|(name, value)| Variable { name, value });
    if all.len() == 0 { to.serialize_none() } else { to.collect_seq(all) }
}
