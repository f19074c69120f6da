//! An entry that is there changed field by field, so that comments between its fields, their order and how they are
//! written stay.

use serde_json::{Map, Value};

use super::change::{Change, Entry, find};
use super::emit;
use super::splice::{before, column, content_end, line_end, line_start, plain};
use crate::yaml::{Document, Kind, Layout, Node};

/// The text with the entry's fields changed; none where it is not there yet, or its layout leaves no way.
pub(super) fn apply(text: &str, document: &Document, change: &Change) -> Option<String> {
    let Change::Put(entry) = change else { return None };
    let item = find(document.root.as_ref(), entry.list, &entry.name)?;
    let mut edits = edits(text, document, item, entry)?;
    // From the end, so that the places before stay where they are.
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.0));
    let newline = if text[..document.end].contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = text.to_owned();
    for (start, end, with) in edits {
        new.replace_range(start..end, &with.replace('\n', newline));
    }
    Some(new)
}

type Edit = (usize, usize, String);

fn edits(text: &str, document: &Document, item: &Node, entry: &Entry) -> Option<Vec<Edit>> {
    let Value::Object(wanted) = &entry.value else { return None };
    let Kind::Mapping(outer, outer_layout) = &*item.kind else { return None };
    let (_, value) = outer.iter().rev().find(|(key, _)| super::splice::is(key, entry.key()))?;
    let Kind::Mapping(pairs, layout) = &*value.kind else { return None };
    if !plain(value) || wanted.is_empty() || pairs.is_empty() {
        return None;
    }
    if *layout == Layout::Flow {
        // In a file of braces it stays JSON.
        let with = if *outer_layout == Layout::Flow { entry.value.to_string() } else { emit::flow(&entry.value) };
        return Some(vec![(value.start, value.end, with)]);
    }
    block(text, document, pairs, wanted)
}

fn block(text: &str, document: &Document, pairs: &[(Node, Node)], wanted: &Map<String, Value>) -> Option<Vec<Edit>> {
    let pad = column(text, pairs.first()?.0.start);
    let mut edits = Vec::new();
    let mut known = Vec::new();
    for (key, node) in pairs {
        let name = key.json().ok()?.as_str()?.to_owned();
        let first_of_line = text[line_start(text, key.start)..key.start].trim_start_matches(' ').is_empty();
        match wanted.get(&name) {
            Some(value) if node.json().is_ok_and(|old| old == *value) => {}
            Some(value) => edits.push(replace(text, document, key, node, value, pad)?),
            None if node.is_null() => {}
            None if first_of_line => {
                let end = line_end(text, content_end(text, document, node).max(key.end));
                edits.push((line_start(text, key.start), end, String::new()));
            }
            None => return None,
        }
        known.push(name);
    }
    let new = wanted.iter().filter(|(name, _)| !known.contains(name));
    let lines: String =
        new.map(|(name, value)| format!("{}{}:{}\n", " ".repeat(pad), emit::text(name), emit::after_key(value, pad))).collect();
    if !lines.is_empty() {
        let (key, node) = pairs.last()?;
        let at = line_end(text, content_end(text, document, node).max(key.end));
        edits.push((at, at, format!("{}{lines}", before(text, at))));
    }
    Some(edits)
}

/// One value for another. What is on one line stays there, with the comment behind it.
fn replace(text: &str, document: &Document, key: &Node, node: &Node, value: &Value, pad: usize) -> Option<Edit> {
    plain(node).then_some(())?;
    let end = content_end(text, document, node);
    if node.start >= key.end && end > node.start && !text[node.start..end].contains('\n') {
        let scalar = matches!(&*node.kind, Kind::Scalar(..));
        let flow = matches!(&*node.kind, Kind::Mapping(_, Layout::Flow) | Kind::Sequence(_, Layout::Flow));
        if (scalar && !value.is_object() && !value.is_array()) || flow {
            return Some((node.start, end, emit::flow(value)));
        }
    }
    let colon = key.end + text[key.end..document.end].find(':')? + 1;
    Some((colon, end.max(colon), emit::after_key(value, pad)))
}
