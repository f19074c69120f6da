//! A federated object as the controller keeps it: text, of which a tree is made when it is decided about. A tree takes
//! ten times the memory, and nothing is decided about most objects most of the time.

use std::sync::Arc;

use federation_api::keys;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::compact::{Digest, Version};

/// See the module.
pub(crate) struct Object {
    version: Version,
    /// Of what matters to members.
    meaning: Digest,
    /// JSON.
    text: Box<[u8]>,
    /// The same, while it is decided about.
    tree: Option<Arc<DynamicObject>>,
    deleting: bool,
    delete_from_clusters: bool,
    orphan: bool,
    /// It has all of our finalizers that it needs.
    finalized: bool,
}

impl Object {
    /// Of an object as a server gave it. Who owns which of its fields is nothing to us.
    pub(crate) fn new(mut object: DynamicObject) -> Self {
        object.metadata.managed_fields = None;
        let has = |finalizer: &str| object.metadata.finalizers.iter().flatten().any(|f| f == finalizer);
        Self {
            version: Version::from(object.metadata.resource_version.as_deref().unwrap_or_default()),
            meaning: meaning(&object),
            deleting: object.metadata.deletion_timestamp.is_some(),
            delete_from_clusters: has(keys::DELETE_FROM_CLUSTERS),
            orphan: has(keys::ORPHAN),
            finalized: keys::missing_finalizers(object.metadata.finalizers.iter().flatten().map(String::as_str)).is_empty(),
            text: serde_json::to_vec(&object).unwrap_or_else(|error| unreachable!("it was read from JSON: {error}")).into(),
            tree: None,
        }
    }

    /// resourceVersion.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Whether its deletion began.
    pub(crate) fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Whether it has our finalizer of this name.
    pub(crate) fn has_finalizer(&self, finalizer: &str) -> bool {
        (finalizer == keys::DELETE_FROM_CLUSTERS && self.delete_from_clusters) || (finalizer == keys::ORPHAN && self.orphan)
    }

    /// Whether it has those of our finalizers that it needs.
    pub(crate) fn is_finalized(&self) -> bool {
        self.finalized
    }

    /// Whether two versions mean the same to members: a status write of our own must not cost a new digest.
    pub(crate) fn is_same_for_members(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }

    /// The object.
    pub(crate) fn tree(&self) -> Arc<DynamicObject> {
        self.tree.clone().unwrap_or_else(|| self.read())
    }

    /// Keeps the tree at hand until [`Object::fold`].
    pub(crate) fn unfold(&mut self) {
        if self.tree.is_none() {
            self.tree = Some(self.read());
        }
    }

    /// Drops the tree.
    pub(crate) fn fold(&mut self) {
        self.tree = None;
    }

    fn read(&self) -> Arc<DynamicObject> {
        let read = serde_json::from_slice(&self.text);
        Arc::new(read.unwrap_or_else(|error| unreachable!("it was written from an object: {error}")))
    }
}

/// Digest of labels, annotations and all fields but the status.
fn meaning(object: &DynamicObject) -> Digest {
    let fields: Vec<(&String, &Value)> = object.data.as_object().into_iter().flatten().filter(|(k, _)| *k != "status").collect();
    let meaning = (&object.metadata.labels, &object.metadata.annotations, fields);
    Digest::of(&serde_json::to_vec(&meaning).unwrap_or_else(|error| unreachable!("it was read from JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn issue8_an_object_is_kept_without_a_tree_and_without_who_owns_its_fields() {
        let mut kept = object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "resourceVersion": "7", "finalizers": [keys::ORPHAN, "a/b"], "labels": {"a": "b"},
                "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"replicas": 3, "share": 0.1}, "status": {"replicas": 2},
        }));
        assert_eq!(kept.version().number(), Some(7));
        assert!(kept.has_finalizer(keys::ORPHAN) && !kept.has_finalizer(keys::DELETE_FROM_CLUSTERS) && !kept.is_deleting());
        let tree = kept.tree();
        assert_eq!((&tree.data["spec"]["share"], &tree.data["status"]["replicas"]), (&json!(0.1), &json!(2)));
        assert_eq!(tree.metadata.managed_fields, None);
        kept.unfold();
        assert!(Arc::ptr_eq(&kept.tree(), &kept.tree()));
        kept.fold();
        assert_eq!(*kept.tree(), *tree);
    }

    #[test]
    fn issue8_a_status_means_nothing_to_members() {
        let with = |replicas: i64, ready: i64, label: &str| {
            object(json!({"metadata": {"labels": {"a": label}}, "spec": {"replicas": replicas}, "status": {"ready": ready}}))
        };
        assert!(with(1, 1, "b").is_same_for_members(&with(1, 2, "b")));
        assert!(!with(1, 1, "b").is_same_for_members(&with(2, 1, "b")));
        assert!(!with(1, 1, "b").is_same_for_members(&with(1, 1, "c")));
    }
}
