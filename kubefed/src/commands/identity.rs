//! Which cluster a connection leads to: names and addresses change, the uid of namespace kube-system stays.

use federation_api::keys;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::ApiResource;

use super::leaving::is_of;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::federated;
use crate::render::names::{Federation, MANAGED_BY_LABEL, MANAGER};

/// Made with the cluster and never anew: Kubernetes does not let it be deleted.
pub(super) const ANCHOR: &str = "kube-system";

/// The uid of a cluster.
///
/// # Errors
/// That it cannot be read, or the cluster has no namespace kube-system.
pub(super) async fn uid(at: &Connection) -> Result<String, Failure> {
    let namespace = at.get(&ApiResource::erase::<Namespace>(&()), None, ANCHOR).await?;
    namespace.and_then(|ns| ns.uid()).ok_or_else(|| {
        Failure::new(format!("context {} has no namespace {ANCHOR}, whose uid tells one cluster from another", at.context))
            .hint(format!("check that {} is a Kubernetes cluster", at.server))
    })
}

/// The uid noted at a Cluster or at the secret with its credentials.
pub(super) fn noted(object: &DynamicObject) -> Option<&str> {
    object.annotations().get(keys::CLUSTER_UID).map(String::as_str).filter(|uid| !uid.is_empty())
}

/// Makes sure that a cluster is in the federation under no other name.
///
/// # Errors
/// The other name and the way out; anything federation or member say.
pub(super) async fn no_other_name(
    federation: &Connection,
    member: &Connection,
    of: &Federation,
    name: &str,
    uid: &str,
) -> Result<(), Failure> {
    let clusters = federation.list(&federated::resource(), None, "").await?;
    let labels = format!("{MANAGED_BY_LABEL}={MANAGER}");
    let accounts = member.list(&ApiResource::erase::<ServiceAccount>(&()), Some(&of.namespace), &labels).await?;
    match other_name(&clusters, &accounts, &of.name, name, uid) {
        None => Ok(()),
        Some(other) => Err(Failure::new(format!("context \"{}\" is the cluster that is joined as \"{other}\" already", member.context))
            .hint(format!(
                "go on with the name {other}; for another name run kubefed unjoin {other} first; if it is a copy of {other}, from a \
                 snapshot, make it anew with an etcd of its own (docs/on-prem.md, Join)"
            ))),
    }
}

/// The name of a Cluster that has this uid noted; where none is noted, of one whose account is in the member.
fn other_name(clusters: &[DynamicObject], accounts: &[DynamicObject], federation: &str, name: &str, uid: &str) -> Option<String> {
    let is_here = |cluster: &DynamicObject| match noted(cluster) {
        Some(noted) => noted == uid,
        None => accounts.iter().any(|account| is_of(account, federation, Some(&cluster.name_any()))),
    };
    clusters.iter().find(|c| c.name_any() != name && is_here(c)).map(ResourceExt::name_any)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, annotations: &Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": name, "annotations": annotations}})).unwrap()
    }

    #[test]
    fn d16_a_cluster_is_known_by_its_uid_or_by_the_account_an_older_join_made() {
        let clusters = [object("gondor", &json!({keys::CLUSTER_UID: "uid-1"})), object("rohan", &json!(null))];
        let account = |federation: &str| object("a", &json!({keys::FEDERATION_NAME: federation, keys::CLUSTER_NAME: "rohan"}));
        let find = |accounts: &[DynamicObject], name: &str, uid: &str| other_name(&clusters, accounts, "fellowship", name, uid);
        assert_eq!(find(&[], "twin", "uid-1").as_deref(), Some("gondor"));
        assert_eq!(find(&[], "gondor", "uid-1"), None, "its own name");
        assert_eq!(find(&[], "twin", "uid-2"), None);
        assert_eq!(find(&[account("fellowship")], "twin", "uid-2").as_deref(), Some("rohan"));
        assert_eq!(find(&[account("fellowship")], "rohan", "uid-2"), None);
        assert_eq!(find(&[account("mordor")], "twin", "uid-2"), None, "another federation's account");
        let gone = object("a", &json!({keys::FEDERATION_NAME: "fellowship", keys::CLUSTER_NAME: "arnor"}));
        assert_eq!(find(&[gone], "twin", "uid-2"), None, "left behind by a cluster that is not joined any more");
    }
}
