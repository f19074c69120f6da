//! The copies of one object, by cluster.

use std::sync::Arc;

use federation_api::record::{ClusterRecord, State};
use serde_json::Value;
use tokio::time::Instant;

use super::compact::{Digest, Version};
use crate::members::job::Survey;

/// Name of a cluster, which all copies there share.
pub(crate) type ClusterName = Arc<str>;

/// Copies in the order of their clusters. There are as many as objects times members: a tree would have room for
/// eleven where one is.
#[derive(Default)]
pub(crate) struct Copies(Vec<(ClusterName, Copy)>);

impl Copies {
    fn at(&self, cluster: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (**name).cmp(cluster))
    }

    pub(crate) fn get(&self, cluster: &str) -> Option<&Copy> {
        self.at(cluster).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, cluster: &str) -> Option<&mut Copy> {
        self.at(cluster).ok().map(|at| &mut self.0[at].1)
    }

    pub(crate) fn contains_key(&self, cluster: &str) -> bool {
        self.at(cluster).is_ok()
    }

    /// The copy in a cluster; an empty one if there was none.
    pub(crate) fn or_default(&mut self, cluster: &ClusterName) -> &mut Copy {
        self.or_insert(cluster, Copy::default())
    }

    /// The copy in a cluster; this one if there was none.
    pub(crate) fn or_insert(&mut self, cluster: &ClusterName, copy: Copy) -> &mut Copy {
        let at = self.at(cluster).unwrap_or_else(|at| {
            // Most objects are in as many clusters for ever.
            if self.0.len() == self.0.capacity() {
                self.0.reserve_exact(1 + self.0.len() / 4);
            }
            self.0.insert(at, (cluster.clone(), copy));
            at
        });
        &mut self.0[at].1
    }

    pub(crate) fn remove(&mut self, cluster: &str) {
        if let Ok(at) = self.at(cluster) {
            self.0.remove(at);
        }
    }

    /// Keeps those of which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Copy) -> bool) {
        self.0.retain(|(_, copy)| keep(copy));
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

    pub(crate) fn values(&self) -> impl Iterator<Item = &Copy> {
        self.0.iter().map(|(_, copy)| copy)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Copy> {
        self.0.iter_mut().map(|(_, copy)| copy)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ClusterName, &Copy)> {
        self.0.iter().map(|(name, copy)| (name, copy))
    }

    /// What is recorded of them.
    pub(crate) fn placed(&self) -> Box<[(ClusterName, Placed)]> {
        self.iter().map(|(name, copy)| (name.clone(), copy.record.clone())).collect()
    }
}

/// One object in one cluster.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    pub(crate) record: Placed,
    /// A job for it is with the lane.
    pub(crate) busy: bool,
    /// The member said that nothing of ours is there, and nothing was sent since.
    pub(crate) absent: bool,
    pub(crate) failures: u32,
    /// Not tried again before.
    pub(crate) not_before: Option<Instant>,
    /// Since when the workload there is not ready.
    pub(crate) unready: Option<Instant>,
    pub(crate) survey: Option<Box<Surveyed>>,
    pub(crate) surveying: bool,
}

/// A look at the pods.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed {
    /// Absent until the first look succeeded.
    pub(crate) result: Option<Survey>,
    pub(crate) at: Instant,
    /// Version of the workload when it was asked for.
    pub(crate) resource_version: Version,
}

/// A [`ClusterRecord`] as it is kept in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Placed {
    /// Of what should be there; empty when nothing should.
    pub(crate) desired: Digest,
    /// Of what was applied.
    pub(crate) applied: Digest,
    /// Of the fields of the member object that are ours.
    pub(crate) owned: Digest,
    /// resourceVersion of the member object after the last write that was ours.
    pub(crate) resource_version: Version,
    /// generation of the member object.
    pub(crate) generation: i64,
    /// How the Job there ended.
    pub(crate) finished: Option<Box<Value>>,
    /// Why it stands where it stands; empty when applied.
    pub(crate) reason: Box<str>,
    pub(crate) state: State,
    /// The federated object was seen in deletion, and its copy is to go with it.
    pub(crate) explicit: bool,
}

impl Placed {
    /// As it is stored.
    pub(crate) fn stored(&self) -> ClusterRecord {
        ClusterRecord {
            desired: self.desired.to_string(),
            applied: self.applied.to_string(),
            resource_version: self.resource_version.to_string(),
            owned: self.owned.to_string(),
            generation: self.generation,
            explicit: self.explicit,
            finished: self.finished.as_deref().cloned(),
            state: self.state,
            reason: self.reason.to_string(),
        }
    }
}

impl From<ClusterRecord> for Placed {
    fn from(record: ClusterRecord) -> Self {
        Self {
            desired: Digest::from(&*record.desired),
            applied: Digest::from(&*record.applied),
            owned: Digest::from(&*record.owned),
            resource_version: Version::from(&*record.resource_version),
            generation: record.generation,
            finished: record.finished.map(Box::new),
            reason: record.reason.into(),
            state: record.state,
            explicit: record.explicit,
        }
    }
}

impl Copy {
    /// Writes down where it stands. Says whether that is news.
    pub(crate) fn set(&mut self, state: State, reason: &str) -> bool {
        let news = self.record.state != state || *self.record.reason != *reason;
        if news {
            self.record.state = state;
            self.record.reason = reason.into();
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn issue8_what_is_kept_of_a_copy_is_what_is_stored() {
        let record = ClusterRecord {
            desired: "00112233445566ff".into(),
            applied: "ff112233445566ff".into(),
            resource_version: "1842".into(),
            owned: "0000000000000001".into(),
            generation: 3,
            explicit: true,
            finished: Some(json!({"succeeded": 1})),
            state: State::Failed,
            reason: "because".into(),
        };
        assert_eq!(Placed::from(record.clone()).stored(), record);
        assert_eq!(Placed::from(ClusterRecord::default()).stored(), ClusterRecord::default());
    }

    #[test]
    fn issue8_copies_are_in_the_order_of_their_clusters() {
        let mut copies = Copies::default();
        for name in ["rohan", "gondor", "mordor", "gondor"] {
            copies.or_default(&name.into()).failures += 1;
        }
        assert_eq!(copies.keys().map(|name| &**name).collect::<Vec<_>>(), ["gondor", "mordor", "rohan"]);
        assert_eq!(copies.get("gondor").unwrap().failures, 2);
        copies.remove("mordor");
        copies.remove("arnor");
        assert!(!copies.contains_key("mordor") && copies.len() == 2);
        assert!(size_of::<(ClusterName, Copy)>() <= 160, "{}", size_of::<(ClusterName, Copy)>());
    }
}
