//! What is never deleted, and what is always deleted: the controller alone, with a lane that the test reads.

use federation_api::{
    keys,
    record::{ClusterRecord, State},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    controller::{Controller, Parts},
    copies::Placed,
    intake::{Intake, Mailbox},
    record::Record,
    records::{Batch, Records},
    settings::Settings,
    timers::Timer,
    writer::Writer,
};
use crate::{
    compact::Digest,
    config::Brake,
    events::Events,
    follow::{Head, Listing, Why},
    kinds::{ObjectKey, PerKind, id},
    members::{
        job::{Done, Job, Outcome, Work},
        news::News,
    },
    observed::{Observed, Seeing, Seen},
};

pub(super) const MAP: usize = 1;

/// A controller with one cluster, gondor. The federation never answers a write.
pub(super) struct Bench {
    pub(super) controller: Controller,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
    pub(super) batches: mpsc::UnboundedReceiver<Batch>,
}

pub(super) fn key() -> ObjectKey {
    ObjectKey { kind: MAP, namespace: "demo".into(), name: "ring".into() }
}

pub(super) fn seen() -> Seen {
    Seen { uid: "m".into(), resource_version: "5".into(), source_uid: "u".into(), labelled: true, ..Seen::default() }
}

fn written(state: State, explicit: bool) -> ClusterRecord {
    ClusterRecord { applied: "d".into(), resource_version: "5".into(), state, explicit, ..ClusterRecord::default() }
}

/// A record of an object that says this of gondor.
pub(super) fn recorded(key: ObjectKey, placed: ClusterRecord) -> Record {
    Record { key: key.into(), clusters: [("gondor".into(), placed.into())].into(), deleted: None }
}

/// The federated object: selected everywhere, or nowhere; in deletion or not.
pub(super) fn ring(version: u64, selected: bool, deleting: bool, finalizers: &[&str]) -> DynamicObject {
    let requirement = if selected { "!" } else { "exists" };
    let mut metadata = json!({
        "name": "ring", "namespace": "demo", "uid": "u", "resourceVersion": version.to_string(), "finalizers": finalizers,
        "annotations": {keys::CLUSTER_SELECTOR: format!(r#"[{{"key":"lost","operator":"{requirement}"}}]"#)},
    });
    if deleting {
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
}

pub(super) fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn federated(objects: Vec<DynamicObject>) -> Intake {
    Intake::FederatedList { kind: MAP, listing: Listing { objects, unreadable: vec![], version: None, why: Why::First, bytes: 0 } }
}

/// The federated object is gone, after it was seen in deletion.
fn gone(version: u64) -> Intake {
    let head = Head { name: "ring".into(), namespace: "demo".into(), uid: "u".into(), resource_version: (&*version.to_string()).into() };
    Intake::FederatedGone { kind: MAP, head, object: Some(Box::new(ring(version, false, true, &[]))) }
}

fn seeing(seen: Option<Seen>, why: Why) -> Seeing {
    let version = seen.as_ref().and_then(|s| s.resource_version.number());
    Seeing { objects: seen.into_iter().map(|s| (key(), s)).collect(), unreadable: vec![], version, why, bytes: 0 }
}

pub(super) const BOTH: [&str; 2] = [keys::DELETE_FROM_CLUSTERS, keys::ORPHAN];

/// A client of a server that never answers.
fn silent() -> kube::Client {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
    });
    kube::Client::new(service, "default")
}

impl Bench {
    pub(super) fn start(objects: Vec<DynamicObject>, record: Option<ClusterRecord>) -> Self {
        Self::start_with(objects, record, PerKind::new(|kind| kind == MAP))
    }

    pub(super) fn start_with(objects: Vec<DynamicObject>, record: Option<ClusterRecord>, enabled: PerKind<bool>) -> Self {
        let client = silent();
        let (records, batches) = mpsc::unbounded_channel();
        let (mailbox, _) = Mailbox::new();
        let settings = Settings {
            federation: "fellowship".into(),
            brake: Brake::default(),
            loss_delay: std::time::Duration::from_secs(20),
            review: std::time::Duration::from_secs(10),
            scale_window: std::time::Duration::from_secs(120),
            clock: crate::time::Clock::showing(crate::time::now()),
            left_out: std::sync::Arc::new(["federation-system".to_owned()].into()),
            enabled,
        };
        let parts = Parts {
            settings,
            writer: Writer::new(client.clone(), Records::new(client.clone()), mailbox, CancellationToken::new()),
            records,
            events: Events::new(client).0,
            ready: tokio::sync::watch::channel(false).0,
        };
        let (lane, jobs) = mpsc::unbounded_channel();
        let mut bench = Self { controller: Controller::new(parts), jobs, batches };
        let stored = record.map(|placed| ("u".into(), recorded(key(), placed)));
        bench.tell(federated(objects));
        bench.tell(Intake::Records(stored.into_iter().collect()));
        bench.tell(News::ClustersListed(vec!["gondor".into()]));
        bench.tell(News::Cluster {
            cluster: "gondor".into(),
            uid: "g".into(),
            labels: [].into(),
            annotations: [].into(),
            lane: Some(lane),
            was_ready: true,
        });
        bench
    }

    pub(super) fn tell(&mut self, message: impl Into<Intake>) {
        self.controller.take(message.into());
        self.controller.work(usize::MAX);
    }

    pub(super) fn reach(&mut self) {
        self.tell(News::Session { cluster: "gondor".into(), epoch: Some(1) });
    }

    pub(super) fn list(&mut self, seen: Option<Seen>) {
        let observed = Observed::Listed(seeing(seen, Why::First));
        self.tell(News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed });
    }

    pub(super) fn change(&mut self, object: DynamicObject) {
        self.tell(Intake::Federated { kind: MAP, object: Box::new(object) });
    }

    pub(super) fn deletes(&mut self) -> bool {
        std::iter::from_fn(|| self.jobs.try_recv().ok()).any(|job| matches!(job.work, Work::Delete))
    }

    /// What is known of gondor's copy: while the object exists, and of one that is gone.
    fn known(&self) -> (Option<&Placed>, usize) {
        let entry = self.controller.objects.get(&key());
        let live = entry.and_then(|e| e.live.as_ref()?.copies.get("gondor").map(|c| &c.record));
        (live, entry.map_or(0, |e| e.tombstones.len()))
    }
}

