//! From an object to what is done in each cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use federation_api::{keys, record::State};

use tokio::time::Instant;

use super::{
    brain::{Brain, Timer},
    damper::{TOLD, Undone},
    decide::{Action, Want, decide},
    desired::{Body, Split, body, member_object},
    entry::{Copy, Entry, Key, Tracked},
    intake::Write,
};
use crate::{
    events::{About, Event, Events},
    kinds::{Family, NAMESPACE, ObjectKey},
    members::job::{Job, Known, Work},
    placement::{Placement, stays},
};

/// Why nothing happens in a cluster that cannot be reached.
pub(super) const AWAY: &str = "the cluster is away";

impl Brain {
    /// Looks at one name: the object, if it exists, and what earlier ones left.
    pub(super) fn reconcile(&mut self, key: &Key) {
        let Some(mut entry) = self.entries.remove(key) else { return };
        let _span = placing(key, &entry).entered();
        let haunted = self.reconcile_graves(key, &mut entry);
        if let Some(mut live) = entry.live.take() {
            if self.is_left_out(key) {
                self.leave_out(key, &mut live);
            } else if live.is_deleting() {
                self.reconcile_deletion(key, &mut live);
            } else if live.object.is_some() {
                self.reconcile_live(key, &mut live, &haunted);
            }
            entry.live = Some(live);
        }
        self.put_back(key, entry);
    }

