//! What objects that are gone have left: tombstones to carry out, and deletions to remember.

use std::collections::BTreeSet;

use federation_api::{keys, record::State};

use super::{
    controller::Controller,
    copies::{Copy, Placed},
    effect::Effect,
    entry::{Key, Tracked},
    per_cluster::ClusterName,
    reconcile::{HOLDS_CLAIMS, HOLDS_DATA, Pass, tell_undone},
    record::Record,
    step::Removal,
    timers::Timer,
};
use crate::compact::Uid;
use crate::kinds::{Family, NAMESPACE};

impl Controller {
    /// Takes the stored records of kinds whose objects are known: a record without an object is a tombstone. Those
    /// of other kinds wait until it is known which objects exist.
    pub(super) fn claim_records(&mut self) {
        let mut waiting = Vec::new();
        let Some(records) = self.records.take() else { return };
        for (uid, record) in records {
            match record.key.kind {
                kind if !self.parts.settings.enabled[kind] => {}
                kind if self.listed[kind] => self.take_record(&uid, record),
                _ => waiting.push((uid, record)),
            }
        }
        self.records = Some(waiting);
    }

    fn take_record(&mut self, uid: &Uid, stored: Record) {
        let key = self.objects.shared(stored.key);
        let named = |name: ClusterName| self.members.get_key_value(&*name).map_or_else(|| name.clone(), |(name, _)| name.clone());
        let copy = |record| Copy { record, ..Copy::default() };
        let copies: Vec<(ClusterName, Copy)> = stored.clusters.into_iter().map(|(name, placed)| (named(name), copy(placed))).collect();
        let entry = self.objects.entry(&key);
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
            let shown = self.objects.get(&key).into_iter().flat_map(|entry| entry.seen.iter());
            let back: Vec<ClusterName> = shown.filter(|(_, seen)| seen.source_uid == *uid).map(|(name, _)| name.clone()).collect();
            back.iter().for_each(|cluster| self.delete_again(cluster, &key, uid));
        } else {
            let mut tombstone = Tracked::gone(uid.clone());
            for (name, copy) in copies.into_iter().filter(|(_, copy)| copy.record.explicit) {
                tombstone.copies.or_insert(&name, copy);
            }
            if tombstone.copies.is_empty() {
                self.touch(&key, uid);
            } else {
                entry.tombstones.push(tombstone);
            }
        }
        self.objects.enqueue(&key);
    }

    /// A deletion was carried out everywhere.
    pub(super) fn remember_deletion(&mut self, key: &Key, uid: &Uid) {
        let forgotten = self.ledger.insert(uid, key.clone(), self.parts.settings.clock.now());
        self.touch(key, uid);
        self.touch_all(forgotten);
    }

    /// Forgets deletions that are old enough, and their records with them; and fights that are over.
    pub(super) fn forget_deletions(&mut self) {
        let quiet = tokio::time::Instant::now();
        self.members.values_mut().for_each(|member| member.damper.forget(quiet));
        let now = self.parts.settings.clock.now();
        let forgotten: Vec<_> = std::iter::from_fn(|| self.ledger.expire(now)).collect();
        self.touch_all(forgotten);
        self.later(super::controller::LEDGER_PERIOD, Timer::Ledger);
    }

    fn touch_all(&mut self, forgotten: impl IntoIterator<Item = (Uid, Key)>) {
        for (uid, key) in forgotten {
            // What is back of it and waits stays: nobody knows any more that it is to go.
            let entry = self.objects.get_mut(&key);
            for tombstone in entry.into_iter().flat_map(|e| e.tombstones.extract_if(.., |g| g.restored && g.uid == uid)) {
                for cluster in tombstone.copies.keys() {
                    self.members.get_mut(cluster).into_iter().for_each(|member| member.brake.done(&key));
                }
            }
            self.touch(&key, &uid);
            self.objects.enqueue(&key);
        }
    }

    /// A copy was seen in a cluster. If its object was deleted, with its copies, the member brought it back: the
    /// tombstone is carried out once more. Somebody may have rescued it there, so the brake has a say, and it is told
    /// how to keep it.
    pub(super) fn delete_again(&mut self, cluster: &str, key: &Key, source: &Uid) {
        if !self.ledger.knows(source, key) {
            return;
        }
        let Some(name) = self.members.get_key_value(cluster).map(|(name, _)| name.clone()) else { return };
        let Some(member) = self.members.get_mut(cluster) else { return };
        let undone = member.damper.undone(key, tokio::time::Instant::now());
        let entry = self.objects.entry(key);
        let tombstone = if let Some(known) = entry.tombstones.iter().position(|g| g.uid == *source) {
            &mut entry.tombstones[known]
        } else {
            let mut tombstone = Tracked::gone(source.clone());
            tombstone.restored = true;
            entry.tombstones.push(tombstone);
            entry.tombstones.last_mut().unwrap_or_else(|| unreachable!("one was added"))
        };
        if tombstone.copies.contains_key(cluster) {
            return;
        }
        let record = Placed { state: State::Deleting, ..Placed::default() };
        let not_before = Some(tokio::time::Instant::now() + undone.wait);
        tombstone.copies.or_insert(&name, Copy { record, not_before, ..Copy::default() });
        let (kind, name) = (key.kind().kind, key.full_name());
        tracing::warn!(cluster, kind, name, "a copy of a deleted object is back; it is deleted again");
        let message = format!(
            "{kind} \"{name}\" was deleted and is back in cluster {cluster}, where it is deleted again; to keep it, take its label {} off there",
            keys::MANAGED_BY
        );
        self.event(key, source, true, "BackInCluster", message);
        self.touch(key, source);
        tell_undone(&self.parts.events, key, source, cluster, undone);
        self.objects.enqueue(key);
    }
}

impl Pass<'_> {
    /// Objects that are gone: deletes what they left. Gives the clusters where something is still left.
    pub(super) fn reconcile_tombstones(&mut self, tombstones: &mut Vec<Tracked>) -> BTreeSet<ClusterName> {
        let key = self.key;
        let left = |tombstones: &[Tracked]| tombstones.iter().map(|tombstone| tombstone.copies.len()).sum::<usize>();
        let before = left(tombstones);
        for tombstone in &mut *tombstones {
            let clusters: Vec<ClusterName> = tombstone.copies.keys().cloned().collect();
            for cluster in clusters {
                if self.cluster(&cluster).is_some() {
                    let removal = match (tombstone.restored, key.kind().family) {
                        // Somebody restored it, with what it holds.
                        (true, Family::Claim) => Removal::LetGo(HOLDS_DATA),
                        (true, _) if key.kind == NAMESPACE && self.holds_claims(&key.name, &cluster) => Removal::LetGo(HOLDS_CLAIMS),
                        (true, _) => Removal::Unwanted,
                        (false, _) => Removal::Deleted,
                    };
                    self.want_absent(tombstone, &cluster, removal);
                } else {
                    tombstone.copies.remove(&cluster);
                    self.touch(&tombstone.uid);
                }
            }
        }
        if key.kind == NAMESPACE && left(tombstones) < before {
            // What is to be in the one that comes after waited for it.
            self.follows(Effect::LookInside(key.name.clone()));
        }
        for tombstone in tombstones.extract_if(.., |tombstone| tombstone.copies.is_empty()) {
            self.follows(Effect::Deleted(tombstone.uid));
        }
        tombstones.iter().flat_map(|tombstone| tombstone.copies.keys().cloned()).collect()
    }
}
