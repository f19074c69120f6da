//! The copies of one object, by cluster.

use federation_api::record::{ClusterRecord, State};
use serde_json::Value;
use tokio::time::Instant;

use super::per_cluster::{ClusterName, PerCluster};
use crate::compact::{Digest, Version};
use crate::members::job::Survey;

/// Copies of one object, by cluster.
pub(crate) type Copies = PerCluster<Copy>;

impl Copies {
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
    fn issue8_a_copy_is_small() {
        assert!(size_of::<(ClusterName, Copy)>() <= 152, "{}", size_of::<(ClusterName, Copy)>());
    }
}
