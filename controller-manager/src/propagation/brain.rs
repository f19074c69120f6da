//! The one owner of every federated object's state. Takes messages, decides, hands work to lanes and
//! writers; it does no IO and waits for nothing, so nothing can delay it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    brake::Verdict,
    compact::Uid,
    copies::ClusterName,
    entry::{ClusterSide, Entry, Key, Tracked},
    intake::Intake,
    ledger::Ledger,
    record::Record,
    records::{self, Batch},
    writer::Writer,
};
use crate::{
    config::Brake,
    events::{About, Event, Events},
    kinds::{KindId, ObjectKey, PerKind},
    time::Clock,
};

/// Records are stored this long after the first change.
pub(super) const RECORD_FLUSH: Duration = Duration::from_millis(200);
/// Longest wait of a record for what is under way in members: one write says what all of them answered.
pub(super) const RECORD_WAIT: Duration = Duration::from_secs(2);
/// Status is written this long after the first change.
const STATUS_FLUSH: Duration = Duration::from_millis(50);
/// Messages taken before work is decided.
const BATCH: usize = 2000;
/// Objects looked at before messages and timers have their turn again: some milliseconds.
const SLICE: usize = 1000;
/// Between two looks at deletions that were stopped.
const JUDGED_AGAIN: Duration = Duration::from_secs(60);
/// Between two looks for deletions that need not be remembered any more.
pub(super) const LEDGER_PERIOD: Duration = Duration::from_secs(3600);

/// Something to look at later.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Timer {
    /// An object.
    Key(Key),
    /// The status of an object.
    Status(Key),
    /// The changed records.
    Records,
    /// Deletions that wait in a cluster.
    Brake(String),
    /// The division of replicas that waited for members.
    Hold,
    /// A kind that cannot be watched in a member.
    Blind(String, KindId),
    /// A kind that may not be written in a member.
    Barred(String, KindId),
    /// A kind that cannot be watched in the federation.
    GiveUp(KindId),
    /// Deletions that were remembered long enough.
    Ledger,
}

/// What the brain was made with.
pub(crate) struct Parts {
    pub(crate) federation: Arc<str>,
    pub(crate) brake: Brake,
    /// Longest wait for a member that was not heard of before replicas are divided without it.
    pub(crate) hold: Duration,
    /// How long a workload may be unready before its pods are looked at.
    pub(crate) review: Duration,
    /// How long nothing is concluded from an autoscaler that scaled.
    pub(crate) scale_window: Duration,
    /// The time of day.
    pub(crate) clock: Clock,
    /// Namespaces that nothing is propagated in, beside those that every cluster owns.
    pub(crate) left_out: Arc<BTreeSet<String>>,
    /// Kinds whose controllers are on.
    pub(crate) enabled: PerKind<bool>,
    pub(crate) writer: Writer,
    /// Unbounded: a batch every 200 ms at most, and the writer takes all that wait as one.
    pub(crate) records: mpsc::UnboundedSender<Batch>,
    pub(crate) events: Events,
    /// Told once everything was read at the start.
    pub(crate) ready: tokio::sync::watch::Sender<bool>,
}

/// See the module.
pub(crate) struct Brain {
    pub(super) parts: Parts,
    pub(super) entries: HashMap<Key, Entry>,
    pub(super) by_namespace: HashMap<String, BTreeSet<Key>>,
    pub(super) clusters: BTreeMap<ClusterName, ClusterSide>,
    pub(super) queue: VecDeque<Key>,
    queued: HashSet<Key>,
    pub(super) timers: BinaryHeap<Reverse<(Instant, Timer)>>,
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

impl Brain {
    pub(crate) fn new(parts: Parts) -> Self {
        let listed = PerKind::new(|kind| !parts.enabled[kind]);
        Self {
            parts,
            entries: HashMap::new(),
            by_namespace: HashMap::new(),
            clusters: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            timers: BinaryHeap::new(),
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
            let next = self.timers.peek().map_or_else(|| Instant::now() + Duration::from_secs(3600), |Reverse((at, _))| *at);
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
                () = tokio::task::yield_now(), if !self.queue.is_empty() && self.opened => {}
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
        let known = self.clusters_read.as_ref().is_some_and(|names| names.iter().all(|n| self.clusters.contains_key(&**n)));
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
            let Some(key) = self.queue.pop_front() else { return };
            self.queued.remove(&key);
            // Of a kind that was never listed nothing is known, not even what is missing.
            if self.listed[key.kind] {
                self.reconcile(&key);
            }
        }
    }

    /// Looks at an object soon.
    pub(super) fn enqueue(&mut self, key: &Key) {
        if self.queued.insert(key.clone()) {
            self.queue.push_back(key.clone());
        }
    }

    pub(super) fn enqueue_all(&mut self) {
        self.enqueue_many(self.entries.keys().cloned().collect());
    }

    pub(super) fn enqueue_many(&mut self, keys: Vec<Key>) {
        // Namespaces first: what is in them waits for them.
        let (namespaces, others): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(|k| k.kind == crate::kinds::NAMESPACE);
        namespaces.iter().chain(&others).for_each(|k| self.enqueue(k));
    }

