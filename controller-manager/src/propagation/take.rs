//! What each message changes in the brain's tables, and which objects are looked at for it.

use std::{collections::HashMap, sync::Arc, time::Instant};

use federation_api::{keys, record::PropagationRecordSpec};
use kube::api::DynamicObject;

use super::{
    brain::{Brain, Timer, stopped_gauge},
    brake::BrakeState,
    entry::{ClusterSide, Copy, Entry, Key, Tracked, backoff},
    intake::{Intake, Write, WriteError},
};
use crate::kinds::{self, KINDS, KindId, NAMESPACE, ObjectKey};

impl Brain {
    /// Takes one message.
    pub(super) fn take(&mut self, message: Intake) {
        match message {
            Intake::FederatedList { kind, objects } => self.take_list(kind, objects),
            Intake::Federated { kind, object } => self.take_object(kind, *object),
            Intake::FederatedGone { kind, object } => self.take_gone(kind, &object),
            Intake::Records(records) => self.records = Some(records),
            Intake::ClustersListed(names) => self.clusters_read = Some(names),
            Intake::Cluster { cluster, uid, labels, annotations, lane, was_ready } => {
                let consent = annotations.get(keys::MASS_DELETION).is_some_and(|v| v == "allow");
                if let Some(side) = self.clusters.get_mut(&cluster) {
                    let news = side.labels != labels;
                    let allowed = consent && !side.consent;
                    (side.uid, side.labels) = (uid, labels);
                    side.consent = consent;
                    if news {
                        self.enqueue_all();
                    }
                    if allowed {
                        self.later(std::time::Duration::ZERO, Timer::Brake(cluster));
                    }
                } else if let Some(lane) = lane {
                    let side = ClusterSide {
                        uid,
                        labels,
                        consent,
                        lane,
                        epoch: None,
                        counts: was_ready,
                        unheard_until: Some(Instant::now() + self.parts.hold),
                        seen: HashMap::new(),
                        listed: [false; KINDS.len()],
                        ever_listed: [false; KINDS.len()],
                        failing: std::array::from_fn(|_| None),
                        brake: BrakeState::default(),
                    };
                    self.clusters.insert(cluster, side);
                    self.later(self.parts.hold, Timer::Hold);
                    self.enqueue_all();
                }
            }
            Intake::Left { cluster } => {
                // Nothing is deleted in a member that left; what is known of it is dropped.
                if self.clusters.remove(&cluster).is_some_and(|side| side.brake.stopped) {
                    stopped_gauge(&cluster).set(0.0);
                }
                if let Some(names) = &mut self.clusters_read {
                    names.retain(|n| *n != cluster);
                }
                self.enqueue_all();
            }
            Intake::Session { cluster, epoch } => self.take_session(&cluster, epoch),
            Intake::Lost { cluster } => {
                // Back by now, it counts again.
                if let Some(side) = self.clusters.get_mut(&cluster).filter(|s| s.epoch.is_none() && s.counts) {
                    side.counts = false;
                    self.enqueue_all();
                }
            }
            Intake::Observed { cluster, epoch, kind, observed } => self.take_observed(&cluster, epoch, kind, observed),
            Intake::Outcome { cluster, epoch, key, uid, digest, outcome } => {
                self.take_outcome(&cluster, epoch, &key, &uid, digest, outcome)
            }
            Intake::Written { key, uid, what, result } => self.take_written(&key, &uid, what, result),
        }
    }

    fn take_list(&mut self, kind: KindId, objects: Vec<DynamicObject>) {
        let mut missing: HashMap<String, Key> = self
            .entries
            .iter()
            .filter(|(key, _)| key.kind == kind)
            .filter_map(|(key, entry)| Some((entry.live.as_ref()?.uid.to_string(), key.clone())))
            .collect();
        for object in objects {
            missing.remove(object.metadata.uid.as_deref().unwrap_or_default());
            self.take_object(kind, object);
        }
        for (uid, key) in missing {
            self.vanish(&key, &uid);
        }
        self.listed[kind] = true;
    }

    fn take_object(&mut self, kind: KindId, object: DynamicObject) {
        let key = object_key(kind, &object);
        if !kinds::is_propagated(&key) {
            return;
        }
        let key = self.intern(key);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        if self.entries.get(&key).and_then(|e| e.live.as_ref()).is_some_and(|live| *live.uid != *uid) {
            // Deleted and made again between two looks.
            let old = self.entries[&key].live.as_ref().map(|l| l.uid.to_string()).unwrap_or_default();
            self.vanish(&key, &old);
        }
        let entry = self.entries.entry(key.clone()).or_default();
        let live = entry.live.get_or_insert_with(|| Tracked::new(&uid));
        let older = live.object.as_ref().is_some_and(|known| version(known) > version(&object));
        if older {
            return;
        }
        let same = live.object.as_ref().is_some_and(|known| is_same_for_members(known, &object));
        if !same {
            live.bodies.clear();
        }
        live.object = Some(Arc::new(object));
        if !key.namespace.is_empty() {
            self.by_namespace.entry(key.namespace.clone()).or_default().insert(key.clone());
        }
        self.enqueue(&key);
    }