    /// `haunted` are the clusters where an earlier object of the name has left something.
    fn reconcile_live(&mut self, key: &Key, live: &mut Tracked, haunted: &BTreeSet<String>) {
        let staying = live.object.as_ref().and_then(|object| stays(key.kind(), object));
        // What never was in a member can go as it likes: somebody's rights end when their binding is deleted.
        let at_home = staying.is_some() && live.copies.is_empty() && key.kind().opt_in;
        if !at_home && !self.ensure_finalizers(key, live) {
            return;
        }
        let annotations = live.object.as_ref().and_then(|o| o.metadata.annotations.clone()).unwrap_or_default();
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
            let there = self.clusters.iter().filter(|(_, side)| side.seen.get(key).is_some_and(|seen| seen.source_uid == *live.uid));
            for (cluster, _) in there {
                live.copies.entry(cluster.clone()).or_default();
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
        let known: BTreeSet<String> = live.copies.keys().chain(&selected).cloned().collect();
        for cluster in known {
            if !self.clusters.contains_key(&cluster) {
                // It left: nothing is deleted there, and nothing more is known of it.
                live.copies.remove(&cluster);
                self.touch(key, &live.uid);
            } else if selected.contains(&cluster) {
                // A cluster that is away keeps what it was given last.
                let split = match &splits {
                    Some(splits) => match splits.get(&cluster) {
                        Some(split) => Some(*split),
                        None => {
                            self.mark_away(key, live, &cluster);
                            continue;
                        }
                    },
                    None => None,
                };
                self.want_present(key, live, &cluster, split, haunted.contains(&cluster));
            } else {
                let removal = match (staying, key.kind().family) {
                    (Some(_), _) if !key.kind().opt_in => Removal::LetGo(LEFT),
                    (None, Family::Claim) => Removal::LetGo(HOLDS_DATA),
                    _ => Removal::Unwanted,
                };
                self.want_absent(key, live, &cluster, removal);
            }
        }
        self.aggregate(key, live);
        self.expire(key, live);
    }

    /// Whether the object has our finalizers; if not, they are written.
    fn ensure_finalizers(&mut self, key: &Key, live: &mut Tracked) -> bool {
        if live.has_finalizer(keys::DELETE_FROM_CLUSTERS) && live.has_finalizer(keys::ORPHAN) {
            return true;
        }
        if live.writing.is_some() {
            return false;
        }
        let Some(object) = live.object.clone() else { return false };
        let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        for ours in [keys::DELETE_FROM_CLUSTERS, keys::ORPHAN] {
            if !finalizers.iter().any(|f| f == ours) {
                finalizers.push(ours.to_owned());
            }
        }
        live.writing = Some(Write::Finalizers);
        self.parts.writer.finalizers(key, &object, &finalizers, None);
        false
    }

    fn mark_away(&mut self, key: &Key, live: &mut Tracked, cluster: &str) {
        let reachable = self.clusters.get(cluster).filter(|side| side.epoch.is_some());
        let out_of_hand = reachable.and_then(|side| side.out_of_hand(key.kind));
        let copy = live.copies.entry(cluster.to_owned()).or_default();
        if copy.record.state != State::Applied && copy.set(State::Pending, out_of_hand.as_deref().unwrap_or(AWAY)) {
            self.touch(key, &live.uid);
        }
    }

    fn want_present(&mut self, key: &Key, live: &mut Tracked, cluster: &str, split: Option<Split>, haunted: bool) {
        let Some(object) = live.object.clone() else { return };
        let federation = self.parts.federation.clone();
        let body = live.bodies.entry(split).or_insert_with(|| body(member_object(key, &object, &federation, split))).clone();
        let adopt = live.adopts();
        let source = Source { uid: live.uid.clone(), version: live.version() };
        let uid = &source.uid;
        live.placed = true;
        if !live.overdue
            && !haunted
            && let Some(side) = self.clusters.get_mut(cluster)
        {
            // It is wanted again.
            side.brake.done(key);
        }
        let copy = live.copies.entry(cluster.to_owned()).or_default();
        let mut news = std::mem::take(&mut copy.record.explicit);
        let seen = self.clusters.get(cluster).and_then(|side| side.seen.get(key)).filter(|seen| seen.source_uid == **uid);
        let outcome = seen.and_then(|seen| seen.workload.as_ref()?.outcome(key.kind()));
        if outcome.is_some() && copy.record.finished != outcome {
            copy.record.finished = outcome;
            news = true;
        }
        if copy.record.desired != body.digest {
            copy.record.desired.clone_from(&body.digest);
            copy.not_before = None;
            copy.failures = 0;
            news = true;
        }
        if adopt && copy.record.state == State::Conflict {
            news |= copy.set(State::Pending, "");
        }
        news |= if haunted {
            // Taking it over would keep what cannot be changed, such as a selector.
            copy.record.applied != copy.record.desired && copy.set(State::Pending, HAUNTED)
        } else {
            self.act(key, &source, cluster, copy, Some((&body, adopt)), Removal::Unwanted) == Step::News
        };
        if news {
            self.touch(key, uid);
        }
    }

    /// Wants nothing of the object in a cluster.
    pub(super) fn want_absent(&mut self, key: &Key, tracked: &mut Tracked, cluster: &str, removal: Removal) {
        let explicit = removal == Removal::Deleted;
        let source = Source { uid: tracked.uid.clone(), version: tracked.version() };
        let Some(copy) = tracked.copies.get_mut(cluster) else { return };
        let mut news = std::mem::replace(&mut copy.record.explicit, explicit) != explicit;
        if !copy.record.desired.is_empty() {
            news = true;
            copy.record.desired.clear();
            copy.not_before = None;
            copy.failures = 0;
        }
        let step = self.act(key, &source, cluster, copy, None, removal);
        news |= step != Step::Same;
        if step == Step::Forget {
            tracked.copies.remove(cluster);
        }
        if news {
            self.touch(key, &source.uid);
        }
    }

    /// Does the next step for one object in one cluster: with a `body` it is to be there, without it is to go by
    /// `removal`. Says what that means for the record.
    fn act(&mut self, key: &Key, source: &Source, cluster: &str, copy: &mut Copy, body: Option<(&Body, bool)>, removal: Removal) -> Step {
        if copy.busy {
            return Step::Same;
        }
        let Source { uid, version } = source;
        let pending = if body.is_some() || matches!(removal, Removal::LetGo(_)) { State::Pending } else { State::Deleting };
        let current = body.is_some_and(|(b, _)| copy.record.applied == b.digest);
        let in_the_way = body.and_then(|_| self.without_namespace(cluster, &key.namespace));
        let Some(side) = self.clusters.get_mut(cluster) else { return Step::Same };
        let hold =
            |copy: &mut Copy, reason: &str| Step::news(!current && copy.record.state != State::Conflict && copy.set(pending, reason));
        if let Some(at) = copy.not_before.filter(|at| *at > Instant::now()) {
            let wait = at.saturating_duration_since(Instant::now());
            self.later(wait, Timer::Key(key.clone()));
            return Step::Same;
        }
        copy.not_before = None;
        let Some(epoch) = side.epoch else { return hold(copy, AWAY) };
        let action = match (side.listed[key.kind], side.failing[key.kind].clone()) {
            (true, _) => {
                let want = body.map_or(Want::Absent, |(b, _)| Want::Present(&b.digest));
                decide(want, &copy.record, side.seen.get(key), uid)
            }
            (false, None) => return hold(copy, ""),
            (false, Some(_)) if body.is_some() => return hold(copy, &side.out_of_hand(key.kind).unwrap_or_default()),
            // No watch says what is there: deleting asks first.
            (false, Some(_)) if copy.absent => Action::Forget,
            (false, Some(_)) => Action::Delete,
        };
        let (work, digest) = match (action, body) {
            (Action::Forget, _) => {
                side.brake.done(key);
                return Step::Forget;
            }
            (Action::Apply { ours }, Some((body, adopt))) => {
                if let Some(reason) = in_the_way {
                    return hold(copy, reason);
                }
                let ours = side.seen.get(key).filter(|_| ours).map(|seen| seen.uid.clone());
                if current && copy.record.state == State::Applied {
                    // It was as it should be, and is no more.
                    let undone = side.damper.undone(key, Instant::now());
                    tell_undone(&self.parts.events, key, uid, cluster, undone);
                    if !undone.wait.is_zero() {
                        copy.not_before = Some(Instant::now() + undone.wait);
                        self.later(undone.wait, Timer::Key(key.clone()));
                        return Step::news(copy.set(State::Pending, UNDONE));
                    }
                }
                // What is somebody else's is likely to be there still.
                let known = Known { absent: ours.is_none() && copy.record.state != State::Conflict, ours };
                (Work::Apply { body: body.bytes.clone(), known, adopt }, body.digest.clone())
            }
            (Action::Delete, _) => match removal {
                Removal::LetGo(reason) => (Work::LetGo { reason }, String::new()),
                Removal::Unwanted if !side.brake.may_delete(key) => {
                    self.judge_later(cluster, self.parts.brake.settle);
                    return Step::news(copy.set(State::Deleting, COLLECTED));
                }
                Removal::Deleted | Removal::Unwanted => (Work::Delete, String::new()),
            },
            // As it should be; what is being deleted goes on by itself.
            (Action::Nothing | Action::Apply { .. }, _) => {
                let settled = current && copy.record.state != State::Conflict;
                return Step::news(settled && copy.set(State::Applied, ""));
            }
        };
        copy.busy = true;
        // The lane ends only after its cluster left, and then the copy is dropped.
        let _ = side.lane.send(Job { key: key.clone(), epoch, uid: uid.clone(), version: version.clone(), digest, work });
        copy.absent = false;
        Step::news(copy.record.state != State::Failed && !current && copy.set(pending, ""))
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
            let same = live.is_none_or(|live| *live.uid == *seen.source_uid && !live.is_deleting());
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
    let version = live.and_then(|l| l.object.as_ref()?.metadata.resource_version.as_deref());
    let span = tracing::info_span!(
        target: daemon::trace::TARGET,
        "place",
        kind = key.kind().kind,
        namespace = key.namespace,
        name = key.name,
        uid = live.map(|l| &*l.uid),
        resource_version = version,
    );
    if let (Some(live), Some(version)) = (live, version) {
        daemon::trace::follows(&span, &live.uid, version);
    }
    span
}

/// Counts what was undone in a member, and tells it when it goes on.
pub(super) fn tell_undone(events: &Events, key: &Key, uid: &str, cluster: &str, undone: Undone) {
    metrics::counter!("federation_writes_undone_total", "cluster" => cluster.to_owned()).increment(1);
    if undone.times >= TOLD {
        let (kind, name, Undone { times, wait }) = (key.kind().kind, key.full_name(), undone);
        tracing::warn!(cluster, kind, name, times, ?wait, "what the federation does is undone in the member again and again");
        let message = format!(
            "what the federation does to {kind} \"{name}\" in cluster {cluster} was undone there {times} times; the next try is in {} s",
            wait.as_secs()
        );
        events.tell(Event { about: About::object(key, uid), warning: true, reason: "Undone", message });
    }
}

/// The federated object something is done for.
struct Source {
    uid: Arc<str>,
    version: Option<Arc<str>>,
}

/// How something leaves a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Removal {
    /// The federated object was deleted, and its copies are to go with it.
    Deleted,
    /// It is not wanted there any more, or is back after it was deleted: the brake has a say.
    Unwanted,
    /// It stays there, without our marks.
    LetGo(&'static str),
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

impl Step {
    fn news(news: bool) -> Self {
        if news { Self::News } else { Self::Same }
    }
}

/// Why nothing is put into a cluster where the copy of an earlier object of the name is.
const HAUNTED: &str = "an earlier object of the name is deleted there first";
/// Why a copy is not made right at once.
const UNDONE: &str = "what the federation does is undone in the member again and again; it tries ever more slowly";
/// Why nothing is put into a namespace.
const NO_NAMESPACE: &str = "the namespace is not in the cluster yet";
const OTHER_NAMESPACE: &str = "the namespace there is an earlier one's, which is deleted or taken over first";
const FOREIGN_NAMESPACE: &str =
    "the namespace there is not the federation's; annotation federation.kubernetes.io/conflict=adopt on it takes it over";
/// Why a copy is let go.
const LEFT: &str = "such objects are not spread any more, and what is there is left to the cluster";
/// Why a claim is let go.
const HOLDS_DATA: &str = "it holds data, and only deleting the federated claim deletes it";
/// Why a deletion nobody asked for waits.
const COLLECTED: &str = "not wanted there any more; such deletions are collected before they are carried out";

/// Wait before a deletion that was accepted is looked at again.
pub(super) const DELETION_RECHECK: Duration = Duration::from_secs(2);
