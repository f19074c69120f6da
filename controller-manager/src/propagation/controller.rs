//! The one owner of every federated object's state. Takes messages, decides, hands work to lanes and
//! writers; it does no IO and waits for nothing, so nothing can delay it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    brake::Verdict,
    effect::{Change, Effect},
    entry::Key,
    intake::Intake,
    ledger::Ledger,
    member::Members,
    objects::Objects,
    reconcile::{World, reconcile, tell_undone},
    record::Record,
    records::{self, Batch},
    settings::Settings,
    timers::{Timer, Timers},
    writer::Writer,
};
use crate::{
    compact::Uid,
    events::{About, Event, Events},
    kinds::{NAMESPACE, ObjectKey, PerKind},
};

/// Records are stored this long after the first change.
pub(super) const RECORD_FLUSH: Duration = Duration::from_millis(200);
/// Longest wait of a record for what is under way in members: one write says what all of them answered. Nothing rests on a
/// record that is younger: what has a copy holds finalizers, and a copy says itself what it is.
pub(super) const RECORD_WAIT: Duration = Duration::from_secs(10);
/// Status is written this long after the first change.
pub(super) const STATUS_FLUSH: Duration = Duration::from_millis(50);
/// Messages taken before work is decided.
const BATCH: usize = 2000;
/// Objects looked at before messages and timers have their turn again: some milliseconds.
const SLICE: usize = 1000;
/// Between two looks at deletions that were stopped.
const JUDGED_AGAIN: Duration = Duration::from_secs(60);
/// Between two looks for deletions that need not be remembered any more.
pub(super) const LEDGER_PERIOD: Duration = Duration::from_secs(3600);

/// What the controller was made with.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) writer: Writer,
    /// Unbounded: a batch every 200 ms at most, and the writer takes all that wait as one.
    pub(crate) records: mpsc::UnboundedSender<Batch>,
    pub(crate) events: Events,
    /// Told once everything was read at the start.
    pub(crate) ready: tokio::sync::watch::Sender<bool>,
}

/// See the module.
pub(crate) struct Controller {
    pub(super) parts: Parts,
    pub(super) objects: Objects,
    pub(super) members: Members,
    pub(super) timers: Timers,
    /// Objects whose records changed, by uid, and since when.
    touched: HashMap<Uid, (Key, Instant)>,
    opened: bool,
    /// Deletions that were carried out.
    pub(super) ledger: Ledger,
    /// Kinds that cannot be watched in the federation: since when, and whether nobody waits for them any more.
    pub(super) failing: PerKind<Option<(Instant, bool)>>,
    /// What has to be read before the first decision.
    pub(super) listed: PerKind<bool>,
    pub(super) records: Option<Vec<(Uid, Record)>>,
    pub(super) clusters_read: Option<Vec<String>>,
}

impl Controller {
    pub(crate) fn new(parts: Parts) -> Self {
        let listed = PerKind::new(|kind| !parts.settings.enabled[kind]);
        Self {
            parts,
            objects: Objects::default(),
            members: Members::new(),
            timers: Timers::default(),
            touched: HashMap::new(),
            opened: false,
            ledger: Ledger::default(),
            failing: PerKind::default(),
            listed,
            records: None,
            clusters_read: None,
        }
    }

