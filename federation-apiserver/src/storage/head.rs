//! The parsed part of an object: what selectors, indexes and watches look at, packed into two allocations.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use super::members::{Members, find, members};
use crate::names::Names;

/// Name, namespace, uid, labels, deletion flag and the selectable fields of an object.
#[derive(Clone)]
pub struct Head {
    /// Key, uid, label keys and values, field values, one behind the other.
    text: Box<str>,
    /// Where each of those ends in `text`.
    ends: Box<[u32]>,
    labels: u32,
    /// Length of the namespace; 0 without one.
    namespace: u32,
    deleting: bool,
}

const KEY: usize = 0;
const UID: usize = 1;
const LABELS: usize = 2;

impl Head {
    /// From the key (`<namespace>/<name>` or `<name>`), the members of the object and those of its metadata.
    pub(super) fn new(key: &str, root: &Members<'_>, meta: &Members<'_>, selectable: &Names) -> Result<Self, serde_json::Error> {
        let mut pack = Pack::default();
        pack.push(key);
        pack.push(&find(meta, "uid").map(text_of).transpose()?.unwrap_or_default());
        let labels = match find(meta, "labels") {
            Some(raw) if raw.get() != "null" => members(raw.get())?,
            _ => Vec::new(),
        };
        for (name, value) in &labels {
            pack.push(name);
            pack.push(&text_of(value)?);
        }
        for path in selectable.iter() {
            pack.push(&dig(root, path)?);
        }
        Ok(Self {
            text: pack.text.into(),
            ends: pack.ends.into(),
            labels: labels.len() as u32,
            namespace: key.find('/').unwrap_or(0) as u32,
            deleting: find(meta, "deletionTimestamp").is_some_and(|v| v.get() != "null"),
        })
    }

    fn part(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[index] as usize]
    }

    /// The key below the resource's prefix: `<namespace>/<name>` or `<name>`.
    pub fn key(&self) -> &str {
        self.part(KEY)
    }

    /// `metadata.namespace`; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        &self.key()[..self.namespace as usize]
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        let key = self.key();
        if self.namespace == 0 { key } else { &key[self.namespace as usize + 1..] }
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.part(UID)
    }

    /// Whether `metadata.deletionTimestamp` is set.
    pub fn deleting(&self) -> bool {
        self.deleting
    }

    /// All labels, as stored.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.labels as usize).map(|i| (self.part(LABELS + 2 * i), self.part(LABELS + 2 * i + 1)))
    }

    /// One label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels().find(|(k, _)| *k == name).map(|(_, v)| v)
    }

    /// The selectable field of this index in the resource's list; empty when it is absent.
    /// Booleans and numbers are written as in JSON.
    pub fn field(&self, index: usize) -> &str {
        let at = LABELS + 2 * self.labels as usize + index;
        if at < self.ends.len() { self.part(at) } else { "" }
    }

    /// Bytes held on the heap.
    pub(super) fn heap(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("key", &self.key()).field("uid", &self.uid()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Pack {
    text: String,
    ends: Vec<u32>,
}

impl Pack {
    fn push(&mut self, part: &str) {
        self.text.push_str(part);
        self.ends.push(self.text.len() as u32);
    }
}

/// A string's content; other scalars as written; empty for null, objects and lists.
fn text_of(raw: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
    match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw.get()).map(Cow::Owned),
        Some(b'{' | b'[' | b'n') | None => Ok(Cow::Borrowed("")),
        Some(_) => Ok(Cow::Borrowed(raw.get())),
    }
}

/// The scalar at a dotted path; empty when there is none.
fn dig(root: &Members<'_>, path: &str) -> Result<String, serde_json::Error> {
    let (first, mut rest) = path.split_once('.').unwrap_or((path, ""));
    let mut at = find(root, first);
    while let Some(raw) = at.filter(|_| !rest.is_empty()) {
        if !raw.get().starts_with('{') {
            return Ok(String::new());
        }
        let (next, more) = rest.split_once('.').unwrap_or((rest, ""));
        at = find(&members(raw.get())?, next);
        rest = more;
    }
    at.map_or(Ok(String::new()), |raw| text_of(raw).map(Cow::into_owned))
}
