//! What sessions of members and what is seen in them change, and which objects are looked at for it.

use std::collections::HashSet;

use federation_api::record::State;

use tokio::time::Instant;

use super::{
    brain::{Brain, Timer},
    entry::{Barred, ClusterSide, Entry, Key, version},
    hold::{Sight, after_outage},
    intake::{Observed, Seeing},
    observed::Seen,
};
use crate::{
    clusters::rights::Lacks,
    follow::Why,
    kinds::{KINDS, KindId, NAMESPACE, ObjectKey, PerKind},
};

impl Brain {
    /// A member can be reached, in this session; or cannot.
    pub(super) fn take_session(&mut self, cluster: &str, epoch: Option<u64>) {
        if epoch.is_some() {
            self.wait_after_outage(cluster);
        }
        let Some(side) = self.clusters.get_mut(cluster) else { return };
        let mut divides = side.unheard_until.take().is_some();
        side.epoch = epoch;
        side.listed = PerKind::default();
        side.watched = PerKind::default();
        // Why a kind cannot be watched is found out anew; since when is not forgotten.
        side.failing = PerKind::default();
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
            if let Some(side) = self.clusters.get_mut(&**name) {
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
            Observed::Listed(seeing) => self.take_seeing(cluster, epoch, kind, seeing),
            Observed::Changed(key, seen) => {
                let key = self.intern(key);
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                side.watched[kind] = side.watched[kind].max(version(&seen));
                let source = seen.source_uid.clone();
                let whose = |side: &ClusterSide| side.seen.get(&key).map(|seen| (seen.source_uid.clone(), seen.deleting));
                let before = whose(side);
                side.see(key.clone(), *seen);
                let same = kind != NAMESPACE || whose(side) == before;
                self.bury_again(cluster, &key, &source);
                self.enqueue(&key);
                if !same {
                    // What is in it may have waited for it.
                    self.enqueue_namespace(&key.name);
                }
            }
            Observed::Gone { key, uid, version } => {
                let key = self.intern(key);
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                side.watched[kind] = side.watched[kind].max(version);
                side.unsee(&key, Some(&uid).filter(|uid| !uid.is_empty()));
                if let Some(entry) = self.entries.get_mut(&key) {
                    // It went as it was asked to; no need to wait longer.
                    let copies = entry.live.iter_mut().chain(&mut entry.graves).filter_map(|t| t.copies.get_mut(cluster));
                    copies.filter(|c| c.record.state == State::Deleting).for_each(|c| c.not_before = None);
                }
                self.enqueue(&key);
            }
            Observed::Watching => {
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                if side.listed[kind] && side.failing[kind].take().is_some() {
                    self.sees_again(cluster, kind);
                }
            }
            Observed::Failing(reason) => {
                let hold = self.parts.hold;
                let Some(side) = self.clusters.get_mut(cluster).filter(in_session) else { return };
                if side.failing[kind].replace(reason.clone()).is_some() {
                    return;
                }
                tracing::warn!(cluster, kind = KINDS[kind].kind, error = reason, "the member cannot be watched");
                side.blind[kind].get_or_insert_with(Instant::now);
                self.later(hold, Timer::Blind(cluster.to_owned(), kind));
                self.enqueue_kind(kind);
            }
        }
    }

    /// A complete look at one kind of a member.
    fn take_seeing(&mut self, cluster: &str, epoch: u64, kind: KindId, seeing: Seeing) {
        let objects: Vec<_> = seeing.objects.into_iter().map(|(key, seen)| (self.intern(key), seen)).collect();
        let unreadable: HashSet<ObjectKey> = seeing.unreadable.into_iter().collect();
        let Some(side) = self.clusters.get_mut(cluster).filter(|side| side.epoch == Some(epoch)) else { return };
        let blind = side.failing[kind].take().is_some();
        let first = !side.ever_listed[kind] || blind;
        // Only an answer of the member in this very session can be newer than a list.
        let anew = !side.listed[kind] || seeing.why == Why::WentBack;
        let newer = |known: &Seen| !anew && seeing.version.is_some() && version(known) > seeing.version;
        let found: HashSet<Key> = objects.iter().map(|(k, _)| k.clone()).collect();
        let gone =
            side.seen.extract_if(|key, known| key.kind == kind && !found.contains(key) && !unreadable.contains(&**key) && !newer(known));
        let mut news: HashSet<Key> = gone.map(|(key, _)| key).collect();
        let mut revenants = Vec::new();
        for (key, seen) in objects {
            if self.ledger.knows(&seen.source_uid, &key) {
                revenants.push((key.clone(), seen.source_uid.clone()));
            }
            let known = side.seen.get(&key);
            if known.is_some_and(&newer) || known == Some(&seen) {
                continue;
            }
            news.insert(key.clone());
            side.seen.insert(key, seen);
        }
        side.listed[kind] = true;
        side.ever_listed[kind] = true;
        side.watched[kind] = seeing.version;
        if seeing.why == Why::WentBack {
            metrics::counter!("federation_member_store_went_back_total", "cluster" => cluster.to_owned()).increment(1);
        }
        if seeing.why == Why::Comparison {
            metrics::counter!("federation_comparison_bytes_total", "cluster" => cluster.to_owned()).increment(seeing.bytes);
        }
        if !news.is_empty() && seeing.why == Why::Comparison {
            let kind = KINDS[kind].kind;
            tracing::warn!(cluster, kind, count = news.len(), "a comparison found what no watch had told");
            metrics::counter!("federation_drift_found_total", "cluster" => cluster.to_owned(), "kind" => kind).increment(news.len() as u64);
        }
        let open = |key: &Key, entry: &Entry| first || news.contains(key) || !entry.is_settled(cluster, side.seen.get(key));
        let of_kind = self.entries.iter().filter(|(key, _)| key.kind == kind);
        let keys: Vec<Key> = of_kind.filter(|(key, entry)| open(key, entry)).map(|(key, _)| key.clone()).collect();
        if blind {
            self.sees_again(cluster, kind);
        } else if let Some(side) = self.clusters.get_mut(cluster) {
            side.blind[kind] = None;
        }
        for (key, source) in revenants {
            self.bury_again(cluster, &key, &source);
        }
        for key in &keys {
            self.enqueue(key);
            if kind == NAMESPACE {
                // What is in it may have waited for it.
                self.enqueue_namespace(&key.name);
            }
        }
    }

