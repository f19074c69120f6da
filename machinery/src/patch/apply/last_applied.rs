//! The move from client-side apply: kubectl kept what it applied in an annotation, and its fields
//! belong to an `Update`. Its first server-side apply must not conflict with itself.

use serde_json::Value;

use super::Writer;
use super::conflict::Conflict;
use super::typed::Place;
use crate::patch::fields::FieldSet;

/// Where `kubectl apply` keeps the last configuration.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The only manager the annotation is for.
const KUBECTL: &str = "kubectl";

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// The conflicts that are not with what kubectl itself applied from the client before.
pub(super) fn not_ours(place: Place<'_>, live: &Value, conflicts: Vec<Conflict>, writer: &Writer<'_>) -> Vec<Conflict> {
    if writer.manager != KUBECTL {
        return conflicts;
    }
    let Some(ours) = applied_before(place, live, writer) else { return conflicts };
    conflicts.into_iter().filter(|c| !ours.contains(&c.path)).collect()
}

/// Paths of the last configuration that still have the values it gave them.
fn applied_before(place: Place<'_>, live: &Value, writer: &Writer<'_>) -> Option<FieldSet> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(writer.api_version) || !place.faults(&last).is_empty() {
        return None;
    }
    let changed = place.compare(&last, live);
    Some(place.paths_of(&last).difference(&changed.modified).difference(&changed.added).difference(&changed.removed))
}

/// Keeps the annotation in step with a server-side apply by kubectl, where it is there at all.
pub(super) fn refresh(object: &mut Value, applied: &Value, writer: &Writer<'_>) {
    if writer.manager != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut last = applied.clone();
    if let Some(annotations) = last.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.into(), format!("{last}\n").into());
    }
}
