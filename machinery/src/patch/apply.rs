//! Server-side apply and the ownership of fields, as structured-merge-diff has it.

mod check;
mod conflict;
mod last_applied;
mod managers;
mod merge;
#[cfg(test)]
mod tests;
mod typed;
mod versions;
mod walk;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

pub use self::managers::Writer;

use self::conflict::{Conflict, conflicts_with};
use self::managers::{Entry, Identity, Operation};
use self::typed::Place;
use self::versions::{Changes, Versions};
use super::fields::FieldSet;
use crate::schema::{Gvk, Types};
use crate::status::ApiError;

/// Owner of what was there before the first apply, on objects whose fields nobody owned.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Metadata the server fills; nobody owns it.
static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    let metadata =
        ["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"];
    let mut out = FieldSet::of_names(&[&["apiVersion"], &["kind"], &["metadata"]]);
    for name in metadata {
        out = out.union(&FieldSet::of_names(&[&["metadata", name]]));
    }
    out
});

/// Applies a configuration to the live object (`None`: there is none yet) and returns the new object
/// with its `managedFields`. Fields this manager applied before, does not apply now and nobody else
/// owns are removed. A configuration that changes nothing returns the live object unchanged.
///
/// Both objects are of the version `gvk`. Managers that wrote another version own fields of that one, where what happened
/// to them is looked for; those of versions there are no more are forgotten.
///
/// `applied` is the configuration as it was written, neither conformed nor with defaults: an explicit
/// zero or empty value is an opinion. It is checked against the schema here.
///
/// # Errors
/// 409 with a cause for each field another manager owns (unless `force`), 400 when the configuration
/// is malformed.
pub fn apply(types: &Types, gvk: &Gvk, live: Option<&Value>, applied: &Value, force: bool, writer: &Writer<'_>) -> Result<Value, ApiError> {
    let versions = Versions { types, gvk };
    let place = versions.place();
    check_configuration(place, applied, writer)?;
    let managed = live.and_then(|l| l.pointer("/metadata/managedFields"));
    let Some(mut entries) = managers::decode(managed) else {
        return Err(ApiError::internal("failed to decode managed fields of the live object"));
    };
    let bare = live.map_or_else(|| json!({}), without_managed_fields);
    if entries.is_empty() && live.is_some() {
        let before = Writer { manager: BEFORE_FIRST_APPLY, ..*writer };
        track(versions, &json!({}), &bare, &mut entries, &before);
    }
    let before = entries.clone();
    let attempt = |entries: &mut Vec<Entry>, force| merge_and_prune(versions, &bare, applied, entries, force, writer);
    let mut object = match attempt(&mut entries, force) {
        Ok(object) => object,
        Err(conflicts) => {
            let rest = last_applied::not_ours(place, &bare, conflicts, writer);
            if !rest.is_empty() {
                return Err(conflict::error(rest));
            }
            entries = before.clone();
            attempt(&mut entries, true).map_err(conflict::error)?
        }
    };
    last_applied::refresh(&mut object, applied, writer);
    let own = Identity::of(writer, Operation::Apply);
    // Owning more or less without changing a value leaves the time alone, as in Kubernetes.
    if object != bare {
        if let Some(entry) = entries.iter_mut().find(|e| e.identity == own) {
            entry.time = Some(writer.now.to_owned());
        }
    } else if entries == before && managed.is_some() {
        return Ok(live.cloned().unwrap_or(object));
    }
    set_managed_fields(&mut object, &entries);
    Ok(object)
}

