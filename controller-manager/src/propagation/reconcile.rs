//! From an object to what is done in each cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use federation_api::{keys, record::State};

use tokio::time::Instant;

use super::{
    brain::{Brain, Timer},
    compact::{Digest, Uid},
    copies::ClusterName,
    damper::{TOLD, Undone},
    desired::Split,
    entry::{ClusterSide, Entry, Key, Tracked, adopts},
    intake::Write,
    step::{AWAY, Effect, Removal, Task, View, Wanted, step},
};
use crate::{
    events::{About, Event, Events},
    kinds::{Family, NAMESPACE, ObjectKey},
    members::job::{Job, Work},
    placement::{Placement, stays},
};

impl Brain {
    /// Looks at one name: the object, if it exists, and what earlier ones left.
    pub(super) fn reconcile(&mut self, key: &Key) {
        let Some(mut entry) = self.entries.remove(key) else { return };
        let _span = placing(key, &entry).entered();
        let haunted = self.reconcile_graves(key, &mut entry);
        if let Some(mut live) = entry.live.take() {
            live.unfold();
            if self.is_left_out(key) {
                self.leave_out(key, &mut live);
            } else if live.is_deleting() {
                self.reconcile_deletion(key, &mut live);
            } else if live.object.is_some() {
                self.reconcile_live(key, &mut live, &haunted);
            }
            live.rest();
            entry.live = Some(live);
        }
        self.put_back(key, entry);
    }

    /// `haunted` are the clusters where an earlier object of the name has left something.
    fn reconcile_live(&mut self, key: &Key, live: &mut Tracked, haunted: &BTreeSet<ClusterName>) {
        let staying = live.tree().and_then(|object| stays(key.kind(), &object));
        // What never was in a member can go as it likes: somebody's rights end when their binding is deleted.
        let at_home = staying.is_some() && live.copies.is_empty() && key.kind().opt_in;
        if !at_home && !self.ensure_finalizers(key, live) {
            return;
        }
        let annotations = live.tree().and_then(|object| object.metadata.annotations.clone()).unwrap_or_default();
        let placement = match Placement::parse(key.kind(), &annotations) {
            Ok(placement) => placement,
            Err(error) => {
                let complaint = error.to_string();
                if live.complaint != complaint {
                    self.event(key, &live.uid, true, "InvalidPlacement", format!("{complaint}; nothing is changed in the members"));
                    live.complaint = complaint;
                }
                return;
            }
        };
        let mut selected = placement.select(self.clusters.iter().map(|(name, side)| (name, &side.labels)));
        if let Some(reason) = staying {
            selected.clear();
            // A copy may be there that no record knows of.
            let there = self.clusters.iter().filter(|(_, side)| side.seen.get(key).is_some_and(|seen| seen.source_uid == live.uid));
            for (cluster, _) in there {
                live.copies.or_default(cluster);
            }
            // Rights are the federation's own unless somebody says otherwise: that is no news.
            if live.complaint != reason && !key.kind().opt_in {
                self.event(key, &live.uid, false, "NotPropagated", reason.into());
                reason.clone_into(&mut live.complaint);
            }
        } else {
            live.complaint.clear();
        }
        let splits = match key.kind().family {
            Family::Replicated | Family::Job | Family::Autoscaler => match self.schedule(key, live, &placement, &mut selected) {
                Some(splits) => {
                    self.divided(key, live, &splits);
                    Some(splits)
                }
                None => return,
            },
            _ => None,
        };
        let named = |name: &String| self.clusters.get_key_value(&**name).map(|(name, _)| name.clone());
        let known: BTreeSet<ClusterName> = live.copies.keys().cloned().chain(selected.iter().filter_map(named)).collect();
        for cluster in known {
            if !self.clusters.contains_key(&*cluster) {
                // It left: nothing is deleted there, and nothing more is known of it.
                live.copies.remove(&cluster);
                self.touch(key, &live.uid);
            } else if selected.contains(&*cluster) {
                // A cluster that is away keeps what it was given last.
                let split = match &splits {
                    Some(splits) => match splits.get(&*cluster) {
                        Some(split) => Some(*split),
                        None => {
                            self.mark_away(key, live, &cluster);
                            continue;
                        }
                    },
                    None => None,
                };
                self.want_present(key, live, &cluster, split, haunted.contains(&*cluster));
            } else {
                let removal = match (staying, key.kind().family) {
                    (Some(_), _) if !key.kind().opt_in => Removal::LetGo(LEFT),
                    (None, Family::Claim) => Removal::LetGo(HOLDS_DATA),
                    (None, _) if key.kind == NAMESPACE && self.holds_claims(&key.name, &cluster) => Removal::LetGo(HOLDS_CLAIMS),
                    _ => Removal::Unwanted,
                };
                self.want_absent(key, live, &cluster, removal);
            }
        }
        self.aggregate(key, live);
        self.expire(key, live);
    }

