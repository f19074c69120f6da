//! `metadata.managedFields`: who owns what.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::patch::fields::FieldSet;

/// Who writes, through what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager; `unknown` when empty.
    pub manager: &'a str,
    /// Subresource written through; empty for the main resource.
    pub subresource: &'a str,
    /// API version of the request, `apps/v1`.
    pub api_version: &'a str,
    /// Current time, RFC 3339 with seconds.
    pub now: &'a str,
    /// Top-level fields this way of writing cannot change, so it never owns them: `status` for the
    /// main resource of kinds with a status, `spec` for the status subresource.
    pub ignored: &'a [&'a str],
}

/// Most entries of operation `Update` one object keeps; older ones are merged.
const MAX_UPDATERS: usize = 10;
/// Manager of the entry older updates are merged into.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields. `Apply` sorts first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What tells one entry from another. Appliers are the same whatever API version they use, so for
/// them `api_version` is empty.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Identity {
    pub(super) operation: Operation,
    pub(super) manager: String,
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// One manager and its fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
    pub(super) fields: FieldSet,
}

impl Identity {
    pub(super) fn of(writer: &Writer<'_>, operation: Operation) -> Self {
        let manager = if writer.manager.is_empty() { "unknown" } else { writer.manager };
        let api_version = if operation == Operation::Apply { "" } else { writer.api_version };
        Self { operation, manager: manager.into(), api_version: api_version.into(), subresource: writer.subresource.into() }
    }
}

/// Reads `managedFields`. `None` when an entry cannot be understood.
pub(super) fn decode(managed: Option<&Value>) -> Option<Vec<Entry>> {
    let mut out: Vec<Entry> = Vec::new();
    let mut at: BTreeMap<Identity, usize> = BTreeMap::new();
    let list = match managed {
        None | Some(Value::Null) => return Some(out),
        Some(managed) => managed.as_array()?,
    };
    for item in list {
        let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
            return None;
        }
        let identity = Identity {
            operation,
            manager: text("manager"),
            api_version: if operation == Operation::Apply { String::new() } else { api_version.clone() },
            subresource: text("subresource"),
        };
        let fields = match item.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::new(),
            Some(fields) => FieldSet::from_fields_v1(fields).ok()?,
        };
        let time = item.get("time").and_then(Value::as_str).map(str::to_owned);
        let entry = Entry { identity: identity.clone(), api_version, time, fields };
        match at.entry(identity) {
            // The last of them counts.
            std::collections::btree_map::Entry::Occupied(known) => out[*known.get()] = entry,
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(out.len());
                out.push(entry);
            }
        }
    }
    Some(out)
}

/// Replaces the entry of that identity, or adds it.
pub(super) fn put(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter_mut().find(|e| e.identity == entry.identity) {
        Some(found) => *found = entry,
        None => entries.push(entry),
    }
}

/// Writes `managedFields`: appliers first, then by time and name. `None` when nobody owns anything.
pub(super) fn encode(entries: &[Entry]) -> Option<Value> {
    let mut sorted: Vec<&Entry> = entries.iter().filter(|e| !e.fields.is_empty()).collect();
    sorted.sort_by_key(|e| {
        let i = &e.identity;
        (i.operation, seconds(e.time.as_deref()), i.manager.clone(), e.api_version.clone(), i.subresource.clone())
    });
    if sorted.is_empty() {
        return None;
    }
    Some(sorted.into_iter().map(to_value).collect())
}

fn to_value(entry: &Entry) -> Value {
    let operation = if entry.identity.operation == Operation::Apply { "Apply" } else { "Update" };
    let mut out = Map::new();
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            out.insert(key.into(), value.into());
        }
    };
    text("manager", &entry.identity.manager);
    text("operation", operation);
    text("apiVersion", &entry.api_version);
    text("time", entry.time.as_deref().unwrap_or_default());
    text("fieldsType", "FieldsV1");
    text("subresource", &entry.identity.subresource);
    out.insert("fieldsV1".into(), entry.fields.to_fields_v1());
    out.into()
}

fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|t| t.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_second)
}

/// Whether a request asks to forget all ownership: `[]` or `[{}]`.
pub(super) fn is_reset(managed: Option<&Value>) -> bool {
    managed.and_then(Value::as_array).is_some_and(|list| match list.as_slice() {
        [] => true,
        [only] => *only == json!({}),
        _ => false,
    })
}

/// Merges the oldest updaters of each API version until at most [`MAX_UPDATERS`] are left.
pub(super) fn cap(entries: &mut Vec<Entry>) {
    let is_updater = |e: &Entry| e.identity.operation == Operation::Update;
    let mut left = entries.iter().filter(|e| is_updater(e)).count();
    if left <= MAX_UPDATERS {
        return;
    }
    let (mut updaters, mut rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(entries).into_iter().partition(is_updater);
    updaters.sort_by_cached_key(|e| (seconds(e.time.as_deref()), e.identity.clone()));
    // The oldest of each version stays until a second one is found; then both go into the bucket.
    let mut oldest: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in updaters {
        let Some(first) = oldest.get_mut(&entry.api_version).filter(|_| left > MAX_UPDATERS) else {
            if left > MAX_UPDATERS {
                oldest.insert(entry.api_version.clone(), entry);
            } else {
                rest.push(entry);
            }
            continue;
        };
        first.identity.manager = ANCIENT.into();
        first.identity.subresource = String::new();
        first.fields.absorb(&entry.fields);
        first.time = entry.time;
        left -= 1;
    }
    for mut bucket in oldest.into_values() {
        // A bucket that was written to lately has not been met yet.
        if let Some(at) = rest.iter().position(|e| e.identity == bucket.identity) {
            let known = rest.swap_remove(at);
            bucket.fields.absorb(&known.fields);
            bucket.time = known.time;
        }
        rest.push(bucket);
    }
    *entries = rest;
}