    fn take_gone(&mut self, kind: KindId, object: &DynamicObject) {
        let key = object_key(kind, object);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        if let Some((key, _)) = self.entries.get_key_value(&key) {
            let key = key.clone();
            if let Some(live) = self.entries.get_mut(&key).and_then(|e| e.live.as_mut()).filter(|l| *l.uid == *uid) {
                live.object = Some(Arc::new(object.clone()));
            }
            self.vanish(&key, &uid);
        }
    }

    /// A federated object is no more. What its deletion still has to do stays as a grave; an object that
    /// vanished without having been seen in deletion leaves its copies where they are.
    fn vanish(&mut self, key: &Key, uid: &str) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(mut live) = entry.live.take_if(|l| *l.uid == *uid) else { return };
        let orphaned = live.is_deleting() && live.has_finalizer(keys::ORPHAN);
        if !live.is_deleting() && !live.copies.is_empty() {
            let name = key.full_name();
            tracing::warn!(
                kind = key.kind().kind,
                name,
                "the federated object vanished without being deleted; its copies stay in the members"
            );
        }
        live.object = None;
        live.bodies.clear();
        if orphaned {
            live.copies.clear();
        }
        live.copies.retain(|_, c| c.record.explicit);
        if !live.copies.is_empty() {
            entry.graves.push(live);
        }
        self.touch(key, uid);
        self.enqueue(key);
        if key.kind == NAMESPACE {
            self.enqueue_namespace(&key.name);
        }
    }

    /// Takes the stored records, once all objects are known: a record without an object is a tombstone.
    pub(super) fn take_records(&mut self, records: Vec<(String, PropagationRecordSpec)>) {
        for (uid, spec) in records {
            let Some(kind) = kinds::kind_of(&spec.object).filter(|&k| self.parts.enabled[k]) else { continue };
            let key = self.intern(ObjectKey { kind, namespace: spec.object.namespace, name: spec.object.name });
            let entry = self.entries.entry(key.clone()).or_default();
            let copies = spec.clusters.into_iter().map(|(name, record)| (name, Copy { record, ..Copy::default() }));
            if let Some(live) = entry.live.as_mut().filter(|l| *l.uid == *uid) {
                live.recorded = true;
                live.copies.extend(copies);
            } else {
                let mut grave = Tracked { recorded: true, ..Tracked::new(&uid) };
                grave.copies.extend(copies.filter(|(_, c)| c.record.explicit));
                if grave.copies.is_empty() {
                    self.touch(&key, &uid);
                } else {
                    entry.graves.push(grave);
                }
            }
            self.enqueue(&key);
        }
    }

    fn take_written(&mut self, key: &Key, uid: &str, what: Write, result: Result<Option<Box<DynamicObject>>, WriteError>) {
        let Some(live) = self.entries.get_mut(key).and_then(|e| e.live.as_mut()).filter(|l| *l.uid == *uid) else { return };
        live.writing = None;
        match result {
            Ok(object) => {
                live.failures = 0;
                if let Some(object) = object.filter(|o| o.metadata.uid.as_deref() == Some(uid)) {
                    self.take_object(key.kind, *object);
                }
                self.enqueue(key);
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

    /// Forgets a name that nothing is known under.
    pub(super) fn put_back(&mut self, key: &Key, entry: Entry) {
        if entry.live.is_some() || !entry.graves.is_empty() {
            self.entries.insert(key.clone(), entry);
        } else if let Some(keys) = self.by_namespace.get_mut(&key.namespace) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_namespace.remove(&key.namespace);
            }
        }
    }
}

fn object_key(kind: KindId, object: &DynamicObject) -> ObjectKey {
    let meta = &object.metadata;
    ObjectKey { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

fn version(object: &DynamicObject) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

/// Whether two versions of a federated object mean the same to members: a status write of our own must
/// not cost a new digest.
fn is_same_for_members(a: &DynamicObject, b: &DynamicObject) -> bool {
    let fields = |o: &DynamicObject| -> Vec<(String, serde_json::Value)> {
        o.data.as_object().into_iter().flatten().filter(|(k, _)| *k != "status").map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    a.metadata.labels == b.metadata.labels && a.metadata.annotations == b.metadata.annotations && fields(a) == fields(b)
}