    /// Whether a namespace of a cluster holds claims of ours, as far as the cluster or our records tell.
    pub(super) fn holds_claims(&self, namespace: &str, cluster: &str) -> bool {
        let claim = |key: &Key| key.kind().family == Family::Claim && key.namespace == namespace;
        let seen = self.clusters.get(cluster).is_some_and(|side| side.seen.keys().any(claim));
        let recorded = |entry: &Entry| entry.live.iter().chain(&entry.graves).any(|tracked| tracked.copies.contains_key(cluster));
        let mut known = self.by_namespace.get(namespace).into_iter().flatten().filter(|key| claim(key));
        seen || known.any(|key| self.entries.get(key).is_some_and(recorded))
    }

    /// Whether the object has our finalizers; if not, they are written.
    fn ensure_finalizers(&mut self, key: &Key, live: &mut Tracked) -> bool {
        if live.is_finalized() {
            return true;
        }
        if live.writing.is_some() {
            return false;
        }
        let Some(object) = live.tree() else { return false };
        let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        let missing = keys::missing_finalizers(finalizers.iter().map(String::as_str));
        finalizers.extend(missing.into_iter().map(str::to_owned));
        live.writing = Some(Write::Finalizers);
        self.parts.writer.finalizers(key, &object, &finalizers, None);
        false
    }

    fn mark_away(&mut self, key: &Key, live: &mut Tracked, cluster: &ClusterName) {
        let reachable = self.clusters.get(&**cluster).filter(|side| side.epoch.is_some());
        let out_of_hand = reachable.and_then(|side| side.out_of_hand(key.kind));
        let copy = live.copies.or_default(cluster);
        if copy.record.state != State::Applied && copy.set(State::Pending, out_of_hand.as_deref().unwrap_or(AWAY)) {
            self.touch(key, &live.uid);
        }
    }

    fn want_present(&mut self, key: &Key, live: &mut Tracked, cluster: &ClusterName, split: Option<Split>, haunted: bool) {
        let Some(object) = live.tree() else { return };
        let federation = self.parts.federation.clone();
        let digest = live.digest(key, &object, &federation, split);
        let adopt = adopts(&object);
        live.placed = true;
        if !live.overdue
            && !haunted
            && let Some(side) = self.clusters.get_mut(&**cluster)
        {
            // It is wanted again.
            side.brake.done(key);
        }
        let copy = live.copies.or_default(cluster);
        let mut news = std::mem::take(&mut copy.record.explicit);
        let seen = self.clusters.get(&**cluster).and_then(|side| side.seen.get(key)).filter(|seen| seen.source_uid == live.uid);
        let outcome = seen.and_then(|seen| seen.workload.as_ref()?.outcome(key.kind()).map(Box::new));
        if outcome.is_some() && copy.record.finished != outcome {
            copy.record.finished = outcome;
            news = true;
        }
        if copy.record.desired != digest {
            copy.record.desired = digest;
            copy.not_before = None;
            copy.failures = 0;
            news = true;
        }
        if adopt && copy.record.state == State::Conflict {
            news |= copy.set(State::Pending, "");
        }
        if haunted {
            // Taking it over would keep what cannot be changed, such as a selector.
            news |= copy.record.applied != copy.record.desired && copy.set(State::Pending, HAUNTED);
        } else {
            news |= self.act(key, live, cluster, Wanted::Present { digest, adopt }, split) == Step::News;
        }
        if news {
            self.touch(key, &live.uid);
        }
    }