#[tokio::test]
async fn a_held_deletion_is_not_carried_out_when_the_object_vanishes() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Applied, false)));
    bench.reach();
    bench.list(Some(seen()));
    assert_eq!(bench.known().0.map(|r| (r.state, r.explicit)), Some((State::Deleting, false)));
    bench.tell(federated(vec![]));
    assert!(!bench.deletes());
    assert_eq!(bench.known(), (None, 0));

    // Nor after a restart.
    let mut bench = Bench::start(vec![], Some(written(State::Deleting, false)));
    bench.reach();
    bench.list(Some(seen()));
    assert!(!bench.deletes());
}

#[tokio::test]
async fn a_deletion_that_was_seen_goes_on_when_the_object_is_gone() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Applied, false)));
    bench.change(ring(2, false, true, &BOTH[..1]));
    assert_eq!(bench.known().0.map(|r| (r.state, r.explicit)), Some((State::Deleting, true)));
    bench.tell(gone(3));
    assert_eq!(bench.known(), (None, 1));
    bench.reach();
    bench.list(Some(seen()));
    assert!(bench.deletes());

    let mut bench = Bench::start(vec![], Some(written(State::Deleting, true)));
    bench.reach();
    bench.list(Some(seen()));
    assert!(bench.deletes());
}

#[tokio::test]
async fn orphaning_leaves_what_an_earlier_selection_wanted_to_go() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Deleting, false)));
    bench.change(ring(2, false, true, &BOTH));
    assert_eq!(bench.known(), (None, 0));
    bench.tell(gone(3));
    bench.reach();
    bench.list(Some(seen()));
    assert!(!bench.deletes());
}