/// Tracks the ownership of fields of a create (`old` is `None`), update or patch: sets
/// `metadata.managedFields` of `new`. What the request itself says there is honoured as in
/// Kubernetes: valid entries replace the old ones, `[]` or `[{}]` forgets them, everything else is
/// ignored; through a subresource it is always ignored.
///
/// `new` is what will be stored: conformed and with defaults. Only its `managedFields` must be as the
/// request had them, because conforming drops the empty list.
pub fn update(types: &Types, gvk: &Gvk, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    if !new.is_object() {
        return;
    }
    let old_managed = || managers::decode(old.and_then(|o| o.pointer("/metadata/managedFields"))).unwrap_or_default();
    let asked = new.pointer("/metadata/managedFields");
    let mut entries = if !writer.subresource.is_empty() {
        old_managed()
    } else if managers::is_reset(asked) {
        Vec::new()
    } else {
        managers::decode(asked).filter(|e| !e.is_empty()).unwrap_or_else(old_managed)
    };
    let bare = without_managed_fields(new);
    // Objects whose ownership was never tracked, or was reset, stay so until the first apply.
    if !(entries.is_empty() && old.is_some()) {
        let old_bare = old.map_or_else(|| json!({}), without_managed_fields);
        track(Versions { types, gvk }, &old_bare, &bare, &mut entries, writer);
        managers::cap(&mut entries);
    }
    set_managed_fields(new, &entries);
}

/// Takes back the new times in `managedFields` when nothing else has changed, so that the write can
/// be skipped. To be called with the object as it would be stored: only then is it seen that
/// `cpu: 1000m` or an explicit zero changed nothing.
pub fn keep_times(old: &Value, new: &mut Value) {
    let managed = |object: &Value| managers::decode(object.pointer("/metadata/managedFields")).unwrap_or_default();
    let without_times = |mut entries: Vec<Entry>| {
        entries.iter_mut().for_each(|e| e.time = None);
        entries.sort_by(|a, b| a.identity.cmp(&b.identity));
        entries
    };
    let (before, after) = (managed(old), managed(new));
    if before == after || without_times(before) != without_times(after) || without_managed_fields(old) != without_managed_fields(new) {
        return;
    }
    if let Some(times) = old.pointer("/metadata/managedFields") {
        new["metadata"]["managedFields"] = times.clone();
    }
}

fn check_configuration(place: Place<'_>, applied: &Value, writer: &Writer<'_>) -> Result<(), ApiError> {
    let text = |key: &str| applied.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") != writer.api_version {
        let message = format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {}",
            text("apiVersion"),
            writer.api_version
        );
        return Err(ApiError::bad_request(message));
    }
    if applied.pointer("/metadata/managedFields").is_some_and(|v| !v.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let faults = place.faults(applied);
    if faults.is_empty() {
        return Ok(());
    }
    let metadata = |key: &str| applied.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default();
    let message = format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {}",
        metadata("namespace"),
        metadata("name"),
        text("apiVersion"),
        text("kind"),
        faults.join("; ")
    );
    Err(ApiError::bad_request(message))
}

/// The object after applying, with `entries` brought up to date.
fn merge_and_prune(
    versions: Versions<'_>,
    live: &Value,
    applied: &Value,
    entries: &mut Vec<Entry>,
    force: bool,
    writer: &Writer<'_>,
) -> Result<Value, Vec<Conflict>> {
    let place = versions.place();
    let own = Identity::of(writer, Operation::Apply);
    let merged = place.merge(Some(live), Some(applied)).unwrap_or_else(|| json!({}));
    let fields = place.paths_of(applied).without_fields(writer.ignored);
    let last = entries.iter().find(|e| e.identity == own).cloned();
    let time = last.as_ref().and_then(|e| e.time.clone());
    managers::put(entries, Entry { identity: own.clone(), api_version: writer.api_version.into(), time, fields });
    let object = match last {
        Some(last) if !last.fields.is_empty() => prune(versions, merged, &last, entries),
        _ => merged,
    };
    let conflicts = take_over(&mut Changes::new(versions, live, &object, writer.ignored), entries, Some(&own));
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    if let Some(entry) = entries.iter_mut().find(|e| e.identity == own) {
        entry.fields = entry.fields.difference(&UNOWNED);
    }
    entries.retain(|e| !e.fields.is_empty());
    Ok(object)
}

