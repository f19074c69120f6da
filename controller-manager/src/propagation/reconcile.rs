//! From an object to what is done in each cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use federation_api::{keys, record::State};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    damper::{TOLD, Undone},
    desired::Split,
    effect::{Change, Effect},
    entry::{Entry, Key, Tracked, adopts},
    intake::Write,
    member::{Member, Members},
    objects::Objects,
    per_cluster::{ClusterName, PerCluster},
    settings::Settings,
    step::{AWAY, Next, Removal, Task, View, Wanted, step},
    timers::Timer,
};
use crate::{
    compact::{Digest, Uid},
    events::{About, Event, Events},
    kinds::{Family, KINDS, NAMESPACE, ObjectKey},
    members::job::{Job, Work},
    observed::Seen,
    placement::{Placement, stays},
};

/// What a decision about one name rests on, beside what is known under the name itself.
pub(super) struct World<'a> {
    /// All other names.
    pub(super) objects: &'a Objects,
    pub(super) members: &'a Members,
    pub(super) settings: &'a Settings,
    pub(super) now: Instant,
    /// The time of day.
    pub(super) time: Timestamp,
}

/// Decides about one name: the object, if it exists, and what earlier ones left. Changes what is known under the name,
/// and says what follows beside that; nothing else happens.
pub(super) fn reconcile(key: &Key, entry: &mut Entry, world: &World<'_>) -> Vec<Effect> {
    let _span = placing(key, entry).entered();
    let mut pass = Pass { key, seen: &entry.seen, world, effects: Vec::new() };
    let occupied = pass.reconcile_tombstones(&mut entry.tombstones);
    if let Some(live) = entry.live.as_deref_mut() {
        live.unfold();
        if world.settings.is_left_out(key) {
            pass.leave_out(live);
        } else if live.is_deleting() {
            pass.reconcile_deletion(live);
        } else if live.object.is_some() {
            pass.reconcile_live(live, &occupied);
        }
        live.rest();
    }
    pass.effects
}

/// One look at one name.
pub(super) struct Pass<'a> {
    pub(super) key: &'a Key,
    /// What members show under the name.
    pub(super) seen: &'a PerCluster<Seen>,
    pub(super) world: &'a World<'a>,
    /// What follows from it.
    pub(super) effects: Vec<Effect>,
}

impl<'a> Pass<'a> {
    pub(super) fn follows(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The record of an object changed.
    pub(super) fn touch(&mut self, uid: &Uid) {
        self.follows(Effect::Record(uid.clone()));
    }

    pub(super) fn later(&mut self, wait: Duration, timer: Timer) {
        self.follows(Effect::Later(wait, timer));
    }

    pub(super) fn event(&mut self, uid: &Uid, warning: bool, reason: &'static str, message: String) {
        self.follows(Effect::Tell { uid: uid.clone(), warning, reason, message });
    }

    /// A member that joined and has not left.
    pub(super) fn cluster(&self, name: &str) -> Option<&'a Member> {
        self.world.members.get(name)
    }

