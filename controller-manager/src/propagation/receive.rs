//! What each message changes in the controller's tables, and which objects are looked at for it.

use std::collections::HashMap;

use federation_api::keys;
use kube::api::DynamicObject;
use tokio::time::Instant;

use super::{
    brake::BrakeState,
    controller::{Controller, stopped_gauge},
    damper::Damper,
    entry::{Entry, Key, Tracked, backoff},
    intake::{Intake, Write, WriteError},
    member::Member,
    object::Object,
    per_cluster::ClusterName,
    timers::Timer,
};
use crate::{
    compact::Uid,
    follow::{Head, Listing, Why},
    kinds::{self, AUTOSCALER, KINDS, KindId, NAMESPACE, ObjectKey, PerKind},
    members::news::News,
};

impl Controller {
    /// Takes one message.
    pub(super) fn take(&mut self, message: Intake) {
        match message {
            Intake::FederatedList { kind, listing } => self.take_list(kind, listing),
            Intake::Federated { kind, object } => self.take_object(kind, *object, false),
            Intake::FederatedGone { kind, head, object } => self.take_gone(kind, head, object),
            Intake::FederatedFailing { kind, reason } => self.cannot_watch(kind, &reason),
            Intake::FederatedWatching { kind } => self.can_watch(kind),
            Intake::Records(records) => {
                self.records.get_or_insert_default().extend(records);
                if self.opened() {
                    self.claim_records();
                }
            }
            Intake::Member(news) => self.take_news(news),
            Intake::Written { key, uid, what, result } => self.take_written(&key, &uid, what, result),
        }
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::ClustersListed(names) => self.clusters_read = Some(names),
            News::Cluster { cluster, uid, labels, annotations, lane, was_ready } => {
                let consent = annotations.get(keys::MASS_DELETION).is_some_and(|v| v == "allow");
                if let Some(member) = self.members.get_mut(&*cluster) {
                    let restarted = lane.is_some();
                    if let Some(lane) = lane {
                        member.lane = lane;
                    }
                    let relabelled = member.labels != labels;
                    let allowed = consent && !member.consent;
                    (member.uid, member.labels) = (uid, labels);
                    member.consent = consent;
                    // Its monitor was started again, so what was under way is void.
                    if restarted {
                        self.take_session(&cluster, None);
                    }
                    if relabelled {
                        self.objects.enqueue_all();
                    }
                    if allowed {
                        self.judge_later(&cluster, std::time::Duration::ZERO);
                    }
                } else if let Some(lane) = lane {
                    let mut member = Member {
                        uid,
                        labels,
                        consent,
                        lane,
                        epoch: None,
                        counts: was_ready,
                        unheard_until: Some(Instant::now() + self.parts.settings.loss_delay),
                        listed: PerKind::default(),
                        ever_listed: PerKind::default(),
                        watched: PerKind::default(),
                        failing: PerKind::default(),
                        blind: PerKind::default(),
                        barred: PerKind::default(),
                        damper: Damper::default(),
                        brake: BrakeState::default(),
                        judged_at: None,
                    };
                    if let Some(memory) = annotations.get(keys::RECENT_DELETIONS) {
                        member.brake.remember(memory);
                    }
                    self.members.insert(cluster.into(), member);
                    self.later(self.parts.settings.loss_delay, Timer::Grace);
                    self.objects.enqueue_all();
                }
            }
            News::Left { cluster } => {
                // Nothing is deleted in a member that left; what is known of it is dropped.
                if self.members.remove(&*cluster).is_some_and(|member| member.brake.stopped) {
                    stopped_gauge(&cluster).set(0.0);
                }
                self.objects.forget_cluster(&ClusterName::from(&*cluster));
                if let Some(names) = &mut self.clusters_read {
                    names.retain(|n| *n != cluster);
                }
                self.objects.enqueue_all();
            }
            News::Session { cluster, epoch } => self.take_session(&cluster, epoch),
            News::Lost { cluster } => {
                // Back by now, it counts again.
                if let Some(member) = self.members.get_mut(&*cluster).filter(|s| s.epoch.is_none() && s.counts) {
                    member.counts = false;
                    self.objects.enqueue_all();
                }
            }
            News::Rights { cluster, lacks } => self.take_rights(&cluster, &lacks),
            News::Observed { cluster, epoch, kind, observed } => self.take_observed(&cluster, epoch, kind, observed),
            News::Done(done) => self.take_outcome(done),
        }
    }

    fn take_list(&mut self, kind: KindId, listing: Listing<DynamicObject>) {
        let known = self.objects.of_kind(kind);
        let mut missing: HashMap<Uid, Key> =
            known.filter_map(|(key, entry)| Some((entry.live.as_ref()?.uid.clone(), key.clone()))).collect();
        for head in listing.unreadable {
            missing.remove(&Uid::from(&*head.uid));
        }
        let went_back = listing.why == Why::WentBack;
        for object in listing.objects {
            missing.remove(&Uid::from(object.metadata.uid.as_deref().unwrap_or_default()));
            self.take_object(kind, object, went_back);
        }
        for (uid, key) in missing {
            self.vanish(&key, &uid);
        }
        self.can_watch(kind);
        if !std::mem::replace(&mut self.listed[kind], true) {
            self.claim_records();
        }
    }

    /// A federated kind cannot be watched. After a while nobody waits for it any more: other kinds go on without it.
    fn cannot_watch(&mut self, kind: KindId, reason: &str) {
        if self.failing[kind].is_none() {
            tracing::warn!(kind = KINDS[kind].kind, error = reason, "the federation cannot be watched; what is known stays");
            self.failing[kind] = Some((Instant::now(), false));
            self.later(self.parts.settings.loss_delay, Timer::GiveUp(kind));
        }
    }

    fn can_watch(&mut self, kind: KindId) {
        if self.failing[kind].take().is_some_and(|(_, given_up)| given_up) {
            unwatched_gauge(kind).set(0.0);
            tracing::info!(kind = KINDS[kind].kind, "the federation can be watched again");
        }
    }

    /// See [`Controller::cannot_watch`].
    pub(super) fn give_up(&mut self, kind: KindId) {
        let loss_delay = self.parts.settings.loss_delay;
        if let Some((since, given_up)) = &mut self.failing[kind]
            && !*given_up
            && since.elapsed() >= loss_delay
        {
            *given_up = true;
            unwatched_gauge(kind).set(1.0);
            tracing::error!(
                kind = KINDS[kind].kind,
                "the federation cannot be watched for this kind: it is left as it is, other kinds go on"
            );
        }
    }

    /// Takes an object as it is. What is older than what is known is old news, unless versions went back.
    fn take_object(&mut self, kind: KindId, object: DynamicObject, went_back: bool) {
        let key = object_key(kind, &object);
        if !kinds::is_propagated(&key) {
            return;
        }
        let ours = |f: &String| f == keys::DELETE_FROM_CLUSTERS || f == keys::ORPHAN;
        let known = self.objects.get(&key).is_some_and(Entry::is_wanted);
        if self.parts.settings.is_left_out(&key) && !known && !object.metadata.finalizers.iter().flatten().any(ours) {
            let uid = Uid::from(object.metadata.uid.as_deref().unwrap_or_default());
            self.event(&key, &uid, true, "NotPropagated", "nothing is propagated in this namespace".into());
            return;
        }
        let key = self.objects.shared(key);
        let uid = Uid::from(object.metadata.uid.as_deref().unwrap_or_default());
        if let Some(old) = self.objects.get(&key).and_then(|e| e.live.as_ref()).map(|live| live.uid.clone()).filter(|old| *old != uid) {
            // Deleted and made again between two looks.
            self.vanish(&key, &old);
        }
        let entry = self.objects.entry(&key);
        let live = entry.live.get_or_insert_with(|| Box::new(Tracked::new(uid.clone())));
        let object = Object::new(object);
        let older = live.object.as_ref().is_some_and(|known| known.version().number() > object.version().number());
        if older && !went_back {
            return;
        }
        if self.ledger.remove(&uid) {
            // The federation's store was put back: it exists after all.
            self.touch(&key, &uid);
        }
        let Some(live) = self.objects.get_mut(&key).and_then(|e| e.live.as_mut()) else { return };
        let same = live.object.as_ref().is_some_and(|known| known.is_same_for_members(&object));
        if !same {
            live.forget_bodies();
        }
        let scales = key.kind == AUTOSCALER;
        let after = scales.then(|| object.tree());
        let before = live.object.replace(object).filter(|_| scales).map(|object| object.tree());
        // What it scaled and what it scales now.
        self.enqueue_target(&key, before.as_deref());
        self.enqueue_target(&key, after.as_deref());
        self.objects.enqueue(&key);
    }

    fn take_gone(&mut self, kind: KindId, head: Head, object: Option<Box<DynamicObject>>) {
        let key = ObjectKey { kind, namespace: head.namespace, name: head.name };
        if let Some(key) = self.objects.known(&key).cloned() {
            let live = self.objects.get_mut(&key).and_then(|e| e.live.as_mut()).filter(|l| l.uid == *head.uid);
            if let (Some(live), Some(object)) = (live, object) {
                live.object = Some(Object::new(*object));
            }
            self.vanish(&key, &Uid::from(&*head.uid));
        }
    }

    /// A federated object is no more. What its deletion still has to do stays as a tombstone; an object that
    /// vanished without having been seen in deletion leaves its copies where they are.
    fn vanish(&mut self, key: &Key, uid: &Uid) {
        let Some(entry) = self.objects.get_mut(key) else { return };
        let Some(mut live) = entry.live.take_if(|l| l.uid == *uid) else { return };
        let orphaned = live.is_deleting() && live.has_finalizer(keys::ORPHAN);
        if !live.is_deleting() && !live.copies.is_empty() {
            let name = key.full_name();
            tracing::warn!(
                kind = key.kind().kind,
                name,
                "the federated object vanished without being deleted; its copies stay in the members"
            );
        }
        let last = live.object.take().filter(|_| key.kind == AUTOSCALER).map(|object| object.tree());
        live.forget_bodies();
        if orphaned {
            live.copies.clear();
        }
        live.copies.retain(|copy| copy.record.explicit);
        let gone = live.released && live.placed;
        if !live.copies.is_empty() {
            entry.tombstones.push(*live);
        } else if gone {
            self.remember_deletion(key, uid);
        }
        self.touch(key, uid);
        self.objects.enqueue(key);
        if key.kind == NAMESPACE {
            self.objects.enqueue_namespace(&key.name);
        }
        self.enqueue_target(key, last.as_deref());
    }

    fn take_written(&mut self, key: &Key, uid: &Uid, what: Write, result: Result<Option<Box<DynamicObject>>, WriteError>) {
        let Some(live) = self.objects.get_mut(key).and_then(|e| e.live.as_mut()).filter(|l| l.uid == *uid) else { return };
        live.writing = None;
        match result {
            Ok(object) => {
                live.failures = 0;
                if let Some(object) = object.filter(|o| o.metadata.uid.as_deref().is_some_and(|of| *uid == *of)) {
                    self.take_object(key.kind, *object, false);
                }
                self.objects.enqueue(key);
            }
            Err(error) if error.stale => self.enqueue_later(key, std::time::Duration::from_millis(50)),
            Err(error) => {
                live.failures += 1;
                let wait = error.retry_after.unwrap_or_else(|| backoff(live.failures));
                let (kind, name) = (key.kind().kind, key.full_name());
                tracing::warn!(kind, name, ?what, error = error.reason, "writing to the federation failed");
                self.enqueue_later(key, wait);
            }
        }
    }

    fn enqueue_later(&mut self, key: &Key, wait: std::time::Duration) {
        self.later(wait, Timer::Key(key.clone()));
    }
}

/// 1 for a federated kind that cannot be watched and is left as it is.
fn unwatched_gauge(kind: KindId) -> metrics::Gauge {
    metrics::gauge!("federation_kind_not_watched", "kind" => KINDS[kind].kind)
}

fn object_key(kind: KindId, object: &DynamicObject) -> ObjectKey {
    let meta = &object.metadata;
    ObjectKey { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}
