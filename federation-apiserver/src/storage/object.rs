//! One stored object: its bytes as clients see them and a small parsed head.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use machinery::depth;
use machinery::table::{Cells, Columns, Shown};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::StorageError;
use super::head::Head;
use super::members::{find, members};
use crate::names::Names;

/// An object as readers share it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Canonical JSON with `metadata.resourceVersion` inside.
    pub bytes: Bytes,
    /// What selectors and the cache need without decoding.
    pub head: Head,
    /// The resourceVersion.
    pub revision: u64,
    /// Where the digits of the resourceVersion begin in `bytes`.
    digits: u32,
    /// Where its metadata ends in `bytes`; it begins just before the resourceVersion.
    metadata_end: u32,
    /// What the last table showed of it, encoded when somebody asked.
    cells: Kept,
    /// It was said that it cannot be decoded.
    told: OnceLock<()>,
    /// No two versions of objects of this process have the same.
    pub serial: u64,
}

/// The columns of a table. They never change: others are another layout, and what was kept for one is not shown in another.
#[derive(Debug)]
pub struct Layout {
    /// The columns.
    pub columns: Columns,
    /// No two layouts of this process have the same.
    pub serial: u64,
}

impl Layout {
    /// A layout that was not there before.
    pub fn new(columns: Columns) -> Self {
        Self { columns, serial: next_serial() }
    }
}

/// Cells in a layout; `None` when the object cannot be decoded.
#[derive(Debug)]
struct Laid {
    layout: u64,
    cells: Option<Cells>,
}

/// The cells that were asked for last.
#[derive(Debug, Default)]
struct Kept(ArcSwapOption<Laid>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self(ArcSwapOption::new(self.0.load_full()))
    }
}

fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Object {
    /// Takes a stored value under `key` (`<namespace>/<name>` or `<name>`), splicing the
    /// resourceVersion in without decoding the rest. `selectable` are dotted paths whose values the head keeps.
    pub fn parse(key: &str, stored: &[u8], revision: u64, selectable: &Names) -> Result<Self, StorageError> {
        let corrupt = |why: &dyn fmt::Display| StorageError::Corrupt(format!("the object at {key} cannot be decoded: {why}"));
        // Members are split without decoding them, which would find it out.
        depth::check_text(stored).map_err(|e| corrupt(&e))?;
        let text = std::str::from_utf8(stored).map_err(|e| corrupt(&e))?;
        let root = members(text).map_err(|e| corrupt(&e))?;
        let meta = find(&root, "metadata").ok_or_else(|| corrupt(&"it has no metadata"))?;
        let inner = members(meta.get()).map_err(|e| corrupt(&e))?;
        if find(&inner, "resourceVersion").is_some() {
            // Written by something that does not know our encoding: take the version out first.
            let value: Value = serde_json::from_str(text).map_err(|e| corrupt(&e))?;
            return Self::parse(key, &encode(&value), revision, selectable);
        }
        let open = offset(text, meta.get()) + 1;
        let spliced = splice(stored, open, inner.is_empty(), revision);
        let head = Head::new(key, &root, &inner, selectable).map_err(|e| corrupt(&e))?;
        let position = |at: usize| u32::try_from(at).map_err(|e| corrupt(&e));
        let digits = position(open + RV_KEY.len())?;
        let metadata_end = position(open - 1 + meta.get().len() + spliced.len() - stored.len())?;
        Ok(Self {
            bytes: spliced.into(),
            head,
            revision,
            digits,
            metadata_end,
            cells: Kept::default(),
            told: OnceLock::new(),
            serial: next_serial(),
        })
    }

    /// The same object with another resourceVersion: the last state of a deleted object carries the
    /// revision of its deletion.
    #[must_use]
    pub fn at_revision(&self, revision: u64) -> Self {
        let start = self.digits as usize;
        let end = start + decimal_len(self.revision);
        let mut out = Vec::with_capacity(self.bytes.len() + 20);
        out.extend_from_slice(&self.bytes[..start]);
        out.extend_from_slice(revision.to_string().as_bytes());
        out.extend_from_slice(&self.bytes[end..]);
        out.shrink_to_fit();
        // A revision has 20 digits at most.
        let metadata_end = self.metadata_end - (end - start) as u32 + decimal_len(revision) as u32;
        Self {
            bytes: out.into(),
            head: self.head.clone(),
            revision,
            digits: self.digits,
            metadata_end,
            cells: self.cells.clone(),
            told: self.told.clone(),
            serial: next_serial(),
        }
    }

    /// Its bytes, and where in them its metadata is.
    pub fn shown(&self) -> Shown<'_> {
        let open = self.digits as usize - RV_KEY.len() - 1;
        Shown { object: &self.bytes, metadata: &self.bytes[open..self.metadata_end as usize] }
    }

    /// Shows what a table of its `resource` says of it: decoded the first time and kept, a few dozen bytes, until a table
    /// with another layout is asked for. `None` when it cannot be decoded, which is told once.
    pub fn with_cells<R>(&self, resource: &str, layout: &Layout, show: impl FnOnce(&Cells) -> R) -> Option<R> {
        let kept = self.cells.0.load();
        if let Some(known) = kept.as_deref().filter(|known| known.layout == layout.serial) {
            return known.cells.as_ref().map(show);
        }
        let cells = self.readable(resource).map(|value| Cells::of(&layout.columns, &value));
        let made = Arc::new(Laid { layout: layout.serial, cells });
        self.cells.0.store(Some(Arc::clone(&made)));
        made.cells.as_ref().map(show)
    }

    /// Bytes that have to be decoded before its cells in this layout are known.
    pub fn undecoded(&self, layout: &Layout) -> usize {
        if self.cells.0.load().as_deref().is_some_and(|known| known.layout == layout.serial) { 0 } else { self.bytes.len() }
    }

    /// Decodes, for the write path.
    pub fn value(&self) -> Result<Value, StorageError> {
        serde_json::from_slice(&self.bytes).map_err(|e| StorageError::Corrupt(format!("the object at {}: {e}", self.head.key())))
    }

    /// Decodes for those who look at many objects: one that cannot be decoded must not keep them from the others. It is
    /// named in the log once, as one of `resource`, and left out.
    pub fn readable(&self, resource: &str) -> Option<Value> {
        let decoded = self.value();
        if let Err(error) = &decoded
            && self.told.set(()).is_ok()
        {
            let key = self.head.key();
            tracing::error!(resource, key, %error, "a stored object cannot be decoded and is left out; delete it or restore it");
        }
        decoded.ok()
    }
}

