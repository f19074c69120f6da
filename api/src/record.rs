//! `federation/v1beta1` PropagationRecord: what was last decided and applied for one federated
//! object in each cluster.
//!
//! Cluster-scoped and named by the uid of the federated object, so that it outlives the object
//! while a cluster that is away still holds a copy (the tombstone).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The record of one federated object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PropagationRecordSpec {
    /// The federated object.
    pub object: ObjectRef,
    /// Clusters by name.
    pub clusters: BTreeMap<String, ClusterRecord>,
    /// RFC 3339: the object was deleted and its copies with it. Remembered for a while, in case a member whose store
    /// is put back brings one of them back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
}

/// Names one federated object.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default)]
pub struct ObjectRef {
    /// API group; empty for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// One cluster's part of a record; about 100 bytes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRecord {
    /// Digest of what should be there; empty when nothing should.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub desired: String,
    /// Digest of what was applied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub applied: String,
    /// resourceVersion of the member object after the last write or watch event that was ours.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Digest of the fields of the member object that are ours; changes when somebody else changes one of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owned: String,
    /// generation of the member object.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// The federated object was seen in deletion, and its copy is to go with it. What is only no longer
    /// selected here is not explicit.
    #[serde(skip_serializing_if = "is_false")]
    pub explicit: bool,
    /// How the Job there ended, as its status said: it counts, and is not made again, when somebody deletes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<Value>,
    /// Where it stands.
    pub state: State,
    /// Why, in one sentence; empty when applied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(b: &bool) -> bool {
    !*b
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Where one object stands in one cluster.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum State {
    /// Decided, not applied yet.
    #[default]
    Pending,
    /// The member has it.
    Applied,
    /// The last attempt failed; it is repeated.
    Failed,
    /// An object that is not ours has the name.
    Conflict,
    /// To be deleted when the cluster can be reached.
    Deleting,
}
