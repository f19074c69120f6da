//! What sessions of members and what is seen in them change, and which objects are looked at for it.

use std::{collections::HashSet, time::Instant};

use super::{
    brain::{Brain, Timer},
    entry::{ClusterSide, Entry, Key},
    hold::{Sight, after_outage},
    intake::Observed,
};
use crate::kinds::{KINDS, KindId, NAMESPACE};

impl Brain {
    /// A member can be reached, in this session; or cannot.
    pub(super) fn take_session(&mut self, cluster: &str, epoch: Option<u64>) {
        if epoch.is_some() {
            self.wait_after_outage(cluster);
        }
        let Some(side) = self.clusters.get_mut(cluster) else { return };
        let mut divides = side.unheard_until.take().is_some();
        side.epoch = epoch;
        side.listed = [false; KINDS.len()];
        if epoch.is_some() {
            divides |= !std::mem::replace(&mut side.counts, true);
        }
        // What was under way in the session before is void. What is settled need not be looked at for a flap: should
        // it have changed meanwhile, the list of the next session shows it.
        let mut open = Vec::new();
        for (key, entry) in &mut self.entries {
            let settled = entry.is_settled(cluster, side.seen.get(key));
            for copy in entry.live.iter_mut().chain(&mut entry.graves).filter_map(|t| t.copies.get_mut(cluster)) {
                copy.busy = false;
                copy.surveying = false;
                copy.failures = 0;
                copy.not_before = None;
            }
            if divides || !settled {
                open.push(key.clone());
            }
        }
        self.enqueue_many(open);
    }

    /// The first member that answers after all were lost does not get what belongs to the others.
    fn wait_after_outage(&mut self, back: &str) {
        let sight = |side: &ClusterSide| Sight { reachable: side.epoch.is_some(), counts: side.counts };
        let others = after_outage(back, self.clusters.iter().map(|(name, side)| (name, sight(side))));
        let until = Instant::now() + self.parts.hold;
        for name in &others {
            if let Some(side) = self.clusters.get_mut(name) {
                side.unheard_until = Some(until);
            }
        }
        if !others.is_empty() {
            tracing::info!(cluster = back, "the first member is back; replicas are divided when others are, or after a while");
            self.later(self.parts.hold, Timer::Hold);
        }
    }

    /// Something was seen in a member.
    pub(super) fn take_observed(&mut self, cluster: &str, epoch: u64, kind: KindId, observed: Observed) {
        let in_session = |side: &&mut ClusterSide| side.epoch == Some(epoch);
        match observed {
            Observed::Listed(objects) => {
                let objects: Vec<_> = objects.into_iter().map(|(key, seen)| (self.intern(key), seen)).collect();
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                let first = !side.ever_listed[kind] || side.failing[kind].is_some();
                let found: HashSet<Key> = objects.iter().map(|(k, _)| k.clone()).collect();
                let gone = side.seen.extract_if(|key, _| key.kind == kind && !found.contains(key));
                let mut news: HashSet<Key> = gone.map(|(key, _)| key).collect();
                for (key, seen) in objects {
                    if side.seen.get(&key) != Some(&seen) {
                        news.insert(key.clone());
                    }
                    side.see(key, seen);
                }
                side.listed[kind] = true;
                side.ever_listed[kind] = true;
                side.failing[kind] = None;
                let open = |key: &Key, entry: &Entry| first || news.contains(key) || !entry.is_settled(cluster, side.seen.get(key));
                let of_kind = self.entries.iter().filter(|(key, _)| key.kind == kind);
                let keys: Vec<Key> = of_kind.filter(|(key, entry)| open(key, entry)).map(|(key, _)| key.clone()).collect();
                for key in &keys {
                    self.enqueue(key);
                    if kind == NAMESPACE {
                        // What is in it may have waited for it.
                        self.enqueue_namespace(&key.name);
                    }
                }
            }
            Observed::Changed(key, seen) => {
                let key = self.intern(key);
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                side.see(key.clone(), *seen);
                self.enqueue(&key);
            }
            Observed::Gone(key, uid) => {
                let key = self.intern(key);
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                side.unsee(&key, &uid);
                if let Some(entry) = self.entries.get_mut(&key) {
                    // It went as it was asked to; no need to wait longer.
                    entry
                        .live
                        .iter_mut()
                        .chain(&mut entry.graves)
                        .filter_map(|t| t.copies.get_mut(cluster))
                        .for_each(|c| c.not_before = None);
                }
                self.enqueue(&key);
            }
            Observed::Failing(reason) => {
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                let first = side.failing[kind].is_none();
                if first && !side.listed[kind] {
                    tracing::warn!(cluster, kind = KINDS[kind].kind, error = reason, "the member cannot be watched");
                    side.failing[kind] = Some(reason);
                    let keys: Vec<Key> = self.entries.keys().filter(|k| k.kind == kind).cloned().collect();
                    keys.iter().for_each(|k| self.enqueue(k));
                }
            }
        }
    }
}
