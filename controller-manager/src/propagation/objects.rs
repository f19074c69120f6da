//! All names that something is known under, by name and by namespace, and which of them wait to be looked at.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{
    entry::{Entry, Key},
    per_cluster::ClusterName,
};
use crate::kinds::{KindId, NAMESPACE, ObjectKey};
use crate::observed::Seen;

/// See the module.
#[derive(Default)]
pub(super) struct Objects {
    entries: HashMap<Key, Entry>,
    /// Names that are in a namespace, by kind in each.
    by_namespace: HashMap<String, BTreeSet<Key>>,
    queue: VecDeque<Key>,
}

impl Objects {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &ObjectKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// What is known under a name, which is nothing if it is new.
    pub(super) fn entry(&mut self, key: &Key) -> &mut Entry {
        if !key.namespace.is_empty() && !self.entries.contains_key(key) {
            match self.by_namespace.get_mut(&key.namespace) {
                Some(keys) => drop(keys.insert(key.clone())),
                None => drop(self.by_namespace.insert(key.namespace.clone(), [key.clone()].into())),
            }
        }
        self.entries.entry(key.clone()).or_default()
    }

    /// The key as all tables share it.
    pub(super) fn shared(&self, key: impl Into<Key>) -> Key {
        let key = key.into();
        self.known(&key).cloned().unwrap_or(key)
    }

    /// The key, if anything is known under it.
    pub(super) fn known(&self, key: &ObjectKey) -> Option<&Key> {
        self.entries.get_key_value(key).map(|(known, _)| known)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Entry)> {
        self.entries.iter_mut()
    }

    /// All names of a kind.
    pub(super) fn of_kind(&self, kind: KindId) -> impl Iterator<Item = (&Key, &Entry)> {
        self.iter().filter(move |(key, _)| key.kind == kind)
    }

    /// All names of a kind in a namespace.
    pub(super) fn of_kind_in(&self, kind: KindId, namespace: &str) -> impl Iterator<Item = (&Key, &Entry)> {
        let first = ObjectKey { kind, namespace: namespace.to_owned(), name: String::new() };
        let keys = self.by_namespace.get(namespace).into_iter().flat_map(move |keys| keys.range::<ObjectKey, _>(&first..));
        keys.take_while(move |key| key.kind == kind).filter_map(|key| Some((key, self.entries.get(key)?)))
    }

    /// What a cluster shows of ours.
    pub(super) fn seen_in(&self, cluster: &str) -> impl Iterator<Item = (&Key, &Seen)> {
        self.iter().filter_map(move |(key, entry)| Some((key, entry.seen.get(cluster)?)))
    }

    /// Forgets what a cluster showed.
    pub(super) fn forget_cluster(&mut self, cluster: &ClusterName) {
        self.entries.values_mut().for_each(|entry| drop(entry.seen.remove(cluster)));
    }

    /// Takes a name out, to decide about it; what is known under all others can be read meanwhile.
    pub(super) fn take(&mut self, key: &ObjectKey) -> Option<Entry> {
        self.entries.remove(key)
    }

    /// Puts back what was taken; a name that nothing is known under is forgotten.
    pub(super) fn put_back(&mut self, key: &Key, entry: Entry) {
        if !entry.is_empty() {
            self.entries.insert(key.clone(), entry);
            return;
        }
        if let Some(keys) = self.by_namespace.get_mut(&key.namespace) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_namespace.remove(&key.namespace);
            }
        }
    }

    /// The next name to look at.
    pub(super) fn next(&mut self) -> Option<Key> {
        loop {
            let key = self.queue.pop_front()?;
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.queued = false;
                return Some(key);
            }
        }
    }

    /// Whether nothing waits to be looked at.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Looks at a name soon, if anything is known under it.
    pub(super) fn enqueue(&mut self, key: &ObjectKey) {
        let Some((key, _)) = self.entries.get_key_value(key) else { return };
        let key = key.clone();
        if self.entries.get_mut(&key).is_some_and(|entry| !std::mem::replace(&mut entry.queued, true)) {
            self.queue.push_back(key);
        }
    }

    /// The same after news from one cluster, if they are of any consequence. What is in a namespace waits for it, so a namespace
    /// is always looked at.
    pub(super) fn enqueue_after(&mut self, key: &ObjectKey, cluster: &str) {
        if key.kind == NAMESPACE || self.entries.get_mut(key).is_none_or(|entry| entry.is_due(key.kind(), cluster)) {
            self.enqueue(key);
        }
    }

    /// Namespaces first: what is in them waits for them.
    pub(super) fn enqueue_all(&mut self) {
        self.enqueue_where(|_, _| true);
    }

    pub(super) fn enqueue_kind(&mut self, kind: KindId) {
        self.enqueue_where(|key, _| key.kind == kind);
    }

    pub(super) fn enqueue_namespace(&mut self, namespace: &str) {
        for key in self.by_namespace.get(namespace).into_iter().flatten() {
            if self.entries.get_mut(key).is_some_and(|entry| !std::mem::replace(&mut entry.queued, true)) {
                self.queue.push_back(key.clone());
            }
        }
    }

    /// Looks at those of which `due` says so; namespaces first.
    pub(super) fn enqueue_where(&mut self, mut due: impl FnMut(&Key, &mut Entry) -> bool) {
        let mut others = Vec::new();
        for (key, entry) in &mut self.entries {
            if !due(key, entry) || std::mem::replace(&mut entry.queued, true) {
                continue;
            }
            if key.kind == NAMESPACE {
                self.queue.push_back(key.clone());
            } else {
                others.push(key.clone());
            }
        }
        self.queue.extend(others);
    }
}
