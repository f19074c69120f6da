//! What objects that are gone have left: tombstones to carry out, and deletions to remember.

use std::collections::BTreeSet;

use federation_api::{keys, record::State};

use super::{
    brain::{Brain, Timer},
    compact::Uid,
    copies::{ClusterName, Copy, Placed},
    entry::{Entry, Key, Tracked},
    reconcile::{HOLDS_CLAIMS, HOLDS_DATA, tell_undone},
    record::Record,
    step::Removal,
};
use crate::kinds::{Family, NAMESPACE};

impl Brain {
    /// Takes the stored records of kinds whose objects are known: a record without an object is a tombstone. Those
    /// of other kinds wait until it is known which objects exist.
    pub(super) fn claim_records(&mut self) {
        let mut waiting = Vec::new();
        let Some(records) = self.records.take() else { return };
        for (uid, record) in records {
            match record.key.kind {
                kind if !self.parts.enabled[kind] => {}
                kind if self.listed[kind] => self.take_record(&uid, record),
                _ => waiting.push((uid, record)),
            }
        }
        self.records = Some(waiting);
    }

    fn take_record(&mut self, uid: &Uid, stored: Record) {
        let key = self.intern(stored.key);
        let named = |name: ClusterName| self.clusters.get_key_value(&*name).map_or_else(|| name.clone(), |(name, _)| name.clone());
        let copy = |record| Copy { record, ..Copy::default() };
        let copies: Vec<(ClusterName, Copy)> = stored.clusters.into_iter().map(|(name, placed)| (named(name), copy(placed))).collect();
        let entry = self.entries.entry(key.clone()).or_default();
        if let Some(live) = entry.live.as_mut().filter(|l| l.uid == *uid) {
            live.recorded = true;
            live.placed = true;
            // What is known by now is newer than what was stored.
            for (name, copy) in copies {
                live.copies.or_insert(&name, copy);
            }
        } else if let Some(at) = stored.deleted {
            let forgotten = self.ledger.insert(uid, key.clone(), at);
            self.touch_all(forgotten);
            let back: Vec<ClusterName> = self
                .clusters
                .iter()
                .filter(|(_, s)| s.seen.get(&key).is_some_and(|s| s.source_uid == *uid))
                .map(|(n, _)| n.clone())
                .collect();
            back.iter().for_each(|cluster| self.bury_again(cluster, &key, uid));
        } else {
            let mut grave = Tracked::buried(uid.clone());
            for (name, copy) in copies.into_iter().filter(|(_, copy)| copy.record.explicit) {
                grave.copies.or_insert(&name, copy);
            }
            if grave.copies.is_empty() {
                self.touch(&key, uid);
            } else {
                entry.graves.push(grave);
            }
        }
        self.enqueue(&key);
    }

    /// Objects that are gone: deletes what they left. Gives the clusters where something is still left.
    pub(super) fn reconcile_graves(&mut self, key: &Key, entry: &mut Entry) -> BTreeSet<ClusterName> {
        let mut graves = std::mem::take(&mut entry.graves);
        let left = |graves: &[Tracked]| graves.iter().map(|grave| grave.copies.len()).sum::<usize>();
        let before = left(&graves);
        for grave in &mut graves {
            let clusters: Vec<ClusterName> = grave.copies.keys().cloned().collect();
            for cluster in clusters {
                if self.clusters.contains_key(&*cluster) {
                    let removal = match (grave.revenant, key.kind().family) {
                        // Somebody restored it, with what it holds.
                        (true, Family::Claim) => Removal::LetGo(HOLDS_DATA),
                        (true, _) if key.kind == NAMESPACE && self.holds_claims(&key.name, &cluster) => Removal::LetGo(HOLDS_CLAIMS),
                        (true, _) => Removal::Unwanted,
                        (false, _) => Removal::Deleted,
                    };
                    self.want_absent(key, grave, &cluster, removal);
                } else {
                    grave.copies.remove(&cluster);
                    self.touch(key, &grave.uid);
                }
            }
        }
        if key.kind == NAMESPACE && left(&graves) < before {
            // What is to be in the one that comes after waited for it.
            self.enqueue_namespace(&key.name);
        }
        for grave in graves.extract_if(.., |grave| grave.copies.is_empty()) {
            self.remember_deletion(key, &grave.uid);
        }
        entry.graves = graves;
        entry.graves.iter().flat_map(|grave| grave.copies.keys().cloned()).collect()
    }

