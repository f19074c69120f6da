//! Changes of a kubeconfig's text: only the lines of our entries change; comments, order and spelling of all else stay.

use serde_json::{Value, json};

use super::change::{Change, Entry, find};
use super::emit;
use crate::yaml::{self, Document, Kind, Layout, Node};

/// The text with one change made; none where its layout leaves no way.
pub(super) fn apply(text: &str, document: &Document, change: &Change) -> Option<String> {
    let newline = if text[..document.end].contains("\r\n") { "\r\n" } else { "\n" };
    let (start, end, with) = match (change, &document.root) {
        (Change::Put(entry), None) => fresh(text, document.end, document.end, &list_of(entry)),
        (Change::Put(entry), Some(root)) if root.is_null() => instead_of_nothing(text, document, root, &list_of(entry)),
        (Change::Put(entry), Some(root)) => put(text, document, root, entry)?,
        (Change::Remove { list, name } | Change::Delete { list, name }, Some(root)) => remove(text, document, root, list, name)?,
        (Change::Rename { list, old, new }, Some(root)) => rename(root, list, old, new)?,
        (Change::Current(_) | Change::Preferences(_), root) => {
            let (key, value) = (change.place(), change.value()?);
            match root {
                None => fresh(text, document.end, document.end, &field_line(key, &value)),
                Some(root) if root.is_null() => instead_of_nothing(text, document, root, &field_line(key, &value)),
                Some(root) => field(text, document, root, key, &value)?,
            }
        }
        (Change::Remove { .. } | Change::Delete { .. } | Change::Rename { .. }, None) => return Some(text.to_owned()),
    };
    let with = if newline == "\n" { with } else { with.replace('\n', newline) };
    let mut new = text.to_owned();
    new.replace_range(start..end, &with);
    Some(new)
}

type Edit = (usize, usize, String);

/// A whole new document instead of an empty one.
fn fresh(text: &str, start: usize, end: usize, line: &str) -> Edit {
    let all = json!({"apiVersion": "v1", "kind": "Config"});
    (start, end, format!("{}{}\n{line}", before(text, start), emit::block(&all, 0)))
}

fn instead_of_nothing(text: &str, document: &Document, root: &Node, line: &str) -> Edit {
    match text.get(root.start..root.end) {
        Some("") | None => fresh(text, document.end, document.end, line),
        Some(_) => fresh(text, root.start, root.end, line),
    }
}

fn list_of(entry: &Entry) -> String {
    format!("{}:\n- {}\n", entry.list, emit::block(&entry.whole(), 2))
}

fn field_line(key: &str, value: &Value) -> String {
    format!("{key}: {}\n", emit::flow(value))
}

fn put(text: &str, document: &Document, root: &Node, entry: &Entry) -> Option<Edit> {
    let Kind::Mapping(pairs, layout) = &*root.kind else { return None };
    let one = entry.whole();
    let found = pairs.iter().rev().find(|(key, _)| is(key, entry.list));
    let Some((key, list)) = found else {
        return match layout {
            Layout::Flow => {
                let comma = if pairs.is_empty() { "" } else { ", " };
                Some((root.start + 1, root.start + 1, format!("{}: [{one}]{comma}", emit::quoted(entry.list))))
            }
            Layout::Block => {
                let pad = " ".repeat(column(text, pairs.first()?.0.start));
                let at = line_end(text, content_end(text, document, root));
                Some((at, at, format!("{}{pad}{}:\n{pad}- {}\n", before(text, at), entry.list, emit::block(&one, pad.len() + 2))))
            }
        };
    };
    let empty = list.is_null() || matches!(&*list.kind, Kind::Sequence(items, Layout::Flow) if items.is_empty());
    if empty && plain(list) && *layout == Layout::Block {
        let colon = key.end + text[key.end..document.end].find(':')? + 1;
        let pad = column(text, key.start);
        let lines = format!("\n{}- {}", " ".repeat(pad), emit::block(&one, pad + 2));
        return Some((colon, list.end.max(colon), lines));
    }
    match &*list.kind {
        Kind::Scalar(..) if list.is_null() => {
            let (start, end) = (list.start, list.end.max(list.start));
            let gap = if text[..start].ends_with([' ', '\t', '\n']) { "" } else { " " };
            Some((start, end, format!("{gap}[{one}]")))
        }
        Kind::Sequence(items, Layout::Flow) => {
            if let Some(item) = items.iter().find(|item| item.name().as_deref() == Some(&entry.name)) {
                return plain(item).then(|| (item.start, item.end, one.to_string()));
            }
            Some(match items.last() {
                Some(last) => (last.end, last.end, format!(", {one}")),
                None => (list.start + 1, list.start + 1, one.to_string()),
            })
        }
        Kind::Sequence(items, Layout::Block) => {
            let dashes = dashes(text, items)?;
            let pad = column(text, *dashes.first()?);
            let line = format!("{}- {}\n", " ".repeat(pad), emit::block(&one, pad + 2));
            if let Some(i) = items.iter().position(|item| item.name().as_deref() == Some(&entry.name)) {
                let start = line_start(text, dashes[i]);
                return Some((start, line_end(text, content_end(text, document, &items[i])), line));
            }
            let at = line_end(text, content_end(text, document, items.last()?));
            Some((at, at, format!("{}{line}", before(text, at))))
        }
        _ => None,
    }
}