    /// Runs until shutdown; changed records are handed over before it ends.
    pub(crate) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Intake>, shutdown: CancellationToken) {
        loop {
            let next = self.timers.next().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                message = inbox.recv() => {
                    let Some(message) = message else { break };
                    self.take(message);
                    for _ in 0..BATCH {
                        match inbox.try_recv() {
                            Ok(message) => self.take(message),
                            Err(_) => break,
                        }
                    }
                }
                () = tokio::task::yield_now(), if !self.objects.is_idle() && self.opened => {}
                () = tokio::time::sleep_until(next) => {}
            }
            // Whatever came in, timers and a part of the work have their turn after each batch of it.
            self.fire();
            self.work(SLICE);
        }
        self.flush_records(true);
    }

    /// Whether everything was read that the first decision needs.
    fn is_open(&mut self) -> bool {
        if self.opened {
            return true;
        }
        let known = self.clusters_read.as_ref().is_some_and(|names| names.iter().all(|n| self.members.contains_key(&**n)));
        let looked_at = |kind: usize| self.listed[kind] || self.failing[kind].is_some_and(|(_, given_up)| given_up);
        if known && PerKind::new(looked_at).iter().all(|(_, looked_at)| *looked_at) && self.records.is_some() {
            self.opened = true;
            self.claim_records();
            self.later(LEDGER_PERIOD, Timer::Ledger);
            self.parts.ready.send_replace(true);
        }
        self.opened
    }

    /// Whether decisions are made.
    pub(super) fn opened(&self) -> bool {
        self.opened
    }

    /// Looks at so many of the objects that wait for it.
    pub(super) fn work(&mut self, most: usize) {
        if !self.is_open() {
            return;
        }
        for _ in 0..most {
            let Some(key) = self.objects.next() else { return };
            // Of a kind that was never listed nothing is known, not even what is missing.
            if self.listed[key.kind] {
                self.look(&key);
            }
        }
    }

    /// Looks at one name, and carries out what follows.
    fn look(&mut self, key: &Key) {
        let Some(mut entry) = self.objects.take(key) else { return };
        let effects = reconcile(key, &mut entry, &self.world());
        if !entry.is_wanted() {
            // Nothing of it waits any more, or the next object of the name would find itself allowed to go.
            self.members.values_mut().for_each(|member| member.brake.done(key));
        }
        self.objects.put_back(key, entry);
        effects.into_iter().for_each(|effect| self.carry_out(key, effect));
    }

    /// What decisions rest on.
    pub(super) fn world(&self) -> World<'_> {
        let Parts { settings, .. } = &self.parts;
        World { objects: &self.objects, members: &self.members, settings, now: Instant::now(), time: settings.clock.now() }
    }

    /// Does what follows from a look at a name.
    fn carry_out(&mut self, key: &Key, effect: Effect) {
        match effect {
            Effect::Record(uid) => self.touch(key, &uid),
            Effect::Deleted(uid) => self.remember_deletion(key, &uid),
            Effect::Look(other) => self.objects.enqueue(&other),
            Effect::LookInside(namespace) => self.objects.enqueue_namespace(&namespace),
            Effect::Later(wait, timer) => self.later(wait, timer),
            Effect::Tell { uid, warning, reason, message } => self.event(key, &uid, warning, reason, message),
            Effect::AskBrake(cluster) => {
                if self.members.get_mut(&cluster).is_some_and(|member| !member.brake.may_delete(key)) {
                    self.judge_later(&cluster, self.parts.settings.brake.settle);
                }
            }
            Effect::LeaveBrake(cluster) => {
                if let Some(member) = self.members.get_mut(&cluster) {
                    member.brake.done(key);
                }
            }
            Effect::Undone { cluster, uid, undone } => {
                if let Some(member) = self.members.get_mut(&cluster) {
                    member.damper.undone(key, Instant::now());
                }
                tell_undone(&self.parts.events, key, &uid, &cluster, undone);
            }
            Effect::Job(cluster, job) => {
                if let Some(member) = self.members.get(&cluster) {
                    // The lane ends only after its cluster left, and then the copy is dropped.
                    let _ = member.lane.send(*job);
                }
            }
            Effect::Write(object, Change::Finalizers(finalizers, tombstone)) => {
                self.parts.writer.finalizers(key, &object, &finalizers, tombstone);
            }
            Effect::Write(object, Change::Deletion) => self.parts.writer.delete(key, &object),
        }
    }

    pub(super) fn later(&mut self, wait: Duration, timer: Timer) {
        self.timers.at(Instant::now() + wait, timer);
    }

    pub(super) fn fire(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.timers.due(now) {
            match timer {
                Timer::Key(key) => self.objects.enqueue(&key),
                Timer::Status(key) => self.write_status(&key),
                Timer::Records => self.flush_records(false),
                Timer::Brake(cluster) => {
                    let member = self.members.get_mut(&cluster);
                    if member.is_some_and(|member| member.judged_at.take_if(|at| *at <= now).is_some()) {
                        self.judge(&cluster);
                    }
                }
                Timer::Grace => self.objects.enqueue_all(),
                Timer::Blind(cluster, kind) => self.tell_blind(&cluster, kind),
                Timer::Barred(cluster, kind) => self.tell_barred(&cluster, kind),
                Timer::GiveUp(kind) => self.give_up(kind),
                Timer::Ledger => self.forget_deletions(),
            }
        }
    }

    /// The record of an object changed.
    pub(super) fn touch(&mut self, key: &Key, uid: &Uid) {
        if self.touched.is_empty() {
            self.later(RECORD_FLUSH, Timer::Records);
        }
        self.touched.entry(uid.clone()).or_insert_with(|| (key.clone(), Instant::now()));
    }

    /// Hands over the changed records: each once its members answered, or waited long enough; `all` waits for none.
    pub(super) fn flush_records(&mut self, all: bool) {
        let (mut batch, now) = (Batch::new(), Instant::now());
        let mut waiting = HashMap::new();
        for (uid, (key, since)) in std::mem::take(&mut self.touched) {
            let tracked = self.objects.get_mut(&key).and_then(|entry| entry.tracked(&uid));
            let under_way = tracked.as_ref().is_some_and(|t| t.copies.values().any(|copy| copy.busy));
            if !all && under_way && now.saturating_duration_since(since) < RECORD_WAIT {
                waiting.insert(uid, (key, since));
                continue;
            }
            // What is back stays a memory: as a tombstone it would be deleted after a restart without the brake.
            let Some(tracked) = tracked.filter(|t| !t.restored) else {
                let record = self.ledger.record(&uid);
                batch.insert(uid, records::Entry { record, version: None });
                continue;
            };
            let record = tracked.record(&key);
            let stored = std::mem::replace(&mut tracked.recorded, record.is_some());
            if record.is_some() || stored {
                let version = tracked.object.as_ref().map(|object| object.version().clone());
                batch.insert(uid, records::Entry { record, version });
            }
        }
        if !waiting.is_empty() {
            self.later(RECORD_FLUSH, Timer::Records);
        }
        self.touched = waiting;
        if !batch.is_empty() {
            metrics::counter!("federation_records_written_total").increment(batch.len() as u64);
            // The writer outlives the controller.
            let _ = self.parts.records.send(batch);
        }
    }

    /// Plans a look at the waiting deletions of a cluster, in the place of a later one: however often each of them asks,
    /// there is one.
    pub(super) fn judge_later(&mut self, cluster: &str, wait: Duration) {
        let at = Instant::now() + wait;
        let Some(member) = self.members.get_mut(cluster) else { return };
        if member.judged_at.is_none_or(|planned| at < planned) {
            member.judged_at = Some(at);
            self.timers.at(at, Timer::Brake(cluster.into()));
        }
    }

    /// Lets waiting deletions of a cluster go on, or stops them and asks.
    pub(super) fn judge(&mut self, cluster: &str) {
        let Some(member) = self.members.get_mut(cluster) else { return };
        let managed = self.objects.seen_in(cluster).count();
        let objects = &self.objects;
        // A namespace takes along all that is known to be in it.
        let weigh = |keys: &HashSet<Key>| {
            let inside = |k: &Key| keys.iter().any(|ns| ns.kind == NAMESPACE && ns.name == k.namespace);
            let namespaces = keys.iter().any(|k| k.kind == NAMESPACE);
            let along = || objects.seen_in(cluster).filter(|(k, _)| !keys.contains(*k) && inside(k)).count();
            keys.len() + if namespaces { along() } else { 0 }
        };
        let was_stopped = member.brake.stopped;
        match member.brake.judge(&self.parts.settings.brake, managed, member.consent, self.parts.settings.clock.now(), weigh) {
            Verdict::Release(keys) => {
                if was_stopped {
                    stopped_gauge(cluster).set(0.0);
                }
                let memory = (!keys.is_empty()).then(|| (member.uid.clone(), member.brake.memory()));
                keys.iter().for_each(|k| self.objects.enqueue(k));
                if let Some((uid, memory)) = memory {
                    self.parts.writer.annotate_cluster(cluster, &uid, federation_api::keys::RECENT_DELETIONS, &memory);
                }
            }
            Verdict::Stop { count } => {
                member.brake.stopped = true;
                stopped_gauge(cluster).set(count as f64);
                if !was_stopped {
                    let annotation = federation_api::keys::MASS_DELETION;
                    let message = format!(
                        "{count} of {managed} objects in cluster {cluster} would be deleted without having been deleted in the federation, or are back after it, beside what went in the last day; \
                         stopped until the Cluster has annotation {annotation}=allow, or they are wanted again"
                    );
                    tracing::warn!(cluster, count, managed, "{message}");
                    self.cluster_event(cluster, "DeletionsStopped", message);
                }
                self.judge_later(cluster, JUDGED_AGAIN);
            }
        }
    }

    /// Tells a warning about a Cluster.
    pub(super) fn cluster_event(&self, cluster: &str, reason: &'static str, message: String) {
        let about = About {
            api_version: federation_api::keys::API_VERSION.into(),
            kind: "Cluster",
            namespace: String::new(),
            name: cluster.into(),
            uid: self.members.get(cluster).map(|member| member.uid.clone()).unwrap_or_default(),
        };
        self.parts.events.tell(Event { about, warning: true, reason, message });
    }

    /// Tells an event about a federated object.
    pub(super) fn event(&self, key: &ObjectKey, uid: &Uid, warning: bool, reason: &'static str, message: String) {
        let about = About::object(key, &uid.to_string());
        self.parts.events.tell(Event { about, warning, reason, message });
    }
}

/// Deletions that wait for consent in a cluster.
pub(super) fn stopped_gauge(cluster: &str) -> metrics::Gauge {
    metrics::gauge!("federation_deletions_stopped", "cluster" => cluster.to_owned())
}
