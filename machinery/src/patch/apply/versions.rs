//! One object in the versions of its kind that its owners wrote it in: each owns fields of its own version.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::typed::Place;
use super::walk::Comparison;
use crate::conversion;
use crate::schema::{Gvk, Types};

/// The versions of the kind of a request.
#[derive(Clone, Copy)]
pub(super) struct Versions<'a> {
    pub(super) types: &'a Types,
    /// As the request has it.
    pub(super) gvk: &'a Gvk,
}

impl<'a> Versions<'a> {
    /// Where objects of the request's version begin in the schema.
    pub(super) fn place(self) -> Place<'a> {
        Place { types: self.types, id: self.types.kind(&self.gvk.group, &self.gvk.version, &self.gvk.kind) }
    }

    /// The kind in that version; `None` where there is no such version any more.
    fn named(self, api_version: &str) -> Option<Gvk> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = Gvk::new(group, version, &*self.gvk.kind);
        (group == self.gvk.group && self.types.kinds.contains_key(&gvk)).then_some(gvk)
    }

    /// An object of the request's version in another, and where that begins in the schema.
    pub(super) fn at<'v>(self, api_version: &str, object: &'v Value) -> Option<(Place<'a>, Cow<'v, Value>)> {
        if api_version == self.gvk.api_version() {
            return Some((self.place(), Cow::Borrowed(object)));
        }
        let gvk = self.named(api_version)?;
        let mut object = object.clone();
        conversion::convert(self.gvk, &gvk, &mut object);
        Some((Place { types: self.types, id: self.types.kind(&gvk.group, &gvk.version, &gvk.kind) }, Cow::Owned(object)))
    }

    /// Back to the request's version.
    pub(super) fn back(self, api_version: &str, mut object: Value) -> Value {
        if let Some(gvk) = self.named(api_version).filter(|gvk| gvk != self.gvk) {
            conversion::convert(&gvk, self.gvk, &mut object);
        }
        object
    }
}

/// How an object came to be another, in each version that is asked for.
pub(super) struct Changes<'a> {
    versions: Versions<'a>,
    old: &'a Value,
    new: &'a Value,
    /// Top-level fields that cannot have changed.
    ignored: &'a [&'a str],
    /// By `apiVersion`; `None` for versions there are no more.
    known: BTreeMap<String, Option<Comparison>>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(versions: Versions<'a>, old: &'a Value, new: &'a Value, ignored: &'a [&'a str]) -> Self {
        Self { versions, old, new, ignored, known: BTreeMap::new() }
    }

    /// What happened to the fields of a version.
    pub(super) fn at(&mut self, api_version: &str) -> Option<&Comparison> {
        if !self.known.contains_key(api_version) {
            let comparison = self.versions.at(api_version, self.old).zip(self.versions.at(api_version, self.new));
            let comparison = comparison.map(|((place, old), (_, new))| place.compare(&old, &new).without_fields(self.ignored));
            self.known.insert(api_version.to_owned(), comparison);
        }
        self.known.get(api_version)?.as_ref()
    }
}
