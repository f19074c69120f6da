//! Which cluster is behind a name: the uid of its namespace `kube-system`. Two Clusters that are the same cluster
//! would write each other's objects, and a Cluster that became another one would be filled with what was meant for
//! the first.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use federation_api::keys;

use super::{health::Finding, joined::Joined};

/// Who all the members are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities(Arc<Mutex<BTreeMap<String, Known>>>);

#[derive(Debug)]
struct Known {
    /// When the Cluster was created, RFC 3339; then its name decides who is older.
    created: String,
    uid: Option<String>,
}

impl Identities {
    /// Notes a Cluster as it stands in the federation.
    pub(crate) fn note(&self, joined: &Joined) {
        let uid = noted(joined).map(str::to_owned);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(joined.name.clone()).or_insert_with(|| Known { created: String::new(), uid: None });
        known.created.clone_from(&joined.created);
        known.uid = uid.or_else(|| known.uid.take());
    }

    /// Forgets a Cluster that left.
    pub(crate) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// What is wrong with the cluster that answered with `uid` for this Cluster, if anything.
    pub(crate) fn check(&self, joined: &Joined, uid: &str) -> Option<Finding> {
        let certain = |finding| Some(Finding { certain: true, ..finding });
        if let Some(before) = noted(joined).filter(|before| *before != uid) {
            let message = format!(
                "another cluster answers than the one that was joined (uid {uid} of kube-system, not {before}); nothing is written there: \
                 correct its address, or join the new one with kubefed join, or accept it by removing annotation {}",
                keys::CLUSTER_UID
            );
            return certain(Finding::not_ready("AnotherCluster", message));
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(&joined.name) {
            known.uid = Some(uid.to_owned());
        }
        let age = (joined.created.as_str(), joined.name.as_str());
        let elder = all.iter().find(|(name, known)| known.uid.as_deref() == Some(uid) && (known.created.as_str(), name.as_str()) < age);
        let (name, _) = elder?;
        let message = format!(
            "it is the same cluster as {name}, which was joined before, or a copy of its etcd; nothing is written under this name: unjoin \
             one of them, and make a copy anew with an etcd of its own (docs/on-prem.md, Join)"
        );
        certain(Finding::not_ready("SameClusterAs", message))
    }
}

/// The identity a Cluster was joined with.
pub(crate) fn noted(joined: &Joined) -> Option<&str> {
    joined.annotations.get(keys::CLUSTER_UID).map(String::as_str).filter(|uid| !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(name: &str, created: &str, uid: &str) -> Joined {
        let annotations = BTreeMap::from([(keys::CLUSTER_UID.to_owned(), uid.to_owned())]);
        Joined { name: name.into(), created: created.into(), annotations, ..Joined::default() }
    }

    #[test]
    fn d16_of_two_clusters_that_are_one_the_younger_is_not_ready() {
        let all = Identities::default();
        let (old, new, third) = (
            joined("zulu", "2026-01-01T00:00:00Z", ""),
            joined("alpha", "2026-02-01T00:00:00Z", ""),
            joined("rohan", "2026-01-01T00:00:00Z", ""),
        );
        [&old, &new, &third].into_iter().for_each(|j| all.note(j));
        let reason = |of, uid| all.check(of, uid).map(|f| (f.reason, f.certain, f.message.contains("as zulu")));
        assert_eq!(reason(&old, "u"), None);
        assert_eq!(reason(&new, "u"), Some(("SameClusterAs", true, true)));
        assert_eq!(reason(&third, "v"), None);
        assert_eq!(reason(&old, "u"), None, "the older one goes on");
        all.forget("zulu");
        assert_eq!(reason(&new, "u"), None, "alone it is itself");
    }

    #[test]
    fn d16_what_was_noted_at_the_join_counts_before_the_older_one_was_asked() {
        let all = Identities::default();
        let (old, new) = (joined("gondor", "2026-01-01T00:00:00Z", "u"), joined("twin", "2026-01-01T00:00:00Z", ""));
        [&old, &new].into_iter().for_each(|j| all.note(j));
        assert_eq!(all.check(&new, "u").map(|f| f.reason), Some("SameClusterAs"));
    }

    #[test]
    fn d16_a_cluster_that_became_another_is_told_and_not_used() {
        let (all, gondor) = (Identities::default(), joined("gondor", "", "u"));
        all.note(&gondor);
        assert_eq!(all.check(&gondor, "u"), None);
        let finding = all.check(&gondor, "v").unwrap();
        assert_eq!((finding.reason, finding.certain), ("AnotherCluster", true));
        assert!(finding.message.contains("uid v") && finding.message.contains("not u"), "{}", finding.message);
    }
}