    /// What a cluster shows of an object.
    pub(super) fn copy_seen(&self, cluster: &str, uid: &Uid) -> Option<&'a Seen> {
        self.seen.get(cluster).filter(|seen| seen.source_uid == *uid)
    }

    /// `occupied` are the clusters where an earlier object of the name has left something.
    fn reconcile_live(&mut self, live: &mut Tracked, occupied: &BTreeSet<ClusterName>) {
        let key = self.key;
        let staying = live.tree().and_then(|object| stays(key.kind(), &object));
        // What never was in a member can go as it likes: somebody's rights end when their binding is deleted.
        let at_home = staying.is_some() && live.copies.is_empty() && key.kind().opt_in;
        if !at_home && !self.ensure_finalizers(live) {
            return;
        }
        let annotations = live.tree().and_then(|object| object.metadata.annotations.clone()).unwrap_or_default();
        let placement = match Placement::parse(key.kind(), &annotations) {
            Ok(placement) => placement,
            Err(error) => {
                let complaint = error.to_string();
                if live.complaint != complaint {
                    self.event(&live.uid, true, "InvalidPlacement", format!("{complaint}; nothing is changed in the members"));
                    live.complaint = complaint;
                }
                return;
            }
        };
        let mut selected = placement.select(self.world.members.iter().map(|(name, member)| (name, &member.labels)));
        if let Some(reason) = staying {
            selected.clear();
            // A copy may be there that no record knows of.
            for (cluster, _) in self.seen.iter().filter(|(_, seen)| seen.source_uid == live.uid) {
                live.copies.or_default(cluster);
            }
            // Rights are the federation's own unless somebody says otherwise: that is no news.
            if live.complaint != reason && !key.kind().opt_in {
                self.event(&live.uid, false, "NotPropagated", reason.into());
                reason.clone_into(&mut live.complaint);
            }
        } else {
            live.complaint.clear();
        }
        let splits = match key.kind().family {
            Family::Replicated | Family::Job | Family::Autoscaler => match self.schedule(live, &placement, &mut selected) {
                Some(splits) => {
                    self.divided(live, &splits);
                    Some(splits)
                }
                None => return,
            },
            _ => None,
        };
        let named = |name: &String| self.world.members.get_key_value(&**name).map(|(name, _)| name.clone());
        let known: BTreeSet<ClusterName> = live.copies.keys().cloned().chain(selected.iter().filter_map(named)).collect();
        for cluster in known {
            if self.cluster(&cluster).is_none() {
                // It left: nothing is deleted there, and nothing more is known of it.
                live.copies.remove(&cluster);
                self.touch(&live.uid);
            } else if selected.contains(&*cluster) {
                // A cluster that is away keeps what it was given last.
                let split = match &splits {
                    Some(splits) => match splits.get(&*cluster) {
                        Some(split) => Some(*split),
                        None => {
                            self.mark_away(live, &cluster);
                            continue;
                        }
                    },
                    None => None,
                };
                self.want_present(live, &cluster, split, occupied.contains(&*cluster));
            } else {
                let removal = match (staying, key.kind().family) {
                    (Some(_), _) if !key.kind().opt_in => Removal::LetGo(LEFT),
                    (None, Family::Claim) => Removal::LetGo(HOLDS_DATA),
                    (None, _) if key.kind == NAMESPACE && self.holds_claims(&key.name, &cluster) => Removal::LetGo(HOLDS_CLAIMS),
                    _ => Removal::Unwanted,
                };
                self.want_absent(live, &cluster, removal);
            }
        }
        self.aggregate(live);
        self.expire(live);
    }

    /// Whether a namespace of a cluster holds claims of ours, as far as the cluster or our records tell.
    pub(super) fn holds_claims(&self, namespace: &str, cluster: &str) -> bool {
        let recorded = |entry: &Entry| entry.live.as_deref().into_iter().chain(&entry.tombstones).any(|t| t.copies.contains_key(cluster));
        let claims = KINDS.iter().enumerate().filter(|(_, kind)| kind.family == Family::Claim).map(|(id, _)| id);
        let mut known = claims.flat_map(|kind| self.world.objects.of_kind_in(kind, namespace));
        known.any(|(_, entry)| entry.seen.contains_key(cluster) || recorded(entry))
    }

    /// Whether the object has our finalizers; if not, they are written.
    fn ensure_finalizers(&mut self, live: &mut Tracked) -> bool {
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
        self.follows(Effect::Write(object, Change::Finalizers(finalizers, None)));
        false
    }

    fn mark_away(&mut self, live: &mut Tracked, cluster: &ClusterName) {
        let reachable = self.cluster(cluster).filter(|member| member.epoch.is_some());
        let out_of_hand = reachable.and_then(|member| member.out_of_hand(self.key.kind));
        let copy = live.copies.or_default(cluster);
        if copy.record.state != State::Applied && copy.set(State::Pending, out_of_hand.as_deref().unwrap_or(AWAY)) {
            self.touch(&live.uid);
        }
    }

    fn want_present(&mut self, live: &mut Tracked, cluster: &ClusterName, split: Option<Split>, occupied: bool) {
        let Some(object) = live.tree() else { return };
        let key = self.key;
        let digest = live.digest(key, &object, &self.world.settings.federation, split);
        let adopt = adopts(&object);
        live.placed = true;
        if !live.overdue && !occupied && self.cluster(cluster).is_some_and(|member| member.brake.knows(key)) {
            // It is wanted again.
            self.follows(Effect::LeaveBrake(cluster.clone()));
        }
        let copy = live.copies.or_default(cluster);
        let mut news = std::mem::take(&mut copy.record.explicit);
        let seen = self.copy_seen(cluster, &live.uid);
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
        if occupied {
            // Taking it over would keep what cannot be changed, such as a selector.
            news |= copy.record.applied != copy.record.desired && copy.set(State::Pending, OCCUPIED);
        } else {
            news |= self.act(live, cluster, Wanted::Present { digest, adopt }, split) == Step::News;
        }
        if news {
            self.touch(&live.uid);
        }
    }

    /// Wants nothing of the object in a cluster.
    pub(super) fn want_absent(&mut self, tracked: &mut Tracked, cluster: &ClusterName, removal: Removal) {
        let explicit = removal == Removal::Deleted;
        let Some(copy) = tracked.copies.get_mut(cluster) else { return };
        let mut news = std::mem::replace(&mut copy.record.explicit, explicit) != explicit;
        if !copy.record.desired.is_empty() {
            news = true;
            copy.record.desired = Digest::default();
            copy.not_before = None;
            copy.failures = 0;
        }
        let step = self.act(tracked, cluster, Wanted::Absent(removal), None);
        news |= step != Step::Same;
        if step == Step::Forget {
            tracked.copies.remove(cluster);
        }
        if news {
            self.touch(&tracked.uid);
        }
    }

    /// What is known of a cluster, as far as one object in it goes.
    fn view(&self, cluster: &str, member: &Member, in_the_way: Option<&'static str>) -> View<'a> {
        let listed = member.listed[self.key.kind];
        let failing = !listed && member.failing[self.key.kind].is_some();
        View {
            now: self.world.now,
            reachable: member.epoch.is_some(),
            listed,
            out_of_hand: if failing { member.out_of_hand(self.key.kind) } else { None },
            seen: self.seen.get(cluster),
            released: member.brake.is_released(self.key),
            undone: member.damper.look(self.key, self.world.now),
            in_the_way,
        }
    }

    /// The next step for one object in one cluster. Says what that means for the record.
    fn act(&mut self, tracked: &mut Tracked, cluster: &ClusterName, wanted: Wanted, split: Option<Split>) -> Step {
        let in_the_way = if matches!(wanted, Wanted::Present { .. }) { self.without_namespace(cluster) } else { None };
        let (Some(member), Some(copy)) = (self.cluster(cluster), tracked.copies.get(cluster)) else { return Step::Same };
        let all = step(wanted, copy, &tracked.uid, &self.view(cluster, member, in_the_way));
        let mut news = Step::Same;
        for next in all {
            match next {
                Next::LookAgain(wait) => self.later(wait, Timer::Key(self.key.clone())),
                Next::AskBrake => self.follows(Effect::AskBrake(cluster.clone())),
                Next::Undone(undone) => {
                    self.follows(Effect::Undone { cluster: cluster.clone(), uid: tracked.uid.clone(), undone });
                }
                Next::Forget => {
                    self.follows(Effect::LeaveBrake(cluster.clone()));
                    return Step::Forget;
                }
                Next::Do(task) => self.hand_out(tracked, cluster, split, task),
                Next::NotBefore(at) => tracked.copies.get_mut(cluster).into_iter().for_each(|copy| copy.not_before = at),
                Next::Stand(state, reason) => {
                    if tracked.copies.get_mut(cluster).is_some_and(|copy| copy.set(state, &reason)) {
                        news = Step::News;
                    }
                }
            }
        }
        news
    }

    /// Gives a cluster's lane something to do.
    fn hand_out(&mut self, tracked: &mut Tracked, cluster: &ClusterName, split: Option<Split>, task: Task) {
        let (work, digest) = match task {
            Task::Delete => (Work::Delete, Digest::default()),
            Task::LetGo(reason) => (Work::LetGo { reason }, Digest::default()),
            Task::Apply { known, digest, adopt } => {
                let Some(object) = tracked.tree() else { return };
                let body = tracked.body(self.key, &object, &self.world.settings.federation, split);
                (Work::Apply { body, known, adopt }, digest)
            }
        };
        let (uid, version) = (tracked.uid.clone(), tracked.version());
        let epoch = self.cluster(cluster).and_then(|member| member.epoch);
        let (Some(epoch), Some(copy)) = (epoch, tracked.copies.get_mut(cluster)) else { return };
        (copy.busy, copy.absent) = (true, false);
        let job = Job { key: self.key.clone(), epoch, uid, version, digest, work };
        self.follows(Effect::Job(cluster.clone(), Box::new(job)));
    }

    /// Why objects cannot be put into the namespace in a cluster; nothing when they can.
    fn without_namespace(&self, cluster: &str) -> Option<&'static str> {
        let namespace = &*self.key.namespace;
        if namespace.is_empty() || namespace == "default" || !self.world.settings.enabled[NAMESPACE] {
            return None;
        }
        let key = ObjectKey { kind: NAMESPACE, namespace: String::new(), name: namespace.to_owned() };
        let entry = self.world.objects.get(&key);
        let live = entry.and_then(|e| e.live.as_ref());
        let occupied = entry.is_some_and(|e| e.tombstones.iter().any(|tombstone| tombstone.copies.contains_key(cluster)));
        if let Some(seen) = entry.and_then(|entry| entry.seen.get(cluster)).filter(|seen| !seen.deleting) {
            // An earlier one is going to be deleted with all that is in it, or is taken over first.
            let same = live.is_none_or(|live| live.uid == seen.source_uid && !live.is_deleting());
            return (occupied || !same).then_some(OTHER_NAMESPACE);
        }
        let copy = live.and_then(|live| live.copies.get(cluster));
        // Who may make a namespace in the federation must not get into any namespace of the members by it.
        Some(if copy.is_some_and(|c| c.record.state == State::Conflict) { FOREIGN_NAMESPACE } else { NO_NAMESPACE })
    }

    /// Members and states of an object's copies, for one line of a log.
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
const OCCUPIED: &str = "an earlier object of the name is deleted there first";
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