#[tokio::test]
async fn a_copy_that_no_record_knows_of_is_deleted_with_its_object() {
    // The process ended after the write and before the record.
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.change(ring(2, true, true, &BOTH[..1]));
    assert_eq!(bench.known().0.map(|r| r.state), Some(State::Deleting));
    bench.list(Some(seen()));
    assert!(bench.deletes());

    // Found in a cluster that the record does not mention.
    let mut bench = Bench::start(vec![ring(1, true, true, &BOTH[..1])], None);
    bench.reach();
    bench.list(Some(seen()));
    assert!(bench.deletes());

    // Of another object of the same name: not ours to delete.
    let mut bench = Bench::start(vec![ring(1, true, true, &BOTH[..1])], None);
    bench.reach();
    bench.list(Some(Seen { source_uid: "other".into(), ..seen() }));
    assert!(!bench.deletes());
}

#[tokio::test]
async fn where_nothing_can_be_watched_deletion_asks_first() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    let observed = Observed::Failing("no such kind".into());
    bench.tell(News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed });
    bench.change(ring(2, true, true, &BOTH[..1]));
    assert!(bench.deletes());
    let (key, uid) = (std::sync::Arc::new(key()), "u".into());
    bench.tell(News::Done(Done { cluster: "gondor".into(), epoch: 1, key, uid, digest: Digest::default(), outcome: Outcome::Gone }));
    assert_eq!(bench.known(), (None, 0));
}

#[tokio::test]
async fn the_gauge_of_stopped_deletions_goes_back_with_consent() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Applied, false)));
    bench.controller.parts.settings.brake.allowed = 0;
    bench.reach();
    bench.list(Some(seen()));
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let judged = |bench: &mut Bench| {
        metrics::with_local_recorder(&recorder, || bench.controller.judge("gondor"));
        recorder.handle().render()
    };
    let stopped = "federation_deletions_stopped{cluster=\"gondor\"}";
    assert!(judged(&mut bench).contains(&format!("{stopped} 1")));
    bench.tell(News::Cluster {
        cluster: "gondor".into(),
        uid: "g".into(),
        labels: [].into(),
        annotations: [(keys::MASS_DELETION.to_owned(), "allow".to_owned())].into(),
        lane: None,
        was_ready: false,
    });
    assert!(judged(&mut bench).contains(&format!("{stopped} 0")));
    bench.controller.work(usize::MAX);
    assert!(bench.deletes());
}

#[tokio::test(start_paused = true)]
async fn issue7_however_often_a_stopped_deletion_asked_it_is_looked_at_once_a_minute() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Applied, false)));
    bench.controller.parts.settings.brake.allowed = 0;
    bench.reach();
    bench.list(Some(seen()));
    for version in 2..100 {
        bench.change(ring(version, false, false, &BOTH));
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        bench.controller.fire();
    }
    assert!(bench.controller.members["gondor"].brake.stopped);
    // Nobody asks any more.
    for _ in 0..120 {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        bench.controller.fire();
    }
    let looks = bench.controller.timers.count(|timer| matches!(timer, Timer::Brake(_)));
    assert_eq!(looks, 1);
    assert!(!bench.deletes());
}

#[tokio::test]
async fn a_flap_that_changes_nothing_is_no_work() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    let job = bench.jobs.try_recv().unwrap();
    let outcome = Outcome::Applied { seen: Box::new(Seen { applied: job.digest, ..seen() }), created: true };
    bench.tell(News::Done(Done { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome }));
    assert_eq!(bench.known().0.map(|r| r.state), Some(State::Applied));

    let session = |epoch| News::Session { cluster: "gondor".into(), epoch };
    let listed = |epoch, seen| {
        let observed = Observed::Listed(seeing(Some(seen), Why::First));
        News::Observed { cluster: "gondor".into(), epoch, kind: MAP, observed }
    };
    let digest = bench.known().0.map(|r| r.applied).unwrap();
    let seen = || Seen { applied: digest, ..seen() };
    for message in [session(None), session(Some(2)), listed(2, seen())] {
        bench.controller.take(message.into());
        assert!(bench.controller.objects.is_idle());
    }
    // What somebody changed meanwhile is looked at.
    bench.tell(session(None));
    bench.tell(session(Some(3)));
    bench.tell(listed(3, Seen { resource_version: "6".into(), owned: "1e55".into(), ..seen() }));
    assert!(matches!(bench.jobs.try_recv().map(|job| job.work), Ok(Work::Apply { .. })));
}

