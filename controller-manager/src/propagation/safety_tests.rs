//! What is never deleted, and what is always deleted: the brain alone, with a lane that the test reads.

use federation_api::{
    keys,
    record::{ClusterRecord, PropagationRecordSpec, State},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    brain::{Brain, Parts},
    intake::{Intake, Mailbox, Observed},
    observed::Seen,
    records::{Batch, Records},
    writer::Writer,
};
use crate::{
    config::Brake,
    events::Events,
    kinds::ObjectKey,
    members::lane::{Job, Outcome, Work},
};

const MAP: usize = 1;

/// A brain with one cluster, gondor. The federation never answers a write.
struct Bench {
    brain: Brain,
    jobs: mpsc::UnboundedReceiver<Job>,
    _batches: mpsc::UnboundedReceiver<Batch>,
}

fn key() -> ObjectKey {
    ObjectKey { kind: MAP, namespace: "demo".into(), name: "ring".into() }
}

fn seen() -> Seen {
    Seen { uid: "m".into(), resource_version: "5".into(), source_uid: "u".into(), labelled: true, ..Seen::default() }
}

fn written(state: State, explicit: bool) -> ClusterRecord {
    ClusterRecord { applied: "d".into(), resource_version: "5".into(), state, explicit, ..ClusterRecord::default() }
}

/// The federated object: selected everywhere, or nowhere; in deletion or not.
fn ring(version: u64, selected: bool, deleting: bool, finalizers: &[&str]) -> DynamicObject {
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

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

const BOTH: [&str; 2] = [keys::DELETE_FROM_CLUSTERS, keys::ORPHAN];

/// A client of a server that never answers.
fn silent() -> kube::Client {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
    });
    kube::Client::new(service, "default")
}

impl Bench {
    fn start(objects: Vec<DynamicObject>, record: Option<ClusterRecord>) -> Self {
        let client = silent();
        let (records, batches) = mpsc::unbounded_channel();
        let (mailbox, _) = Mailbox::new();
        let parts = Parts {
            federation: "fellowship".into(),
            brake: Brake::default(),
            hold: std::time::Duration::from_secs(20),
            enabled: std::array::from_fn(|kind| kind == MAP),
            writer: Writer::new(client.clone(), Records::new(client.clone()), mailbox, CancellationToken::new()),
            records,
            events: Events::new(client).0,
            ready: tokio::sync::watch::channel(false).0,
        };
        let (lane, jobs) = mpsc::unbounded_channel();
        let mut bench = Self { brain: Brain::new(parts), jobs, _batches: batches };
        let stored = record.map(|record| {
            let clusters = [("gondor".to_owned(), record)].into();
            ("u".to_owned(), PropagationRecordSpec { object: key().object_ref(), clusters })
        });
        bench.tell(Intake::FederatedList { kind: MAP, objects });
        bench.tell(Intake::Records(stored.into_iter().collect()));
        bench.tell(Intake::ClustersListed(vec!["gondor".into()]));
        bench.tell(Intake::Cluster {
            cluster: "gondor".into(),
            uid: "g".into(),
            labels: [].into(),
            annotations: [].into(),
            lane: Some(lane),
            was_ready: true,
        });
        bench
    }

    fn tell(&mut self, message: Intake) {
        self.brain.take(message);
        self.brain.work();
    }

    fn reach(&mut self) {
        self.tell(Intake::Session { cluster: "gondor".into(), epoch: Some(1) });
    }

    fn list(&mut self, seen: Option<Seen>) {
        let observed = Observed::Listed(seen.into_iter().map(|s| (key(), s)).collect());
        self.tell(Intake::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed });
    }

    fn change(&mut self, object: DynamicObject) {
        self.tell(Intake::Federated { kind: MAP, object: Box::new(object) });
    }

    fn deletes(&mut self) -> bool {
        std::iter::from_fn(|| self.jobs.try_recv().ok()).any(|job| matches!(job.work, Work::Delete))
    }

    /// What is known of gondor's copy: while the object exists, and of one that is gone.
    fn known(&self) -> (Option<&ClusterRecord>, usize) {
        let entry = self.brain.entries.get(&key());
        let live = entry.and_then(|e| e.live.as_ref()?.copies.get("gondor").map(|c| &c.record));
        (live, entry.map_or(0, |e| e.graves.len()))
    }
}

