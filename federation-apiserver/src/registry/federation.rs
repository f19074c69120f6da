//! Clusters: the members of the federation.

use machinery::schema::metadata::{self, NameRule};

use super::resource::Strategy;

/// Clusters have names that fit into DNS names.
pub(super) struct Clusters;

impl Strategy for Clusters {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(metadata::dns1035_label)
    }
}