#[tokio::test(start_paused = true)]
async fn writes_end_with_leadership() {
    let client = silent();
    let over = CancellationToken::new();
    let (mailbox, mut inbox) = Mailbox::new();
    let writer = Writer::new(client.clone(), Records::new(client), mailbox, over.clone());
    writer.status(&std::sync::Arc::new(key()), &ring(1, true, false, &[]), &json!({}));
    drop(writer);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    over.cancel();
    // The task held the last sender of the mailbox: the write under way is gone and nothing was answered.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(2), inbox.recv()).await;
    assert!(matches!(ended, Ok(None)));
}

#[tokio::test]
async fn a_write_that_panics_is_a_write_that_failed() {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        None::<http::Response<kube::client::Body>>.map(Ok::<_, std::io::Error>).expect("a panic for a test")
    });
    let client = kube::Client::new(service, "default");
    let (mailbox, mut inbox) = Mailbox::new();
    let writer = Writer::new(client.clone(), Records::new(client), mailbox, CancellationToken::new());
    writer.finalizers(&std::sync::Arc::new(key()), &ring(1, true, false, &[]), &[], None);
    writer.annotate_cluster("gondor", "g", "a", "b");
    drop(writer);
    assert!(matches!(inbox.recv().await, Some(Intake::Written { result: Err(_), .. })));
    assert!(inbox.recv().await.is_none());
}

/// The next job for the copy, carried out in the member as version `version`.
fn carry_out(bench: &mut Bench, version: u64) -> bool {
    let Ok(job) = bench.jobs.try_recv() else { return false };
    let seen =
        Seen { applied: job.digest, resource_version: (&*version.to_string()).into(), uid: (&*format!("m{version}")).into(), ..seen() };
    let outcome = Outcome::Applied { seen: Box::new(seen), created: true };
    bench.tell(News::Done(Done { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome }));
    true
}

fn vanished(made: u64) -> News {
    let observed = Observed::Gone { key: key(), uid: (&*format!("m{made}")).into(), version: Some(made + 1) };
    News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed }
}

#[tokio::test]
async fn d12_what_is_undone_at_once_is_done_again_ever_more_slowly() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    assert!(carry_out(&mut bench, 10));
    bench.tell(vanished(10));
    assert!(carry_out(&mut bench, 20), "the first time it is made again at once");
    bench.tell(vanished(20));
    assert!(!carry_out(&mut bench, 30), "the second time it waits");
    assert_eq!(bench.known().0.map(|r| r.state), Some(State::Pending));
    // What the user changes goes there at once.
    let mut other = ring(2, true, false, &BOTH);
    other.data["data"] = json!({"finger": "frodo"});
    bench.change(other);
    assert!(carry_out(&mut bench, 30));
}

/// Somebody changes the copy back and forth, or takes it over for another federated object.
#[tokio::test(start_paused = true)]
async fn d12_a_fight_by_changes_is_slowed_down_and_told() {
    let drifts = |version: u64| Seen { applied: "d".into(), ..at(version) };
    let taken = |version: u64| Seen { source_uid: "another".into(), ..at(version) };
    for change in [drifts as fn(u64) -> Seen, taken] {
        let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
        let (events, mut told) = Events::read();
        bench.controller.parts.events = events;
        let mut undone = || std::iter::from_fn(|| told.try_recv().ok()).filter(|event| event.reason == "Undone").count();
        bench.reach();
        bench.list(None);
        assert!(carry_out(&mut bench, 10));
        let changes = |bench: &mut Bench, version| {
            let observed = Observed::Changed(key(), Box::new(change(version)));
            bench.tell(News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed });
        };
        changes(&mut bench, 11);
        assert!(carry_out(&mut bench, 12), "the first time at once");
        for (version, wait) in [(13, 1), (15, 2)] {
            assert_eq!(undone(), 0);
            changes(&mut bench, version);
            assert!(bench.jobs.try_recv().is_err(), "it waits");
            tokio::time::advance(std::time::Duration::from_secs(wait)).await;
            bench.controller.fire();
            bench.controller.work(usize::MAX);
            assert!(carry_out(&mut bench, version + 1), "after {wait} s");
        }
        assert_eq!(undone(), 1, "the third time is told");
    }
}