    /// A kind of a member that could not be watched can be again.
    fn sees_again(&mut self, cluster: &str, kind: KindId) {
        let Some(side) = self.clusters.get_mut(cluster) else { return };
        side.blind[kind] = None;
        blind_gauge(cluster, kind).set(0.0);
        tracing::info!(cluster, kind = KINDS[kind].kind, "the member can be watched again");
        self.enqueue_kind(kind);
    }

    /// A kind of a member may be unwatched for longer than the loss delay: then it has no share any more.
    pub(super) fn tell_blind(&mut self, cluster: &str, kind: KindId) {
        let hold = self.parts.hold;
        let Some(side) = self.clusters.get(cluster).filter(|side| side.is_blind(kind, hold)) else { return };
        let Some(reason) = side.failing[kind].clone() else { return };
        blind_gauge(cluster, kind).set(1.0);
        let kind_name = KINDS[kind].kind;
        let message =
            format!("{kind_name} objects cannot be watched in cluster {cluster}; it gets no share of them until they can: {reason}");
        tracing::warn!(cluster, kind = kind_name, reason, "not watched for longer than the loss delay; the cluster gets no share");
        self.cluster_event(cluster, "KindNotWatched", message);
        self.enqueue_kind(kind);
    }
}

impl Brain {
    /// A member said which verbs the federation may not use there.
    pub(super) fn take_rights(&mut self, cluster: &str, lacks: &Lacks) {
        for (kind, verbs) in lacks.iter() {
            let Some(side) = self.clusters.get_mut(cluster) else { return };
            // What cannot be deleted can be made and kept as it is wanted.
            let verbs = verbs.iter().copied().filter(|verb| *verb != "delete").collect::<Vec<_>>().join(", ");
            match (&mut side.barred[kind], verbs.is_empty()) {
                (None, true) => {}
                (Some(barred), false) => barred.verbs = verbs,
                (barred @ Some(_), true) => {
                    *barred = None;
                    barred_gauge(cluster, kind).set(0.0);
                    tracing::info!(cluster, kind = KINDS[kind].kind, "the federation may write them in the member again");
                    self.enqueue_kind(kind);
                }
                (barred @ None, false) => {
                    tracing::warn!(cluster, kind = KINDS[kind].kind, verbs, "the federation may not write them in the member");
                    *barred = Some(Barred { since: Instant::now(), verbs });
                    self.later(self.parts.hold, Timer::Barred(cluster.to_owned(), kind));
                }
            }
        }
    }

    /// A kind may not be written in a member for longer than the loss delay: then it has no share any more.
    pub(super) fn tell_barred(&mut self, cluster: &str, kind: KindId) {
        let hold = self.parts.hold;
        let Some(side) = self.clusters.get(cluster).filter(|side| side.is_barred(kind, hold)) else { return };
        let Some(verbs) = side.barred[kind].as_ref().map(|barred| barred.verbs.clone()) else { return };
        barred_gauge(cluster, kind).set(1.0);
        let kind_name = KINDS[kind].kind;
        let message = format!(
            "the federation's account may not {verbs} {kind_name} objects in cluster {cluster}; it gets no share of them until it may; \
             join the cluster again with kubefed join"
        );
        tracing::warn!(cluster, kind = kind_name, verbs, "not allowed for longer than the loss delay; the cluster gets no share");
        self.cluster_event(cluster, "KindNotWritten", message);
        self.enqueue_kind(kind);
    }
}

/// 1 for a kind that may not be written in a member.
fn barred_gauge(cluster: &str, kind: KindId) -> metrics::Gauge {
    metrics::gauge!("federation_member_kind_not_written", "cluster" => cluster.to_owned(), "kind" => KINDS[kind].kind)
}

/// 1 for a kind that cannot be watched in a member.
fn blind_gauge(cluster: &str, kind: KindId) -> metrics::Gauge {
    metrics::gauge!("federation_member_kind_not_watched", "cluster" => cluster.to_owned(), "kind" => KINDS[kind].kind)
}
