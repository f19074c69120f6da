//! A propagation record as it is kept in memory. Its stored form is all text: it takes ten times the memory, and there is
//! a part of it for every object in every member, so it is made when it is written and left when it is read.

use std::collections::HashMap;

use federation_api::record::PropagationRecordSpec;
use jiff::Timestamp;

use super::{copies::Placed, per_cluster::ClusterName};
use crate::kinds::{Key, ObjectKey, kind_of};

/// What is recorded of one federated object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) key: Key,
    /// By cluster.
    pub(crate) clusters: Box<[(ClusterName, Placed)]>,
    /// When its deletion was carried out everywhere, if that is what is recorded.
    pub(crate) deleted: Option<Timestamp>,
}

impl Record {
    /// As it is stored.
    pub(crate) fn stored(&self) -> PropagationRecordSpec {
        PropagationRecordSpec {
            object: self.key.object_ref(),
            clusters: self.clusters.iter().map(|(name, placed)| (name.to_string(), placed.stored())).collect(),
            deleted: self.deleted.map(crate::time::seconds),
        }
    }

    /// As it was stored; nothing when its kind is none of ours.
    pub(crate) fn read(spec: PropagationRecordSpec, names: &mut Names) -> Option<Self> {
        let kind = kind_of(&spec.object)?;
        Some(Self {
            key: ObjectKey { kind, namespace: spec.object.namespace, name: spec.object.name }.into(),
            clusters: spec.clusters.into_iter().map(|(name, placed)| (names.shared(name), placed.into())).collect(),
            deleted: spec.deleted.and_then(|at| at.parse().ok()),
        })
    }
}

/// Names of clusters, each of them once.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, ClusterName>);

impl Names {
    fn shared(&mut self, name: String) -> ClusterName {
        self.0.entry(name).or_insert_with_key(|name| name.as_str().into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use federation_api::record::{ClusterRecord, ObjectRef, State};

    use super::*;

    #[test]
    fn issue8_a_record_is_stored_as_it_was_read() {
        let object = ObjectRef { version: "v1".into(), resource: "configmaps".into(), namespace: "demo".into(), ..ObjectRef::default() };
        let object = ObjectRef { name: "ring".into(), ..object };
        let placed = ClusterRecord { applied: "00112233445566ff".into(), state: State::Applied, ..ClusterRecord::default() };
        let clusters = [("gondor".to_owned(), placed), ("rohan".to_owned(), ClusterRecord::default())].into();
        let spec = PropagationRecordSpec { object, clusters, deleted: Some("2026-01-01T00:00:00Z".into()) };
        let (mut names, other) = (Names::default(), ObjectRef { resource: "palantiri".into(), ..spec.object.clone() });
        let record = Record::read(spec.clone(), &mut names).unwrap();
        assert_eq!(record.stored(), spec);
        let again = Record::read(spec.clone(), &mut names).unwrap();
        assert!(std::ptr::eq(&*again.clusters[0].0, &*record.clusters[0].0), "names are shared");
        assert_eq!(Record::read(PropagationRecordSpec { object: other, ..spec }, &mut names), None);
    }
}
