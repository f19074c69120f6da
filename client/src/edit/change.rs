//! Entries, changes of them, and where they stand.

use serde_json::Value;

use crate::kubeconfig::Preferences;
use crate::yaml::{Kind, Node};

/// One named entry of a kubeconfig.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `clusters`, `users` or `contexts`.
    pub list: &'static str,
    /// Its name.
    pub name: String,
    /// What it says; it replaces what was there.
    pub value: Value,
}

impl Entry {
    /// The key the value stands under: `cluster`, `user` or `context`.
    pub(super) fn key(&self) -> &'static str {
        match self.list {
            "clusters" => "cluster",
            "users" => "user",
            _ => "context",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Puts an entry in, or in the place of the one of its name.
    Put(Entry),
    /// Takes an entry out; `current-context` goes if it names it.
    Remove {
        /// `clusters`, `users` or `contexts`.
        list: &'static str,
        /// Its name.
        name: String,
    },
    /// Takes an entry out and nothing else: `current-context` may name what is gone.
    Delete {
        /// `clusters`, `users` or `contexts`.
        list: &'static str,
        /// Its name.
        name: String,
    },
    /// Gives an entry another name.
    Rename {
        /// `clusters`, `users` or `contexts`.
        list: &'static str,
        /// Its name.
        old: String,
        /// Its name from now on, which no other entry has.
        new: String,
    },
    /// Sets `current-context`, or empties it.
    Current(String),
    /// Sets `preferences`.
    Preferences(Preferences),
}

impl Change {
    /// The list or field that is changed.
    pub(super) fn place(&self) -> &'static str {
        match self {
            Self::Put(entry) => entry.list,
            Self::Remove { list, .. } | Self::Delete { list, .. } | Self::Rename { list, .. } => list,
            Self::Current(_) => "current-context",
            Self::Preferences(_) => "preferences",
        }
    }

    /// The names of the entries that are changed.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Put(Entry { name, .. }) | Self::Remove { name, .. } | Self::Delete { name, .. } => vec![name],
            Self::Rename { old, new, .. } => vec![old, new],
            Self::Current(_) | Self::Preferences(_) => Vec::new(),
        }
    }

    /// The value a field gets.
    pub(super) fn value(&self) -> Option<Value> {
        match self {
            Self::Current(name) => Some(Value::String(name.clone())),
            Self::Preferences(preferences) => serde_json::to_value(preferences).ok(),
            _ => None,
        }
    }
}

pub(super) fn items<'a>(root: Option<&'a Node>, list: &str) -> &'a [Node] {
    match root.and_then(|r| r.get(list)).map(|l| &*l.target().kind) {
        Some(Kind::Sequence(items, _)) => items,
        _ => &[],
    }
}

pub(super) fn find<'a>(root: Option<&'a Node>, list: &str, name: &str) -> Option<&'a Node> {
    items(root, list).iter().find(|item| item.name().as_deref() == Some(name))
}
