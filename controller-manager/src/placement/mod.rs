//! Placement: which clusters get an object, and how it is divided among them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use federation_api::{keys, preferences::ReplicaPreferences};
use kube::api::{DynamicObject, ObjectMeta};

use crate::kinds::Kind;

#[cfg(test)]
mod tests;

use machinery::selector::{LabelSelector, cluster_selector};

/// What an object's annotations ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Requirements on the labels of Clusters.
    pub selector: LabelSelector,
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

/// Why an object stays in the federation whatever its placement; nothing when it does not.
pub fn stays(kind: &Kind, object: &DynamicObject) -> Option<&'static str> {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str, value: &str| {
        map.as_ref().is_some_and(|m| m.get(key).is_some_and(|v| v == value))
    };
    let type_ = object.data["type"].as_str().filter(|_| kind.resource == "secrets").unwrap_or_default();
    if type_ == "kubernetes.io/service-account-token" {
        return Some("a token of a service account is only good in the cluster that made it: it stays in the federation");
    }
    let told = has(&object.metadata.annotations, keys::PROPAGATE, "true");
    if kind.opt_in && !told {
        return Some(
            "rights in the federation are not rights in its members, unless annotation federation.kubernetes.io/propagate=true says so",
        );
    }
    (is_release(kind, type_, &object.metadata) && !told).then_some(
        "Helm's record of a release stays in the federation, where the release was made; annotation federation.kubernetes.io/propagate=true spreads it",
    )
}

/// Whether an object is Helm's record of a release: by the type it gives Secrets, or by the name and the labels it gives
/// both Secrets and ConfigMaps. One label alone says little: people label what Helm made by it.
fn is_release(kind: &Kind, type_: &str, metadata: &ObjectMeta) -> bool {
    let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let revision = metadata.name.as_deref().and_then(|name| name.rsplit_once(".v"));
    let numbered = revision.is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let labelled =
        label("owner").is_some_and(|owner| owner == "helm") && ["name", "status", "version"].iter().all(|key| label(key).is_some());
    type_ == "helm.sh/release.v1" || (matches!(kind.resource, "secrets" | "configmaps") && numbered && labelled)
}

impl Default for Placement {
    /// Every cluster, all alike.
    fn default() -> Self {
        Self { selector: LabelSelector::everything(), preferences: ReplicaPreferences::default() }
    }
}

impl Placement {
    /// Reads v1's annotations. v1 only logged bad preferences and went on with the default; here they are
    /// an error like a bad selector, so that a typing mistake never moves replicas.
    pub fn parse(kind: &Kind, annotations: &BTreeMap<String, String>) -> Result<Self, InvalidPlacement> {
        let selector = cluster_selector(annotations.get(keys::CLUSTER_SELECTOR).map(String::as_str))
            .map_err(|e| InvalidPlacement { annotation: keys::CLUSTER_SELECTOR, problem: e.to_string() })?;
        let preferences = match kind.preferences.and_then(|key| Some((key, annotations.get(key)?))) {
            None => ReplicaPreferences::default(),
            Some((annotation, text)) => {
                ReplicaPreferences::parse(text).map_err(|e| InvalidPlacement { annotation, problem: e.to_string() })?
            }
        };
        Ok(Self { selector, preferences })
    }

    /// Names of the selected clusters, out of all clusters with their labels.
    pub fn select<'a>(
        &self,
        clusters: impl Iterator<Item = (&'a (impl AsRef<str> + 'a), &'a BTreeMap<String, String>)>,
    ) -> BTreeSet<String> {
        clusters
            .filter(|(_, labels)| self.selector.matches(|key| labels.get(key).map(String::as_str)))
            .map(|(name, _)| name.as_ref().to_owned())
            .collect()
    }
}
