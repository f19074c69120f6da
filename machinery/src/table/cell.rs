//! Small readers the columns share. Missing parts read as empty, never as an error.

use serde_json::Value;

use crate::selector::LabelSelector;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";
pub(super) const UNKNOWN: &str = "<unknown>";

/// Text at a JSON pointer; empty when missing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Text at a JSON pointer, or the stand-in when it is missing or empty.
pub(super) fn text_or<'a>(object: &'a Value, pointer: &str, otherwise: &'a str) -> &'a str {
    let found = text(object, pointer);
    if found.is_empty() { otherwise } else { found }
}

/// Whole number at a JSON pointer; 0 when missing.
pub(super) fn int(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// List at a JSON pointer; empty when missing.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Number of entries of the map or list at a JSON pointer.
pub(super) fn count(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

/// A scalar as people read it: text without quotes, everything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Texts joined by commas, or `<none>`.
pub(super) fn joined<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let all: Vec<S> = items.into_iter().collect();
    if all.is_empty() { NONE.into() } else { all.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",") }
}

/// The first items and how many more there are.
pub(super) fn first_and_more(items: &[String], most: usize, separator: &str) -> String {
    match items.len() {
        0 => NONE.into(),
        n if n > most => format!("{} + {} more...", items[..most].join(separator), n - most),
        _ => items.join(separator),
    }
}

/// A plain map of labels as `a=b,c=d`, or `<none>`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object);
    joined(map.into_iter().flatten().map(|(k, v)| format!("{k}={}", plain(v))))
}

/// A label selector object in its short form.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer).map(LabelSelector::from_object) {
        None => NONE.into(),
        Some(Err(_)) => "<error>".into(),
        Some(Ok(s)) if s.is_everything() => NONE.into(),
        Some(Ok(s)) => s.to_string(),
    }
}

/// Field of the containers of a pod template, joined by commas.
pub(super) fn containers(object: &Value, pod_spec: &str, field: &str) -> String {
    let all = list(object, &format!("{pod_spec}/containers"));
    all.iter().map(|c| text(c, field)).collect::<Vec<_>>().join(",")
}

/// Status of the condition of this type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    list(object, "/status/conditions").iter().find(|c| text(c, "/type") == kind).map(|c| text(c, "/status"))
}

/// Sorted addresses of a load balancer status.
pub(super) fn load_balancer(object: &Value) -> Vec<String> {
    let mut out: Vec<String> = list(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|i| text_or(i, "/ip", text(i, "/hostname")).to_owned())
        .filter(|a| !a.is_empty())
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}