    /// Wants nothing of the object in a cluster.
    pub(super) fn want_absent(&mut self, key: &Key, tracked: &mut Tracked, cluster: &str, removal: Removal) {
        let explicit = removal == Removal::Deleted;
        let Some(copy) = tracked.copies.get_mut(cluster) else { return };
        let mut news = std::mem::replace(&mut copy.record.explicit, explicit) != explicit;
        if !copy.record.desired.is_empty() {
            news = true;
            copy.record.desired = Digest::default();
            copy.not_before = None;
            copy.failures = 0;
        }
        let step = self.act(key, tracked, cluster, Wanted::Absent(removal), None);
        news |= step != Step::Same;
        if step == Step::Forget {
            tracked.copies.remove(cluster);
        }
        if news {
            self.touch(key, &tracked.uid);
        }
    }

    /// What is known of a cluster, as far as one object in it goes.
    fn view<'a>(side: &'a ClusterSide, key: &Key, in_the_way: Option<&'static str>, now: Instant) -> View<'a> {
        let listed = side.listed[key.kind];
        let failing = !listed && side.failing[key.kind].is_some();
        View {
            now,
            reachable: side.epoch.is_some(),
            listed,
            out_of_hand: if failing { side.out_of_hand(key.kind) } else { None },
            seen: side.seen.get(key),
            released: side.brake.is_released(key),
            undone: side.damper.look(key, now),
            in_the_way,
        }
    }

    /// Does the next step for one object in one cluster. Says what that means for the record.
    fn act(&mut self, key: &Key, tracked: &mut Tracked, cluster: &str, wanted: Wanted, split: Option<Split>) -> Step {
        let in_the_way = if matches!(wanted, Wanted::Present { .. }) { self.without_namespace(cluster, &key.namespace) } else { None };
        let (Some(side), Some(copy)) = (self.clusters.get(cluster), tracked.copies.get(cluster)) else { return Step::Same };
        let effects = step(wanted, copy, &tracked.uid, &Self::view(side, key, in_the_way, Instant::now()));
        self.carry_out(key, tracked, cluster, split, effects)
    }

    /// Carries out what a step led to. Says what that means for the record.
    fn carry_out(&mut self, key: &Key, tracked: &mut Tracked, cluster: &str, split: Option<Split>, effects: Vec<Effect>) -> Step {
        let mut news = Step::Same;
        for effect in effects {
            match effect {
                Effect::LookAgain(wait) => self.later(wait, Timer::Key(key.clone())),
                Effect::AskBrake => {
                    if self.clusters.get_mut(cluster).is_some_and(|side| !side.brake.may_delete(key)) {
                        self.judge_later(cluster, self.parts.brake.settle);
                    }
                }
                Effect::Undone(undone) => {
                    if let Some(side) = self.clusters.get_mut(cluster) {
                        side.damper.undone(key, Instant::now());
                    }
                    tell_undone(&self.parts.events, key, &tracked.uid, cluster, undone);
                }
                Effect::Forget => {
                    if let Some(side) = self.clusters.get_mut(cluster) {
                        side.brake.done(key);
                    }
                    return Step::Forget;
                }
                Effect::Do(task) => self.hand_out(key, tracked, cluster, split, task),
                Effect::NotBefore(at) => tracked.copies.get_mut(cluster).into_iter().for_each(|copy| copy.not_before = at),
                Effect::Stand(state, reason) => {
                    if tracked.copies.get_mut(cluster).is_some_and(|copy| copy.set(state, &reason)) {
                        news = Step::News;
                    }
                }
            }
        }
        news
    }

    /// Gives a cluster's lane something to do.
    fn hand_out(&mut self, key: &Key, tracked: &mut Tracked, cluster: &str, split: Option<Split>, task: Task) {
        let (work, digest) = match task {
            Task::Delete => (Work::Delete, Digest::default()),
            Task::LetGo(reason) => (Work::LetGo { reason }, Digest::default()),
            Task::Apply { known, digest, adopt } => {
                let Some(object) = tracked.tree() else { return };
                let body = tracked.body(key, &object, &self.parts.federation, split);
                (Work::Apply { body, known, adopt }, digest)
            }
        };
        let (uid, version) = (tracked.uid.clone(), tracked.version());
        let (Some(side), Some(copy)) = (self.clusters.get(cluster), tracked.copies.get_mut(cluster)) else { return };
        let Some(epoch) = side.epoch else { return };
        (copy.busy, copy.absent) = (true, false);
        // The lane ends only after its cluster left, and then the copy is dropped.
        let _ = side.lane.send(Job { key: key.clone(), epoch, uid, version, digest, work });
    }