    pub(super) fn enqueue_kind(&mut self, kind: KindId) {
        let keys: Vec<Key> = self.entries.keys().filter(|k| k.kind == kind).cloned().collect();
        keys.iter().for_each(|k| self.enqueue(k));
    }

    pub(super) fn enqueue_namespace(&mut self, namespace: &str) {
        let keys: Vec<Key> = self.by_namespace.get(namespace).into_iter().flatten().cloned().collect();
        keys.iter().for_each(|k| self.enqueue(k));
    }

    pub(super) fn later(&mut self, wait: Duration, timer: Timer) {
        self.timers.push(Reverse((Instant::now() + wait, timer)));
    }

    pub(super) fn fire(&mut self) {
        let now = Instant::now();
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            match self.timers.pop() {
                Some(Reverse((_, Timer::Key(key)))) => self.enqueue(&key),
                Some(Reverse((_, Timer::Status(key)))) => self.write_status(&key),
                Some(Reverse((_, Timer::Records))) => self.flush_records(false),
                Some(Reverse((_, Timer::Brake(cluster)))) => {
                    let side = self.clusters.get_mut(&*cluster);
                    if side.is_some_and(|side| side.judged_at.take_if(|at| *at <= now).is_some()) {
                        self.judge(&cluster);
                    }
                }
                Some(Reverse((_, Timer::Hold))) => self.enqueue_all(),
                Some(Reverse((_, Timer::Blind(cluster, kind)))) => self.tell_blind(&cluster, kind),
                Some(Reverse((_, Timer::Barred(cluster, kind)))) => self.tell_barred(&cluster, kind),
                Some(Reverse((_, Timer::GiveUp(kind)))) => self.give_up(kind),
                Some(Reverse((_, Timer::Ledger))) => self.forget_deletions(),
                None => break,
            }
        }
    }

    /// The key as all tables share it.
    pub(super) fn intern(&self, key: impl Into<Key>) -> Key {
        let key = key.into();
        self.entries.get_key_value(&key).map_or(key, |(known, _)| known.clone())
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
            let entry = self.entries.get_mut(&key);
            let tracked = entry.and_then(|e| e.live.iter_mut().chain(&mut e.graves).find(|t| t.uid == uid));
            let under_way = tracked.as_ref().is_some_and(|t| t.copies.values().any(|copy| copy.busy));
            if !all && under_way && now.saturating_duration_since(since) < RECORD_WAIT {
                waiting.insert(uid, (key, since));
                continue;
            }
            // What is back stays a memory: as a tombstone it would be deleted after a restart without the brake.
            let Some(tracked) = tracked.filter(|t| !t.revenant) else {
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
            // The writer outlives the brain.
            let _ = self.parts.records.send(batch);
        }
    }

    pub(super) fn plan_status(&mut self, key: &Key, tracked: &mut Tracked) {
        if !std::mem::replace(&mut tracked.status_due, true) {
            self.later(STATUS_FLUSH, Timer::Status(key.clone()));
        }
    }

    /// Plans a look at the waiting deletions of a cluster, in the place of a later one: however often each of them asks,
    /// there is one.
    pub(super) fn judge_later(&mut self, cluster: &str, wait: Duration) {
        let at = Instant::now() + wait;
        let Some(side) = self.clusters.get_mut(cluster) else { return };
        if side.judged_at.is_none_or(|planned| at < planned) {
            side.judged_at = Some(at);
            self.timers.push(Reverse((at, Timer::Brake(cluster.to_owned()))));
        }
    }

    /// Lets waiting deletions of a cluster go on, or stops them and asks.
    pub(super) fn judge(&mut self, cluster: &str) {
        let Some(side) = self.clusters.get_mut(cluster) else { return };
        let managed = side.seen.len();
        let seen = &side.seen;
        // A namespace takes along all that is known to be in it.
        let weigh = |keys: &HashSet<Key>| {
            let inside = |k: &Key| keys.iter().any(|ns| ns.kind == crate::kinds::NAMESPACE && ns.name == k.namespace);
            let namespaces = keys.iter().any(|k| k.kind == crate::kinds::NAMESPACE);
            let along = if namespaces { seen.keys().filter(|k| !keys.contains(*k) && inside(k)).count() } else { 0 };
            keys.len() + along
        };
        let was_stopped = side.brake.stopped;
        match side.brake.judge(&self.parts.brake, managed, side.consent, self.parts.clock.now(), weigh) {
            Verdict::Release(keys) => {
                if was_stopped {
                    stopped_gauge(cluster).set(0.0);
                }
                let memory = (!keys.is_empty()).then(|| (side.uid.clone(), side.brake.memory()));
                keys.iter().for_each(|k| self.enqueue(k));
                if let Some((uid, memory)) = memory {
                    self.parts.writer.annotate_cluster(cluster, &uid, federation_api::keys::RECENT_DELETIONS, &memory);
                }
            }
            Verdict::Stop { count } => {
                side.brake.stopped = true;
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
            uid: self.clusters.get(cluster).map(|side| side.uid.clone()).unwrap_or_default(),
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