#[tokio::test]
async fn a_held_deletion_is_not_carried_out_when_the_object_vanishes() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Applied, false)));
    bench.reach();
    bench.list(Some(seen()));
    assert_eq!(bench.known().0.map(|r| (r.state, r.explicit)), Some((State::Deleting, false)));
    bench.tell(Intake::FederatedList { kind: MAP, objects: vec![] });
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
    bench.tell(Intake::FederatedGone { kind: MAP, object: Box::new(ring(3, false, true, &[])) });
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
    bench.tell(Intake::FederatedGone { kind: MAP, object: Box::new(ring(3, false, true, &[])) });
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
    bench.tell(Intake::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed });
    bench.change(ring(2, true, true, &BOTH[..1]));
    assert!(bench.deletes());
    let (key, uid) = (std::sync::Arc::new(key()), "u".into());
    bench.tell(Intake::Outcome { cluster: "gondor".into(), epoch: 1, key, uid, digest: String::new(), outcome: Outcome::Gone });
    assert_eq!(bench.known(), (None, 0));
}

#[tokio::test]
async fn the_gauge_of_stopped_deletions_goes_back_with_consent() {
    let mut bench = Bench::start(vec![ring(1, false, false, &BOTH)], Some(written(State::Applied, false)));
    bench.brain.parts.brake.allowed = 0;
    bench.reach();
    bench.list(Some(seen()));
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let judged = |bench: &mut Bench| {
        metrics::with_local_recorder(&recorder, || bench.brain.judge("gondor"));
        recorder.handle().render()
    };
    let stopped = "federation_deletions_stopped{cluster=\"gondor\"}";
    assert!(judged(&mut bench).contains(&format!("{stopped} 1")));
    bench.tell(Intake::Cluster {
        cluster: "gondor".into(),
        uid: "g".into(),
        labels: [].into(),
        annotations: [(keys::MASS_DELETION.to_owned(), "allow".to_owned())].into(),
        lane: None,
        was_ready: false,
    });
    assert!(judged(&mut bench).contains(&format!("{stopped} 0")));
    bench.brain.work();
    assert!(bench.deletes());
}

#[tokio::test]
async fn a_flap_that_changes_nothing_is_no_work() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    let job = bench.jobs.try_recv().unwrap();
    let outcome = Outcome::Applied { seen: Box::new(seen()), created: true };
    bench.tell(Intake::Outcome { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome });
    assert_eq!(bench.known().0.map(|r| r.state), Some(State::Applied));

    let session = |epoch| Intake::Session { cluster: "gondor".into(), epoch };
    let listed = |epoch, seen| {
        let observed = Observed::Listed(vec![(key(), seen)]);
        Intake::Observed { cluster: "gondor".into(), epoch, kind: MAP, observed }
    };
    for message in [session(None), session(Some(2)), listed(2, seen())] {
        bench.brain.take(message);
        assert!(bench.brain.queue.is_empty());
    }
    // What somebody changed meanwhile is looked at.
    bench.tell(session(None));
    bench.tell(session(Some(3)));
    bench.tell(listed(3, Seen { resource_version: "6".into(), owned: "less".into(), ..seen() }));
    assert!(matches!(bench.jobs.try_recv().map(|job| job.work), Ok(Work::Apply { .. })));
}

#[tokio::test]
async fn writes_end_with_leadership() {
    let client = silent();
    let over = CancellationToken::new();
    let (mailbox, mut inbox) = Mailbox::new();
    let writer = Writer::new(client.clone(), Records::new(client), mailbox, over.clone());
    writer.status(&std::sync::Arc::new(key()), "u", &json!({}));
    drop(writer);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    over.cancel();
    // The task held the last sender of the mailbox: the write under way is gone and nothing was answered.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(2), inbox.recv()).await;
    assert!(matches!(ended, Ok(None)));
}
