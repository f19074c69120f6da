//! What sessions of members and what is seen in them change, and which objects are looked at for it.

use std::collections::HashSet;

use federation_api::record::State;

use tokio::time::Instant;

use super::{
    controller::Controller,
    entry::{Entry, Key, version},
    grace::{Reach, after_outage},
    member::{Barred, Member},
    timers::Timer,
};
use crate::{
    follow::Why,
    kinds::{KINDS, KindId, NAMESPACE, ObjectKey, PerKind},
    members::news::Lacks,
    observed::{Observed, Seeing, Seen},
};

impl Controller {
    /// A member can be reached, in this session; or cannot.
    pub(super) fn take_session(&mut self, cluster: &str, epoch: Option<u64>) {
        if epoch.is_some() {
            self.wait_after_outage(cluster);
        }
        let Some(member) = self.members.get_mut(cluster) else { return };
        let mut divides = member.unheard_until.take().is_some();
        member.epoch = epoch;
        member.listed = PerKind::default();
        member.watched = PerKind::default();
        // Why a kind cannot be watched is found out anew; since when is not forgotten.
        member.failing = PerKind::default();
        if epoch.is_some() {
            divides |= !std::mem::replace(&mut member.counts, true);
        }
        // What was under way in the session before is void. What is settled need not be looked at for a flap: should
        // it have changed meanwhile, the list of the next session shows it.
        self.objects.enqueue_where(|_, entry| {
            let settled = entry.is_settled(cluster);
            for copy in entry.copies_in(cluster) {
                copy.busy = false;
                copy.surveying = false;
                copy.failures = 0;
                copy.not_before = None;
            }
            divides || !settled
        });
    }

    /// The first member that answers after all were lost does not get what belongs to the others.
    fn wait_after_outage(&mut self, back: &str) {
        let sight = |member: &Member| Reach { reachable: member.epoch.is_some(), counts: member.counts };
        let others = after_outage(back, self.members.iter().map(|(name, member)| (name, sight(member))));
        let until = Instant::now() + self.parts.settings.loss_delay;
        for name in &others {
            if let Some(member) = self.members.get_mut(&**name) {
                member.unheard_until = Some(until);
            }
        }
        if !others.is_empty() {
            tracing::info!(cluster = back, "the first member is back; replicas are divided when others are, or after a while");
            self.later(self.parts.settings.loss_delay, Timer::Grace);
        }
    }

    /// Something was seen in a member.
    pub(super) fn take_observed(&mut self, cluster: &str, epoch: u64, kind: KindId, observed: Observed) {
        let in_session = |member: &&mut Member| member.epoch == Some(epoch);
        match observed {
            Observed::Listed(seeing) => self.take_seeing(cluster, epoch, kind, seeing),
            Observed::Changed(key, seen) => {
                let key = self.objects.shared(key);
                let Some(name) = self.members.get_key_value(cluster).map(|(name, _)| name.clone()) else { return };
                let Some(member) = self.members.get_mut(cluster).filter(in_session) else { return };
                member.watched[kind] = member.watched[kind].max(version(&seen));
                let source = seen.source_uid.clone();
                let entry = self.objects.entry(&key);
                let whose = |entry: &Entry| entry.seen.get(cluster).map(|seen| (seen.source_uid.clone(), seen.deleting));
                let before = whose(entry);
                entry.observe(&name, *seen);
                let same = kind != NAMESPACE || whose(entry) == before;
                self.delete_again(cluster, &key, &source);
                self.objects.enqueue_after(&key, cluster);
                if !same {
                    // What is in it may have waited for it.
                    self.objects.enqueue_namespace(&key.name);
                }
            }
            Observed::Gone { key, uid, version } => {
                let Some(member) = self.members.get_mut(cluster).filter(in_session) else { return };
                member.watched[kind] = member.watched[kind].max(version);
                if let Some(entry) = self.objects.get_mut(&key) {
                    entry.observe_gone(cluster, Some(&uid).filter(|uid| !uid.is_empty()));
                    // It went as it was asked to; no need to wait longer.
                    entry.copies_in(cluster).filter(|c| c.record.state == State::Deleting).for_each(|c| c.not_before = None);
                }
                self.objects.enqueue(&key);
            }
            Observed::Watching => {
                let Some(member) = self.members.get_mut(cluster).filter(in_session) else { return };
                if member.listed[kind] && member.failing[kind].take().is_some() {
                    self.sees_again(cluster, kind);
                }
            }
            Observed::Failing(reason) => {
                let loss_delay = self.parts.settings.loss_delay;
                let Some(member) = self.members.get_mut(cluster).filter(in_session) else { return };
                if member.failing[kind].replace(reason.clone()).is_some() {
                    return;
                }
                tracing::warn!(cluster, kind = KINDS[kind].kind, error = reason, "the member cannot be watched");
                member.blind[kind].get_or_insert_with(Instant::now);
                self.later(loss_delay, Timer::Blind(cluster.into(), kind));
                self.objects.enqueue_kind(kind);
            }
        }
    }