    /// A deletion was carried out everywhere.
    pub(super) fn remember_deletion(&mut self, key: &Key, uid: &Uid) {
        let forgotten = self.ledger.insert(uid, key.clone(), self.parts.clock.now());
        self.touch(key, uid);
        self.touch_all(forgotten);
    }

    /// Forgets deletions that are old enough, and their records with them; and fights that are over.
    pub(super) fn forget_deletions(&mut self) {
        let quiet = tokio::time::Instant::now();
        self.clusters.values_mut().for_each(|side| side.damper.forget(quiet));
        let now = self.parts.clock.now();
        let forgotten: Vec<_> = std::iter::from_fn(|| self.ledger.expire(now)).collect();
        self.touch_all(forgotten);
        self.later(super::brain::LEDGER_PERIOD, Timer::Ledger);
    }

    fn touch_all(&mut self, forgotten: impl IntoIterator<Item = (Uid, Key)>) {
        for (uid, key) in forgotten {
            // What is back of it and waits stays: nobody knows any more that it is to go.
            let entry = self.entries.get_mut(&key);
            for grave in entry.into_iter().flat_map(|e| e.graves.extract_if(.., |g| g.revenant && g.uid == uid)) {
                for cluster in grave.copies.keys() {
                    self.clusters.get_mut(&**cluster).into_iter().for_each(|side| side.brake.done(&key));
                }
            }
            self.touch(&key, &uid);
            self.enqueue(&key);
        }
    }

    /// A copy was seen in a cluster. If its object was deleted, with its copies, the member brought it back: the
    /// tombstone is carried out once more. Somebody may have rescued it there, so the brake has a say, and it is told
    /// how to keep it.
    pub(super) fn bury_again(&mut self, cluster: &str, key: &Key, source: &Uid) {
        if !self.ledger.knows(source, key) {
            return;
        }
        let Some(name) = self.clusters.get_key_value(cluster).map(|(name, _)| name.clone()) else { return };
        let Some(side) = self.clusters.get_mut(cluster) else { return };
        let undone = side.damper.undone(key, tokio::time::Instant::now());
        let entry = self.entries.entry(key.clone()).or_default();
        let grave = if let Some(known) = entry.graves.iter().position(|g| g.uid == *source) {
            &mut entry.graves[known]
        } else {
            let mut grave = Tracked::buried(source.clone());
            grave.revenant = true;
            entry.graves.push(grave);
            entry.graves.last_mut().unwrap_or_else(|| unreachable!("one was added"))
        };
        if grave.copies.contains_key(cluster) {
            return;
        }
        let record = Placed { state: State::Deleting, ..Placed::default() };
        let not_before = Some(tokio::time::Instant::now() + undone.wait);
        grave.copies.or_insert(&name, Copy { record, not_before, ..Copy::default() });
        let (kind, name) = (key.kind().kind, key.full_name());
        tracing::warn!(cluster, kind, name, "a copy of a deleted object is back; it is deleted again");
        let message = format!(
            "{kind} \"{name}\" was deleted and is back in cluster {cluster}, where it is deleted again; to keep it, take its label {} off there",
            keys::MANAGED_BY
        );
        self.event(key, source, true, "BackInCluster", message);
        self.touch(key, source);
        tell_undone(&self.parts.events, key, source, cluster, undone);
        self.enqueue(key);
    }
}
