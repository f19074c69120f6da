//! Placement: which clusters get an object, and how it is divided among them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use federation_api::{keys, preferences::ReplicaPreferences};

use crate::kinds::{Family, Kind};

pub mod selector;
#[cfg(test)]
mod tests;

use selector::ClusterSelector;

/// What an object's annotations ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Requirements on Clusters; absent selects all.
    pub selector: Option<ClusterSelector>,
    /// How replicas are divided; v1's default where the kind has no preferences or none are given.
    pub preferences: ReplicaPreferences,
}

/// An annotation that cannot be understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("annotation {annotation} is invalid: {problem}")]
pub struct InvalidPlacement {
    /// Key of the annotation.
    pub annotation: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// The annotation with replica preferences of a kind, if it has one.
pub fn preferences_annotation(kind: &Kind) -> Option<&'static str> {
    match kind.family {
        Family::Replicated(key) => Some(key),
        Family::Job => Some(keys::JOB_PREFERENCES),
        Family::Plain | Family::Service | Family::Counted => None,
    }
}

impl Placement {
    /// Reads v1's annotations. v1 only logged bad preferences and went on with the default; here they are
    /// an error like a bad selector, so that a typing mistake never moves replicas.
    pub fn parse(kind: &Kind, annotations: &BTreeMap<String, String>) -> Result<Self, InvalidPlacement> {
        let selector = match annotations.get(keys::CLUSTER_SELECTOR) {
            None => None,
            Some(text) => {
                Some(ClusterSelector::parse(text).map_err(|problem| InvalidPlacement { annotation: keys::CLUSTER_SELECTOR, problem })?)
            }
        };
        let preferences = match preferences_annotation(kind).and_then(|key| Some((key, annotations.get(key)?))) {
            None => ReplicaPreferences::default(),
            Some((annotation, text)) => {
                ReplicaPreferences::parse(text).map_err(|e| InvalidPlacement { annotation, problem: e.to_string() })?
            }
        };
        Ok(Self { selector, preferences })
    }

    /// Names of the selected clusters, out of all clusters with their labels.
    pub fn select<'a>(&self, clusters: impl Iterator<Item = (&'a String, &'a BTreeMap<String, String>)>) -> BTreeSet<String> {
        clusters.filter(|(_, labels)| self.selector.as_ref().is_none_or(|s| s.matches(labels))).map(|(name, _)| name.clone()).collect()
    }
}
