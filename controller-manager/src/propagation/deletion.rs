//! v1's deletion semantics, without v1's waiting for clusters that are away: they get tombstones.

use federation_api::{keys, record::State};
use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    effect::{Change, Effect},
    entry::Tracked,
    intake::Write,
    per_cluster::ClusterName,
    reconcile::Pass,
    step::{AWAY, Removal},
};
use crate::kinds::NAMESPACE;

/// What is told of an object whose namespace was left out after it was propagated.
const LEFT_OUT: &str = "nothing is propagated in this namespace; the object is let go, and copies it has in members stay there";

impl Pass<'_> {
    /// An object whose deletion began.
    pub(super) fn reconcile_deletion(&mut self, live: &mut Tracked) {
        let orphan = live.has_finalizer(keys::ORPHAN);
        let emptied = |object: &DynamicObject| object.data.pointer("/spec/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if self.key.kind == NAMESPACE && !live.tree().is_some_and(|object| emptied(&object)) {
            // The API server empties the namespace first and then says so.
            return;
        }
        if !orphan && live.has_finalizer(keys::DELETE_FROM_CLUSTERS) {
            // A write may have arrived that no record knows of: the process ended in between. The watch shows it.
            let kind = self.key.kind;
            let mut members = self.world.members.values();
            let looking = members.any(|member| member.epoch.is_some() && !member.listed[kind] && member.failing[kind].is_none());
            for (cluster, _) in self.seen.iter().filter(|(_, seen)| seen.source_uid == live.uid) {
                live.copies.or_default(cluster);
            }
            let clusters: Vec<ClusterName> = live.copies.keys().cloned().collect();
            for cluster in clusters {
                if self.cluster(&cluster).is_some() {
                    self.want_absent(live, &cluster, Removal::Deleted);
                } else {
                    live.copies.remove(&cluster);
                    self.touch(&live.uid);
                }
            }
            let here = |name: &ClusterName| self.cluster(name).is_some_and(|member| member.epoch.is_some());
            if looking || live.copies.keys().any(here) {
                // Deletion in clusters that can be reached is waited for, and so is the first look at them.
                return;
            }
        }
        self.release(live, orphan);
    }

    /// An object that was propagated before its namespace was left out: it is let go, or it could never be deleted. Its
    /// copies stay.
    pub(super) fn leave_out(&mut self, live: &mut Tracked) {
        if live.complaint != LEFT_OUT {
            self.event(&live.uid, true, "NotPropagated", LEFT_OUT.into());
            LEFT_OUT.clone_into(&mut live.complaint);
        }
        self.release(live, true);
    }

    /// Takes our finalizers away. What is still to be deleted in clusters that are away is stored before; `orphan` says
    /// that all copies stay.
    fn release(&mut self, live: &mut Tracked, orphan: bool) {
        let Some(object) = live.tree() else { return };
        if live.writing.is_some() {
            return;
        }
        let all = object.metadata.finalizers.clone().unwrap_or_default();
        let rest: Vec<String> = all.iter().filter(|f| *f != keys::ORPHAN && *f != keys::DELETE_FROM_CLUSTERS).cloned().collect();
        if orphan && !live.copies.is_empty() {
            // The copies stay, also those that an earlier selection or deletion wanted to go.
            live.copies.clear();
            self.touch(&live.uid);
        }
        if rest.len() == all.len() {
            return;
        }
        for copy in live.copies.values_mut().filter(|c| c.record.explicit) {
            copy.set(State::Deleting, AWAY);
        }
        let tombstones = live.copies.values().any(|c| c.record.explicit);
        let record = tombstones.then(|| live.record(self.key)).flatten();
        live.recorded |= record.is_some();
        live.released = !orphan;
        live.writing = Some(Write::Finalizers);
        self.follows(Effect::Write(object, Change::Finalizers(rest, record)));
    }
}
