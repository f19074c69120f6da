//! A Cluster as it stands in the federation.

use std::collections::BTreeMap;

use federation_api::cluster::{ClusterSpec, ClusterStatus};
use kube::api::{DynamicObject, ObjectMeta};

/// A Cluster as last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Joined {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// When it was created, RFC 3339.
    pub(crate) created: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) spec: ClusterSpec,
    pub(crate) status: ClusterStatus,
}

impl Joined {
    /// What is known of a Cluster that cannot be read: that it is there.
    pub(super) fn unreadable(metadata: ObjectMeta) -> Self {
        Self {
            created: created(&metadata),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(super) fn from_object(object: DynamicObject) -> Result<Self, serde_json::Error> {
        let DynamicObject { metadata, mut data, .. } = object;
        let mut part = |name: &str| data.get_mut(name).map(serde_json::Value::take).filter(|v| !v.is_null());
        Ok(Self {
            created: created(&metadata),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            spec: part("spec").map_or_else(|| Ok(ClusterSpec::default()), serde_json::from_value)?,
            status: part("status").map_or_else(|| Ok(ClusterStatus::default()), serde_json::from_value)?,
        })
    }
}

fn created(metadata: &ObjectMeta) -> String {
    metadata.creation_timestamp.as_ref().map(|time| crate::time::seconds(time.0)).unwrap_or_default()
}