/// The copy as it was made by the first job, at another version.
fn at(version: u64) -> Seen {
    Seen { resource_version: (&*version.to_string()).into(), uid: "m10".into(), ..seen() }
}

#[tokio::test]
async fn issue7_case_20_an_answer_that_is_older_than_what_the_watch_told_says_nothing() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    // Made as version 10, deleted as version 11; the answer to the making comes last.
    bench.tell(vanished(10));
    assert!(carry_out(&mut bench, 10));
    assert!(carry_out(&mut bench, 20), "it is not there, whatever the answer said");
    assert!(!carry_out(&mut bench, 30));
}

#[tokio::test]
async fn d3_a_kind_that_cannot_be_watched_holds_only_itself() {
    let enabled = PerKind::new(|kind| kind == MAP || kind == id("Secret"));
    let mut bench = Bench::start_with(vec![ring(1, true, false, &BOTH)], None, enabled);
    bench.reach();
    bench.list(None);
    assert!(bench.jobs.try_recv().is_err(), "Secrets were not listed yet");
    bench.controller.parts.settings.loss_delay = std::time::Duration::ZERO;
    bench.tell(Intake::FederatedFailing { kind: id("Secret"), reason: "recursion limit exceeded".into() });
    bench.controller.give_up(2);
    bench.controller.work(usize::MAX);
    assert!(carry_out(&mut bench, 10));
}

#[tokio::test]
async fn d3_records_of_a_kind_that_is_not_known_yet_are_no_tombstones() {
    let enabled = PerKind::new(|kind| kind == MAP || kind == id("Secret"));
    let mut bench = Bench::start_with(vec![], None, enabled);
    let secret = ObjectKey { kind: id("Secret"), namespace: "demo".into(), name: "ring".into() };
    bench.tell(Intake::Records(vec![("s".into(), recorded(secret, written(State::Deleting, true)))]));
    bench.controller.parts.settings.loss_delay = std::time::Duration::ZERO;
    bench.tell(Intake::FederatedFailing { kind: id("Secret"), reason: "recursion limit exceeded".into() });
    bench.controller.give_up(2);
    bench.reach();
    bench.list(None);
    let seeing = seeing(None, Why::First);
    bench.tell(News::Observed { cluster: "gondor".into(), epoch: 1, kind: id("Secret"), observed: Observed::Listed(seeing) });
    assert!(!bench.deletes());
    // Once it is known that the object is gone, they are.
    bench.tell(Intake::FederatedList {
        kind: id("Secret"),
        listing: Listing { objects: vec![], unreadable: vec![], version: None, why: Why::First, bytes: 0 },
    });
    assert!(bench.deletes());
}

#[tokio::test(start_paused = true)]
async fn one_big_intake_does_not_starve_the_timers() {
    let mut bench = Bench::start(vec![], None);
    bench.reach();
    bench.list(None);
    let many = 50_000;
    let object = |n: usize| {
        let mut object = ring(1, true, false, &BOTH);
        object.metadata.name = Some(format!("ring-{n}"));
        object.metadata.uid = Some(format!("u{n}"));
        object
    };
    let (mailbox, inbox) = Mailbox::new();
    mailbox.send(federated((0..many).map(object).collect()));
    let shutdown = CancellationToken::new();
    let Bench { controller, mut jobs, batches: _batches } = bench;
    let running = tokio::spawn(controller.run(inbox, shutdown.clone()));
    // Another task has its turn long before the last object was looked at.
    let first = jobs.recv().await;
    assert!(first.is_some());
    assert!(jobs.len() < many / 2, "{}", jobs.len());
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn d4_nothing_is_put_into_the_federations_own_namespace() {
    let mut thief = ring(1, true, false, &BOTH);
    thief.metadata.namespace = Some("federation-system".into());
    let mut bench = Bench::start(vec![thief], None);
    bench.reach();
    bench.list(None);
    assert!(bench.jobs.try_recv().is_err());
    assert!(bench.controller.objects.iter().all(|(_, e)| e.live.as_ref().is_some_and(|live| live.copies.is_empty())));
}