const RV_KEY: &str = "\"resourceVersion\":\"";

fn decimal_len(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// `stored` with the resourceVersion put in at `at`, just behind the brace that opens metadata.
fn splice(stored: &[u8], at: usize, empty: bool, revision: u64) -> Box<[u8]> {
    let digits = revision.to_string();
    let close = if empty { "\"" } else { "\"," };
    let mut out = Vec::with_capacity(stored.len() + RV_KEY.len() + digits.len() + close.len());
    out.extend_from_slice(&stored[..at]);
    for part in [RV_KEY, &digits, close] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(&stored[at..]);
    out.into_boxed_slice()
}

/// Where `part`, a slice borrowed from `whole`, begins in it.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// Canonical JSON for storage: without `metadata.resourceVersion`, which is the revision of the write.
pub fn encode(value: &Value) -> Bytes {
    let mut out = Vec::with_capacity(512);
    serde_json::to_writer(&mut out, &Without { value, path: &["metadata", "resourceVersion"] })
        .expect("JSON values have string keys and vectors take every write");
    out.into()
}

/// Serializes a value without the member at `path`.
struct Without<'a> {
    value: &'a Value,
    path: &'a [&'a str],
}

impl Serialize for Without<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Value::Object(map), [next, rest @ ..]) = (self.value, self.path) else {
            return self.value.serialize(serializer);
        };
        let mut out = serializer.serialize_map(None)?;
        for (key, value) in map {
            if key != next {
                out.serialize_entry(key, value)?;
            } else if !rest.is_empty() {
                out.serialize_entry(key, &Without { value, path: rest })?;
            }
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::table::{IncludeObject, columns_for};
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(value: &Value, revision: u64) -> Object {
        Object::parse("ns/web", &encode(value), revision, &Names::Fixed(&["spec.type", "spec.hard", "spec.missing"])).unwrap()
    }

    #[test]
    fn the_version_is_spliced_in_and_out() {
        let stored = json!({"kind": "X", "metadata": {"name": "web", "uid": "u1", "labels": {"a": "b\"c"}, "resourceVersion": "7",
            "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"type": "T", "hard": true}});
        let object = parse(&stored, 42);
        let mut want = stored;
        want["metadata"]["resourceVersion"] = "42".into();
        assert_eq!(object.value().unwrap(), want);
        want["metadata"]["resourceVersion"] = "1234567".into();
        let later = object.at_revision(1_234_567);
        assert_eq!((later.value().unwrap(), later.revision), (want, 1_234_567));
        for object in [&object, &later] {
            let metadata: Value = serde_json::from_slice(object.shown().metadata).unwrap();
            assert_eq!(metadata, object.value().unwrap()["metadata"]);
        }
        let head = &object.head;
        assert_eq!((head.namespace(), head.name(), head.uid(), head.deleting()), ("ns", "web", "u1", true));
        assert_eq!(head.label("a"), Some("b\"c"));
        assert_eq!(head.label("b"), None);
        assert_eq!([head.field(0), head.field(1), head.field(2)], ["T", "true", ""]);
    }

    #[test]
    fn issue8_cells_are_shown_in_no_other_layout_than_theirs() {
        let object = parse(&json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}}), 42);
        let [services, claims] = [("", "Service"), ("", "PersistentVolumeClaim")].map(|(g, k)| Layout::new(columns_for(g, k)));
        let rows = |layout: &Layout| {
            assert_eq!(object.clone().undecoded(layout), object.undecoded(layout));
            object.with_cells("webs", layout, |cells| {
                let mut out = Vec::new();
                object.shown().row(cells, IncludeObject::None, 0, &mut out);
                String::from_utf8(out).unwrap()
            })
        };
        let want = |layout: &Layout| rows(&Layout::new(layout.columns.clone()));
        assert_ne!(want(&services), want(&claims));
        for layout in [&services, &claims, &services] {
            assert!(object.undecoded(layout) > 0);
            let first = rows(layout);
            assert_eq!(object.undecoded(layout), 0, "kept");
            assert_eq!((rows(layout), want(layout)), (first.clone(), first));
        }
    }

    #[test]
    fn empty_metadata_takes_a_version() {
        assert_eq!(&parse(&json!({"metadata": {}}), 3).bytes[..], br#"{"metadata":{"resourceVersion":"3"}}"#);
    }

    #[test]
    fn a_stored_version_of_others_is_replaced() {
        let object = Object::parse("web", br#"{ "metadata": {"name":"web", "resourceVersion":"9"} }"#, 5, &Names::Fixed(&[])).unwrap();
        assert_eq!(object.value().unwrap()["metadata"]["resourceVersion"], "5");
        assert_eq!((object.head.namespace(), object.head.name()), ("", "web"));
    }

    #[test]
    fn what_is_no_object_is_corrupt() {
        for bad in [&b"\xff"[..], b"", b"[]", b"{}", b"{\"metadata\":3}", b"{\"metadata\":{}", b"{\"metadata\":{\"labels\":[]}}"] {
            assert!(matches!(Object::parse("k", bad, 1, &Names::Fixed(&[])), Err(StorageError::Corrupt(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_labels_and_names_survive(labels in prop::collection::btree_map(".{0,12}", ".{0,12}", 0..5), uid in ".*", revision in 0u64..) {
            let value = json!({"metadata": {"uid": uid, "labels": labels}});
            let object = parse(&value, revision);
            prop_assert_eq!(object.head.uid(), uid);
            let got: std::collections::BTreeMap<String, String> = object.head.labels().map(|(k, v)| (k.into(), v.into())).collect();
            prop_assert_eq!(got, labels);
            let mut want = value;
            want["metadata"]["resourceVersion"] = revision.to_string().into();
            prop_assert_eq!(serde_json::from_slice::<Value>(object.shown().metadata).unwrap(), want["metadata"].clone());
            prop_assert_eq!(object.value().unwrap(), want);
        }
    }
}
