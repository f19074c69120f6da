//! Changing a kubeconfig file: the text is changed where our entries stand and nowhere else, what comes out is read
//! again and compared before the file is touched, and the file is replaced in one step under kubectl's lock.

mod change;
mod emit;
mod fields;
mod lock;
mod replace;
mod splice;
pub mod undo;

use std::path::Path;

use serde_json::{Value, json};

pub use self::change::{Change, Entry};
pub use self::replace::create;
use self::undo::Journal;

use self::change::{find, items};
use self::lock::Lock;
use crate::Error;
use crate::kubeconfig::{Kubeconfig, Source};
use crate::yaml::{self, Document, Kind, Layout, Node};

/// Puts entries in, replacing those of the same name. `current-context` stays. Returns whether the file changed.
///
/// # Errors
/// A file that cannot be read, understood, locked or written; it is then as it was.
pub fn put(path: &Path, entries: &[Entry]) -> Result<bool, Error> {
    edit(path, &|_| Ok(puts(entries)), Really::Do(None))
}

/// Takes entries out by list and name; `current-context` goes if it names one of them. A file that has none of them is
/// not touched, nor locked. Returns whether the file changed.
///
/// # Errors
/// As [`put`].
pub fn remove(path: &Path, entries: &[(&'static str, &str)]) -> Result<bool, Error> {
    edit(path, &|_| Ok(removals(entries)), Really::Do(None))
}

/// Whether [`put`] of entries of these names would work now: everything is done but the last step.
///
/// # Errors
/// As [`put`].
pub fn can_put(path: &Path, entries: &[Entry]) -> Result<(), Error> {
    edit(path, &|_| Ok(puts(entries)), Really::Try).map(drop)
}

/// Whether [`remove`] would work now: everything is done but the last step.
///
/// # Errors
/// As [`put`].
pub fn can_remove(path: &Path, entries: &[(&'static str, &str)]) -> Result<(), Error> {
    edit(path, &|_| Ok(removals(entries)), Really::Try).map(drop)
}

/// Makes the changes that follow from what the file says, read under its lock, and keeps what it said for
/// [`undo::undo`]. Returns whether the file changed.
///
/// # Errors
/// As [`put`], and what `changes` says.
pub fn update(path: &Path, changes: Changes<'_>, journal: &Journal) -> Result<bool, Error> {
    edit(path, changes, Really::Do(Some(journal)))
}

/// Which changes to make of what a file says.
pub type Changes<'a> = &'a dyn Fn(&Value) -> Result<Vec<Change>, Error>;

fn puts(entries: &[Entry]) -> Vec<Change> {
    entries.iter().cloned().map(Change::Put).collect()
}

fn removals(entries: &[(&'static str, &str)]) -> Vec<Change> {
    entries.iter().map(|(list, name)| Change::Remove { list, name: (*name).to_owned() }).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Really<'a> {
    /// And keep what was, where a change is named.
    Do(Option<&'a Journal>),
    Try,
}

fn edit(path: &Path, changes: Changes<'_>, really: Really<'_>) -> Result<bool, Error> {
    let after = |before: &[u8]| changed(path, before, &changes(&root(path, before)?)?);
    // A file that stays as it is needs no lock: it may be read-only, or a team's.
    if after(&replace::read(path)?)?.is_none() {
        return Ok(false);
    }
    let real = replace::target(path)?;
    replace::make_directory(path, &real)?;
    let _lock = Lock::take(path, &real)?;
    let Some(bytes) = after(&replace::read(path)?)? else { return Ok(false) };
    if let Really::Do(Some(journal)) = really {
        undo::keep(path, &real, journal, &bytes)?;
    }
    replace::replace(path, &real, &bytes, really != Really::Try)?;
    Ok(true)
}

/// What a file says as JSON; `null` where it says nothing.
pub(crate) fn root(path: &Path, bytes: &[u8]) -> Result<Value, Error> {
    let wrong = |wrong| content(path, wrong);
    let (text, _) = yaml::decode(bytes).map_err(wrong)?;
    yaml::parse(&text).and_then(|document| document.root.map_or(Ok(Value::Null), |root| root.json())).map_err(wrong)
}

fn content(path: &Path, wrong: yaml::Wrong) -> Error {
    Error::Content {
        file: path.display().to_string(),
        line: wrong.line,
        what: wrong.what,
        hint: "mend the file, then repeat the command; it was left as it is".to_owned(),
    }
}

/// The bytes after the changes; none where nothing changes.
///
/// # Errors
/// Bytes that kubectl would not read; a layout in which the changes cannot be made without touching other entries.
pub fn changed(path: &Path, before: &[u8], changes: &[Change]) -> Result<Option<Vec<u8>>, Error> {
    let config = Kubeconfig::read(before, Source::File(path))?;
    let wrong = |wrong| content(path, wrong);
    let (original, encoding) = yaml::decode(before).map_err(wrong)?;
    let mut text = original.clone();
    for change in steps(&config, changes) {
        let document = yaml::parse(&text).map_err(wrong)?;
        if settled(&document, &change) {
            continue;
        }
        let good = |new: &String| yaml::parse(new).is_ok_and(|after| faithful(&text, &document, new, &after, &change));
        // The one that leaves most as it is comes first.
        let ways = [fields::apply, splice::apply, rewrite];
        text = ways.iter().find_map(|way| way(&text, &document, &change).filter(good)).ok_or_else(|| Error::Write {
            doing: "editing",
            file: path.to_owned(),
            what: "its entries cannot be changed without touching others".to_owned(),
            hint: "kubectl config view --raw writes it in a plain layout; it was left as it is".to_owned(),
        })?;
    }
    if text == original {
        return Ok(None);
    }
    let bytes = encoding.encode(&text);
    Kubeconfig::read(&bytes, Source::File(path))?;
    Ok(Some(bytes))
}

/// The changes, and the one that follows from them.
fn steps(config: &Kubeconfig, changes: &[Change]) -> Vec<Change> {
    let removes_current = |change: &Change| matches!(change, Change::Remove { list: "contexts", name } if *name == config.current_context);
    let mut all = changes.to_vec();
    if !config.current_context.is_empty() && changes.iter().any(removes_current) {
        all.push(Change::Current(String::new()));
    }
    all
}

/// Whether it is so already.
fn settled(document: &Document, change: &Change) -> bool {
    let root = document.root.as_ref();
    let is = |key: &str, value: &Value| match root.and_then(|r| r.get(key)).filter(|node| !node.is_null()) {
        Some(node) => node.json().is_ok_and(|there| there == *value),
        None => *value == "" || *value == json!({}),
    };
    match change {
        Change::Put(entry) => find(root, entry.list, &entry.name).is_some_and(|item| {
            item.get(entry.key()).is_some_and(|value| value.json().is_ok_and(|v| said(v) == said(entry.value.clone())))
        }),
        Change::Remove { list, name } | Change::Delete { list, name } => find(root, list, name).is_none(),
        Change::Rename { list, old, .. } => find(root, list, old).is_none(),
        Change::Current(_) | Change::Preferences(_) => change.value().is_some_and(|value| is(change.place(), &value)),
    }
}

/// An entry's fields without those that are null: they say nothing.
fn said(mut fields: Value) -> Value {
    if let Value::Object(fields) = &mut fields {
        fields.retain(|_, value| !value.is_null());
    }
    fields
}

/// Whether a change did what it should and nothing else: every other entry is there with its values, in the same
/// order, and what comes after the document is byte for byte what it was.
fn faithful(text: &str, before: &Document, new: &str, after: &Document, change: &Change) -> bool {
    if text[before.end..] != new[after.end..] {
        return false;
    }
    let (old, root) = (before.root.as_ref().filter(|r| !r.is_null()), after.root.as_ref());
    let touched = change.place();
    let others_stay = match (old.map(Node::entries), root.map(Node::entries)) {
        (Some(old), Some(new)) => {
            let kept = old.iter().filter(|(key, _)| *key != touched);
            kept.clone().count() == new.keys().filter(|key| *key != touched).count()
                && kept.clone().all(|(key, value)| new.get(key).is_some_and(|v| v.same(value)))
        }
        (None, Some(new)) => new.keys().all(|key| key == touched || key == "apiVersion" || key == "kind"),
        _ => return false,
    };
    let names = change.names();
    if names.is_empty() {
        return others_stay && settled(after, change);
    }
    let stranger = |item: &&Node| item.name().is_none_or(|name| !names.contains(&name.as_str()));
    let strangers = |root| items(root, touched).iter().filter(stranger).collect::<Vec<_>>();
    let (was, is) = (strangers(old), strangers(root));
    others_stay
        && was.len() == is.len()
        && was.iter().zip(is).all(|(a, b)| a.same(b))
        && settled(after, change)
        && same_entry(old, root, change)
}

/// Whether an entry that was renamed says what it said.
fn same_entry(old: Option<&Node>, new: Option<&Node>, change: &Change) -> bool {
    let Change::Rename { list, old: from, new: to } = change else { return true };
    match (find(old, list, from).map(Node::json), find(new, list, to).map(Node::json)) {
        (Some(Ok(was)), Some(Ok(is))) => renamed(was, to) == is,
        _ => false,
    }
}

fn renamed(mut item: Value, name: &str) -> Value {
    item["name"] = name.into();
    item
}

/// The document written anew, other people's values as they are spelt; comments are lost. For layouts that `splice`
/// cannot change: an entry that others refer to, say.
fn rewrite(text: &str, document: &Document, change: &Change) -> Option<String> {
    let root = document.root.as_ref()?;
    let Kind::Mapping(pairs, layout) = &*root.target().kind else { return None };
    let node = |node: &Node| {
        let mut out = String::new();
        emit::node(node, &mut out);
        out
    };
    let (list, names) = (change.place(), change.names());
    let entry = match change {
        Change::Put(entry) => Some(entry.whole().to_string()),
        Change::Rename { list, old, new } => Some(renamed(find(Some(root), list, old)?.json().ok()?, new).to_string()),
        _ => None,
    };
    let own = change.value().map(|value| emit::flow(&value));
    let value = |key: &str, value: &Node| match &own {
        _ if key != list => node(value),
        Some(own) => own.clone(),
        None => {
            let stranger = |item: &&Node| item.name().is_none_or(|name| !names.contains(&name.as_str()));
            let kept = items(Some(root), list).iter().filter(stranger).map(&node);
            let all: Vec<String> = kept.chain(entry.clone()).collect();
            if *layout == Layout::Block && !all.is_empty() { format!("\n- {}", all.join("\n- ")) } else { format!("[{}]", all.join(", ")) }
        }
    };
    let mut lines: Vec<String> = Vec::new();
    for (key, at) in root.entries() {
        lines.push(format!("{}: {}", emit::quoted(&key), value(&key, at)));
    }
    if let Some(entry) = entry.filter(|_| root.get(list).is_none()) {
        lines.push(format!("{}: [{entry}]", emit::quoted(list)));
    }
    debug_assert!(!pairs.is_empty() || lines.len() <= 1);
    if let Some(own) = own.filter(|_| root.get(list).is_none()) {
        lines.push(format!("{}: {own}", emit::quoted(list)));
    }
    let start = if text[..document.end].starts_with("---") { "---\n" } else { "" };
    let body = match layout {
        Layout::Flow => format!("{{{}}}\n", lines.join(",\n ")),
        Layout::Block => format!("{}\n", lines.join("\n")),
    };
    Some(format!("{start}{body}{}", &text[document.end..]))
}

#[cfg(test)]
mod tests;