fn remove(text: &str, document: &Document, root: &Node, list: &str, name: &str) -> Option<Edit> {
    let Kind::Mapping(pairs, _) = &*root.kind else { return None };
    let (_, list) = pairs.iter().rev().find(|(key, _)| is(key, list))?;
    let Kind::Sequence(items, layout) = &*list.kind else { return None };
    let i = items.iter().position(|item| item.name().as_deref() == Some(name))?;
    match layout {
        Layout::Flow => {
            plain(&items[i]).then_some(())?;
            Some(match (items.get(i + 1), i.checked_sub(1)) {
                (Some(next), _) => (items[i].start, next.start, String::new()),
                (None, Some(before)) => (items[before].end, items[i].end, String::new()),
                (None, None) => (items[i].start, items[i].end, String::new()),
            })
        }
        Layout::Block => {
            let dashes = dashes(text, items)?;
            let end = line_end(text, content_end(text, document, &items[i]));
            if items.len() == 1 {
                // The list's key stays, with an empty list behind its colon.
                let colon = text[..dashes[0]].trim_end().len();
                return text[..colon].ends_with(':').then(|| (colon, end, " []\n".to_owned()));
            }
            Some((line_start(text, dashes[i]), end, String::new()))
        }
    }
}

fn rename(root: &Node, list: &str, old: &str, new: &str) -> Option<Edit> {
    let item = find(Some(root), list, old)?;
    let Kind::Mapping(pairs, layout) = &*item.kind else { return None };
    let (_, name) = pairs.iter().rev().find(|(key, _)| is(key, "name"))?;
    (plain(name) && name.end > name.start).then(|| (name.start, name.end, emit::beside(&new.into(), *layout)))
}

fn field(text: &str, document: &Document, root: &Node, key: &str, new: &Value) -> Option<Edit> {
    let Kind::Mapping(pairs, layout) = &*root.kind else { return None };
    match pairs.iter().rev().find(|(there, _)| is(there, key)) {
        Some((_, value)) if value.end > value.start && is_one_piece(value) => {
            plain(value).then(|| (value.start, value.end, emit::beside(new, *layout)))
        }
        // A key with nothing behind it, or with lines below it.
        Some((key, value)) => {
            let colon = key.end + text[key.end..document.end].find(':')? + 1;
            let end = if is_one_piece(value) { colon } else { content_end(text, document, value) };
            plain(value).then(|| (colon, end, format!(" {}", emit::beside(new, *layout))))
        }
        None if *layout == Layout::Flow => {
            let comma = if pairs.is_empty() { "" } else { ", " };
            Some((root.start + 1, root.start + 1, format!("{}: {}{comma}", emit::quoted(key), emit::beside(new, *layout))))
        }
        None => {
            let pad = " ".repeat(column(text, pairs.first()?.0.start));
            let at = line_end(text, content_end(text, document, root));
            Some((at, at, format!("{}{pad}{}", before(text, at), field_line(key, new))))
        }
    }
}

/// Whether a node ends where it says, which a collection by indentation does not.
fn is_one_piece(node: &Node) -> bool {
    !matches!(&*node.kind, Kind::Mapping(_, Layout::Block) | Kind::Sequence(_, Layout::Block))
}

/// Without an anchor or tag before it, which would stand in front of what replaces it.
pub(super) fn plain(node: &Node) -> bool {
    node.tag.is_none() && !matches!(&*node.kind, Kind::Alias(_))
}

pub(super) fn is(key: &Node, name: &str) -> bool {
    matches!(key.scalar(), Ok(Some(yaml::Scalar::Text(text))) if text == name)
}

/// Where the dash of every item is: the first thing on its line, in one column.
fn dashes(text: &str, items: &[Node]) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for item in items {
        let line = line_start(text, item.start);
        let dash = line + text[line..].find(|c| c != ' ')?;
        if !text[dash..].starts_with("- ") || all.first().is_some_and(|first| column(text, *first) != column(text, dash)) {
            return None;
        }
        all.push(dash);
    }
    (!all.is_empty()).then_some(all)
}

/// The end of what a node really has: a block collection's own end is wherever the next token is.
pub(super) fn content_end(text: &str, document: &Document, node: &Node) -> usize {
    let end = match &*node.kind {
        Kind::Mapping(pairs, Layout::Block) => pairs.last().map(|(key, value)| key.end.max(content_end(text, document, value))),
        Kind::Sequence(items, Layout::Block) => items.last().map(|item| content_end(text, document, item)),
        _ => None,
    };
    let end = end.unwrap_or(node.end).min(document.end);
    // A block scalar ends with its last line break, or with blank lines behind it.
    node.start.max(text[..end].trim_end_matches([' ', '\t', '\r', '\n']).len())
}

pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |i| i + 1)
}

/// Behind the line break that ends the line of a place.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |i| at + i + 1)
}

pub(super) fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().count()
}

/// A line break, where the text before lacks its last one.
pub(super) fn before(text: &str, at: usize) -> &'static str {
    if at == 0 || text[..at].ends_with('\n') { "" } else { "\n" }
}

impl Node {
    /// The name of an entry.
    pub(super) fn name(&self) -> Option<String> {
        match self.get("name")?.scalar() {
            Ok(Some(yaml::Scalar::Text(name))) => Some(name.into_owned()),
            _ => None,
        }
    }
}

impl Entry {
    /// The entry as it stands in its list.
    pub(super) fn whole(&self) -> Value {
        json!({"name": self.name, self.key(): self.value})
    }
}