    /// A complete look at one kind of a member.
    fn take_seeing(&mut self, cluster: &str, epoch: u64, kind: KindId, seeing: Seeing) {
        let Some(name) = self.members.get_key_value(cluster).map(|(name, _)| name.clone()) else { return };
        let Some(member) = self.members.get_mut(cluster).filter(|member| member.epoch == Some(epoch)) else { return };
        let blind = member.failing[kind].take().is_some();
        let first = !member.ever_listed[kind] || blind;
        // Only an answer of the member in this very session can be newer than a list.
        let anew = !member.listed[kind] || seeing.why == Why::WentBack;
        let newer = |known: &Seen| !anew && seeing.version.is_some() && version(known) > seeing.version;
        let unreadable: HashSet<ObjectKey> = seeing.unreadable.into_iter().collect();
        let (mut found, mut news, mut restored) = (HashSet::new(), HashSet::new(), Vec::new());
        for (key, seen) in seeing.objects {
            let key = self.objects.shared(key);
            found.insert(key.clone());
            if self.ledger.knows(&seen.source_uid, &key) {
                restored.push((key.clone(), seen.source_uid.clone()));
            }
            let entry = self.objects.entry(&key);
            let known = entry.seen.get(cluster);
            if known.is_some_and(newer) || known == Some(&seen) {
                continue;
            }
            entry.seen.insert(&name, seen);
            news.insert(key);
        }
        for (key, entry) in self.objects.iter_mut().filter(|(key, _)| key.kind == kind) {
            let gone = |known: &Seen| !found.contains(key) && !unreadable.contains(&**key) && !newer(known);
            if entry.seen.get(cluster).is_some_and(gone) {
                entry.seen.remove(cluster);
                news.insert(key.clone());
            }
        }
        member.listed[kind] = true;
        member.ever_listed[kind] = true;
        member.watched[kind] = seeing.version;
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
        let open = |key: &Key, entry: &Entry| first || news.contains(key) || !entry.is_settled(cluster);
        let keys: Vec<Key> = self.objects.of_kind(kind).filter(|(key, entry)| open(key, entry)).map(|(key, _)| key.clone()).collect();
        if blind {
            self.sees_again(cluster, kind);
        } else if let Some(member) = self.members.get_mut(cluster) {
            member.blind[kind] = None;
        }
        for (key, source) in restored {
            self.delete_again(cluster, &key, &source);
        }
        for key in &keys {
            self.objects.enqueue(key);
            if kind == NAMESPACE {
                // What is in it may have waited for it.
                self.objects.enqueue_namespace(&key.name);
            }
        }
    }

    /// A kind of a member that could not be watched can be again.
    fn sees_again(&mut self, cluster: &str, kind: KindId) {
        let Some(member) = self.members.get_mut(cluster) else { return };
        member.blind[kind] = None;
        blind_gauge(cluster, kind).set(0.0);
        tracing::info!(cluster, kind = KINDS[kind].kind, "the member can be watched again");
        self.objects.enqueue_kind(kind);
    }

    /// A kind of a member may be unwatched for longer than the loss delay: then it has no share any more.
    pub(super) fn tell_blind(&mut self, cluster: &str, kind: KindId) {
        let loss_delay = self.parts.settings.loss_delay;
        let Some(member) = self.members.get(cluster).filter(|member| member.is_blind(kind, loss_delay, Instant::now())) else { return };
        let Some(reason) = member.failing[kind].clone() else { return };
        blind_gauge(cluster, kind).set(1.0);
        let kind_name = KINDS[kind].kind;
        let message =
            format!("{kind_name} objects cannot be watched in cluster {cluster}; it gets no share of them until they can: {reason}");
        tracing::warn!(cluster, kind = kind_name, reason, "not watched for longer than the loss delay; the cluster gets no share");
        self.cluster_event(cluster, "KindNotWatched", message);
        self.objects.enqueue_kind(kind);
    }
}

impl Controller {
    /// A member said which verbs the federation may not use there.
    pub(super) fn take_rights(&mut self, cluster: &str, lacks: &Lacks) {
        for (kind, verbs) in lacks.iter() {
            let Some(member) = self.members.get_mut(cluster) else { return };
            // What cannot be deleted can be made and kept as it is wanted.
            let verbs = verbs.iter().copied().filter(|verb| *verb != "delete").collect::<Vec<_>>().join(", ");
            match (&mut member.barred[kind], verbs.is_empty()) {
                (None, true) => {}
                (Some(barred), false) => barred.verbs = verbs,
                (barred @ Some(_), true) => {
                    *barred = None;
                    barred_gauge(cluster, kind).set(0.0);
                    tracing::info!(cluster, kind = KINDS[kind].kind, "the federation may write them in the member again");
                    self.objects.enqueue_kind(kind);
                }
                (barred @ None, false) => {
                    tracing::warn!(cluster, kind = KINDS[kind].kind, verbs, "the federation may not write them in the member");
                    *barred = Some(Barred { since: Instant::now(), verbs });
                    self.later(self.parts.settings.loss_delay, Timer::Barred(cluster.into(), kind));
                }
            }
        }
    }

    /// A kind may not be written in a member for longer than the loss delay: then it has no share any more.
    pub(super) fn tell_barred(&mut self, cluster: &str, kind: KindId) {
        let loss_delay = self.parts.settings.loss_delay;
        let Some(member) = self.members.get(cluster).filter(|member| member.is_barred(kind, loss_delay, Instant::now())) else { return };
        let Some(verbs) = member.barred[kind].as_ref().map(|barred| barred.verbs.clone()) else { return };
        barred_gauge(cluster, kind).set(1.0);
        let kind_name = KINDS[kind].kind;
        let message = format!(
            "the federation's account may not {verbs} {kind_name} objects in cluster {cluster}; it gets no share of them until it may; \
             join the cluster again with kubefed join"
        );
        tracing::warn!(cluster, kind = kind_name, verbs, "not allowed for longer than the loss delay; the cluster gets no share");
        self.cluster_event(cluster, "KindNotWritten", message);
        self.objects.enqueue_kind(kind);
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
