//! What is known of one object in each cluster.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// Name of a cluster, which all that is kept of it shares. One word: there is one for each object in each cluster.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ClusterName(Arc<Box<str>>);

impl Deref for ClusterName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClusterName {
    fn borrow(&self) -> &str {
        self
    }
}

impl AsRef<str> for ClusterName {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<&str> for ClusterName {
    fn from(name: &str) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl From<String> for ClusterName {
    fn from(name: String) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Something for some clusters, in the order of their names. There are as many as objects times members: a tree would
/// have room for eleven where one is, and a hash table for two.
#[derive(Debug)]
pub(crate) struct PerCluster<T>(Vec<(ClusterName, T)>);

impl<T> Default for PerCluster<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PerCluster<T> {
    fn at(&self, cluster: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (**name).cmp(cluster))
    }

    pub(crate) fn get(&self, cluster: &str) -> Option<&T> {
        self.at(cluster).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, cluster: &str) -> Option<&mut T> {
        self.at(cluster).ok().map(|at| &mut self.0[at].1)
    }

    pub(crate) fn contains_key(&self, cluster: &str) -> bool {
        self.at(cluster).is_ok()
    }

    /// What is there of a cluster; this if there was nothing.
    pub(crate) fn or_insert(&mut self, cluster: &ClusterName, value: T) -> &mut T {
        let at = self.at(cluster).unwrap_or_else(|at| {
            // Most objects are in as many clusters for ever.
            if self.0.len() == self.0.capacity() {
                self.0.reserve_exact(1 + self.0.len() / 4);
            }
            self.0.insert(at, (cluster.clone(), value));
            at
        });
        &mut self.0[at].1
    }

    /// Puts something in the place of what was there.
    pub(crate) fn insert(&mut self, cluster: &ClusterName, value: T) {
        match self.get_mut(cluster) {
            Some(known) => *known = value,
            None => drop(self.or_insert(cluster, value)),
        }
    }

    pub(crate) fn remove(&mut self, cluster: &str) -> Option<T> {
        self.at(cluster).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps those of which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|(_, value)| keep(value));
    }

    pub(crate) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ClusterName> {
        self.0.iter().map(|(name, _)| name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ClusterName, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl<T: Default> PerCluster<T> {
    /// What is there of a cluster; an empty one if there was nothing.
    pub(crate) fn or_default(&mut self, cluster: &ClusterName) -> &mut T {
        self.or_insert(cluster, T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue8_it_is_in_the_order_of_the_clusters() {
        let mut counts = PerCluster::<u32>::default();
        for name in ["rohan", "gondor", "mordor", "gondor"] {
            *counts.or_default(&name.into()) += 1;
        }
        assert_eq!(counts.keys().map(|name| &**name).collect::<Vec<_>>(), ["gondor", "mordor", "rohan"]);
        assert_eq!(counts.get("gondor"), Some(&2));
        counts.insert(&"gondor".into(), 7);
        counts.insert(&"arnor".into(), 8);
        assert_eq!(counts.remove("mordor"), Some(1));
        assert_eq!(counts.remove("mordor"), None);
        assert_eq!(counts.values().collect::<Vec<_>>(), [&8, &7, &1]);
    }
}