    /// Why objects cannot be put into a namespace of a cluster; nothing when they can.
    fn without_namespace(&self, cluster: &str, namespace: &str) -> Option<&'static str> {
        if namespace.is_empty() || namespace == "default" || !self.parts.enabled[NAMESPACE] {
            return None;
        }
        let key = ObjectKey { kind: NAMESPACE, namespace: String::new(), name: namespace.to_owned() };
        let entry = self.entries.get(&key);
        let live = entry.and_then(|e| e.live.as_ref());
        let haunted = entry.is_some_and(|e| e.graves.iter().any(|grave| grave.copies.contains_key(cluster)));
        if let Some(seen) = self.clusters.get(cluster).and_then(|side| side.seen.get(&key)).filter(|seen| !seen.deleting) {
            // An earlier one is going to be deleted with all that is in it, or is taken over first.
            let same = live.is_none_or(|live| live.uid == seen.source_uid && !live.is_deleting());
            return (haunted || !same).then_some(OTHER_NAMESPACE);
        }
        let copy = live.and_then(|live| live.copies.get(cluster));
        // Who may make a namespace in the federation must not get into any namespace of the members by it.
        Some(if copy.is_some_and(|c| c.record.state == State::Conflict) { FOREIGN_NAMESPACE } else { NO_NAMESPACE })
    }

    /// Clusters and states of an object's copies, for one line of a log.
    pub(super) fn describe(splits: &BTreeMap<String, Split>) -> String {
        splits.iter().map(|(name, split)| format!("{name}={}", split.replicas)).collect::<Vec<_>>().join(" ")
    }
}

/// What is decided about one name, as traces show it: uid and version lead to the write in the federation that asked
/// for it, and the uid to what members were sent.
fn placing(key: &Key, entry: &Entry) -> tracing::Span {
    let live = entry.live.as_ref();
    let version = live.and_then(|l| Some(l.object.as_ref()?.version().to_string()));
    let span = tracing::info_span!(
        target: daemon::trace::TARGET,
        "place",
        kind = key.kind().kind,
        namespace = key.namespace,
        name = key.name,
        uid = live.map(|l| tracing::field::display(&l.uid)),
        resource_version = version,
    );
    if let (Some(live), Some(version)) = (live, version) {
        daemon::trace::follows(&span, &live.uid.to_string(), &version);
    }
    span
}

/// Counts what was undone in a member, and tells it when it goes on.
pub(super) fn tell_undone(events: &Events, key: &Key, uid: &Uid, cluster: &str, undone: Undone) {
    metrics::counter!("federation_writes_undone_total", "cluster" => cluster.to_owned()).increment(1);
    if undone.times >= TOLD {
        let (kind, name, Undone { times, wait }) = (key.kind().kind, key.full_name(), undone);
        tracing::warn!(cluster, kind, name, times, ?wait, "what the federation does is undone in the member again and again");
        let message = format!(
            "what the federation does to {kind} \"{name}\" in cluster {cluster} was undone there {times} times; the next try is in {} s",
            wait.as_secs()
        );
        events.tell(Event { about: About::object(key, &uid.to_string()), warning: true, reason: "Undone", message });
    }
}

/// What a step means for the record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Same,
    /// The record changed.
    News,
    /// Nothing of ours is left: the copy can be dropped.
    Forget,
}

/// Why nothing is put into a cluster where the copy of an earlier object of the name is.
const HAUNTED: &str = "an earlier object of the name is deleted there first";
/// Why nothing is put into a namespace.
const NO_NAMESPACE: &str = "the namespace is not in the cluster yet";
const OTHER_NAMESPACE: &str = "the namespace there is an earlier one's, which is deleted or taken over first";
const FOREIGN_NAMESPACE: &str =
    "the namespace there is not the federation's; annotation federation.kubernetes.io/conflict=adopt on it takes it over";
/// Why a copy is let go.
const LEFT: &str = "such objects are not spread any more, and what is there is left to the cluster";
/// Why a claim is let go.
pub(super) const HOLDS_DATA: &str = "it holds data, and only deleting the federated claim deletes it";
/// Why a namespace is let go.
pub(super) const HOLDS_CLAIMS: &str = "it holds claims with data, and only deleting the federated claims or their namespace deletes them";

/// Wait before a deletion that was accepted is looked at again.
pub(super) const DELETION_RECHECK: Duration = Duration::from_secs(2);