/// Takes out of `merged` what this manager applied last time, unless somebody owns it now (this
/// manager by its new configuration included).
fn prune(versions: Versions<'_>, merged: Value, last: &Entry, entries: &[Entry]) -> Value {
    let at_last = last.api_version.as_str();
    let Some((place, before)) = versions.at(at_last, &merged) else { return merged };
    let applied = place.with_named_fields(&last.fields);
    let pruned = without(place, &before, &applied);
    let mut owned: BTreeMap<&str, FieldSet> = BTreeMap::new();
    entries.iter().for_each(|e| owned.entry(&e.api_version).or_default().absorb(&e.fields));
    // What others own comes back, in the version it was pruned in first: others are made from what is left.
    let mut kept = match owned.remove(at_last) {
        Some(owned) => kept_at(place, &before, &pruned, &owned),
        None => pruned,
    };
    for (version, owned) in owned {
        let kept_there = versions.back(at_last, kept.clone());
        let Some((place, before)) = versions.at(version, &merged) else { continue };
        let Some((_, pruned)) = versions.at(version, &kept_there) else { continue };
        let there = versions.back(version, kept_at(place, &before, &pruned, &owned));
        kept = versions.at(at_last, &there).map_or(kept, |(_, kept)| kept.into_owned());
    }
    // So does what stood below a removed item but was never applied by this manager.
    let named = |value: &Value| place.with_named_fields(&place.paths_of(value));
    let object = without(place, &before, &named(&before).difference(&named(&kept)).intersection(&applied));
    versions.back(at_last, object)
}

fn without(place: Place<'_>, object: &Value, gone: &FieldSet) -> Value {
    place.without(object, gone).unwrap_or_else(|| json!({}))
}

/// What was pruned, with what others own of what was there before.
fn kept_at(place: Place<'_>, before: &Value, pruned: &Value, owned: &FieldSet) -> Value {
    let named = |set: &FieldSet| place.with_named_fields(set);
    let kept = named(&place.paths_of(pruned)).union(&named(owned));
    without(place, before, &named(&place.paths_of(before)).difference(&kept))
}

/// Takes the written and removed fields from all other managers, and returns what was taken from
/// whom by writing.
fn take_over(changes: &mut Changes<'_>, entries: &mut Vec<Entry>, except: Option<&Identity>) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    entries.retain_mut(|entry| {
        if Some(&entry.identity) == except {
            return true;
        }
        let Some(comparison) = changes.at(&entry.api_version) else { return false };
        let taken = entry.fields.intersection(&comparison.written());
        conflicts.extend(conflicts_with(&entry.identity, &taken));
        entry.fields = entry.fields.difference(&taken).difference(&comparison.removed);
        !entry.fields.is_empty()
    });
    conflicts
}

/// Gives everything that changed between two objects to the writer, as an `Update`.
fn track(versions: Versions<'_>, old: &Value, new: &Value, entries: &mut Vec<Entry>, writer: &Writer<'_>) {
    let mut changes = Changes::new(versions, old, new, writer.ignored);
    take_over(&mut changes, entries, None);
    let fields = changes.at(writer.api_version).map(|comparison| comparison.written().difference(&UNOWNED)).unwrap_or_default();
    if fields.is_empty() {
        return;
    }
    let identity = Identity::of(writer, Operation::Update);
    let before = entries.iter().find(|e| e.identity == identity).map(|e| e.fields.clone()).unwrap_or_default();
    let entry = Entry { identity, api_version: writer.api_version.into(), time: Some(writer.now.into()), fields: fields.union(&before) };
    managers::put(entries, entry);
}

fn without_managed_fields(object: &Value) -> Value {
    let mut out = object.clone();
    if let Some(metadata) = out.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    out
}

fn set_managed_fields(object: &mut Value, entries: &[Entry]) {
    let Some(map) = object.as_object_mut() else { return };
    let encoded = managers::encode(entries);
    if encoded.is_none() && !map.get("metadata").is_some_and(Value::is_object) {
        return;
    }
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        match encoded {
            Some(list) => metadata.insert("managedFields".into(), list),
            None => metadata.remove("managedFields"),
        };
    }
}
