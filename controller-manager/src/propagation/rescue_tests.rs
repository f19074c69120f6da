//! What is not lost to deletions that were meant for something else: the controller alone, as in `safety_tests`.

use federation_api::record::{ClusterRecord, State};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    entry::Tracked,
    intake::{Intake, Write},
    record::Record,
    safety_tests::{BOTH, Bench, MAP, key, object, recorded, ring, seen},
};
use crate::{
    compact::Uid,
    follow::{Listing, Why},
    kinds::{KindId, NAMESPACE, ObjectKey, PerKind, id},
    members::{
        job::{Done, Job, Outcome, Work},
        news::News,
    },
    observed::{Observed, Seeing, Seen},
};

const JOB: KindId = id("Job");
const SECRET: KindId = id("Secret");

fn federated(kind: KindId, objects: Vec<DynamicObject>) -> Intake {
    Intake::FederatedList { kind, listing: Listing { objects, unreadable: vec![], version: None, why: Why::First, bytes: 0 } }
}

fn listed(kind: KindId, objects: Vec<(ObjectKey, Seen)>) -> News {
    let seeing = Seeing { objects, unreadable: vec![], version: Some(5), why: Why::First, bytes: 0 };
    News::Observed { cluster: "gondor".into(), epoch: 1, kind, observed: Observed::Listed(seeing) }
}

fn jobs(bench: &mut Bench) -> Vec<Job> {
    std::iter::from_fn(|| bench.jobs.try_recv().ok()).collect()
}

fn answer(bench: &mut Bench, job: Job, outcome: Outcome) {
    bench.tell(News::Done(Done { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome }));
}

fn live<'a>(bench: &'a Bench, key: &ObjectKey) -> &'a Tracked {
    bench.controller.objects.get(key).unwrap().live.as_ref().unwrap()
}

fn namespace_key() -> ObjectKey {
    ObjectKey { kind: NAMESPACE, namespace: String::new(), name: "demo".into() }
}

/// A namespace of uid `new`, with a ConfigMap and a Job in it, where gondor has the namespace of uid `old`.
fn made_anew(tombstone: bool) -> Bench {
    let enabled = PerKind::new(|kind| [NAMESPACE, MAP, JOB].contains(&kind));
    let mut bench = Bench::start_with(vec![ring(1, true, false, &BOTH)], None, enabled);
    if tombstone {
        let tombstone = ClusterRecord { explicit: true, state: State::Deleting, applied: "d".into(), ..ClusterRecord::default() };
        bench.tell(Intake::Records(vec![("old".into(), recorded(namespace_key(), tombstone))]));
    }
    let metadata = json!({"name": "demo", "uid": "new", "resourceVersion": "3", "finalizers": BOTH});
    bench.tell(federated(NAMESPACE, vec![object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))]));
    let metadata = json!({"name": "run", "namespace": "demo", "uid": "j", "resourceVersion": "4", "finalizers": BOTH});
    bench.tell(federated(JOB, vec![object(json!({"metadata": metadata, "spec": {"parallelism": 1, "completions": 1}}))]));
    bench.reach();
    bench.list(None);
    bench.tell(listed(JOB, vec![]));
    bench.tell(listed(NAMESPACE, vec![(namespace_key(), Seen { source_uid: "old".into(), ..seen() })]));
    bench
}

/// Answers the one job there is, which is to apply the namespace; after that what is in it is applied.
fn the_namespace_comes_first(bench: &mut Bench, mut given: Vec<Job>) {
    assert_eq!(given.len(), 1, "only the namespace");
    let job = given.remove(0);
    assert!(job.key.kind == NAMESPACE && job.uid == *"new" && matches!(job.work, Work::Apply { .. }));
    let there = Seen { uid: "m2".into(), resource_version: "9".into(), source_uid: "new".into(), applied: job.digest, ..seen() };
    answer(bench, job, Outcome::Applied { seen: Box::new(there), created: true });
    let kinds: Vec<KindId> = jobs(bench).iter().map(|job| job.key.kind).collect();
    assert!(kinds.contains(&MAP) && kinds.contains(&JOB), "{kinds:?}");
}

#[tokio::test]
async fn issue7_case_x1_nothing_is_put_into_a_namespace_that_is_deleted_as_an_earlier_one() {
    let mut bench = made_anew(true);
    let mut given = jobs(&mut bench);
    assert_eq!(given.len(), 1, "only the old namespace");
    let job = given.remove(0);
    assert!(job.key.kind == NAMESPACE && job.uid == *"old" && matches!(job.work, Work::Delete));
    answer(&mut bench, job, Outcome::Gone);
    let given = jobs(&mut bench);
    the_namespace_comes_first(&mut bench, given);

    // Nor is it when no tombstone is known: it is taken over first.
    let mut bench = made_anew(false);
    let given = jobs(&mut bench);
    the_namespace_comes_first(&mut bench, given);
}

/// `count` deletions that are remembered, and copies of them in gondor.
fn rescued(count: usize) -> Bench {
    let mut bench = Bench::start(vec![], None);
    let named = |n: usize| ObjectKey { name: format!("ring-{n}"), ..key() };
    let memory = |n: usize| {
        let deleted = Some(crate::time::now());
        (Uid::from(&*format!("u{n}")), Record { key: named(n).into(), clusters: Box::default(), deleted })
    };
    bench.tell(Intake::Records((0..count).map(memory).collect()));
    bench.reach();
    let copy = |n: usize| (named(n), Seen { uid: (&*format!("m{n}")).into(), source_uid: (&*format!("u{n}")).into(), ..seen() });
    bench.tell(listed(MAP, (0..count).map(copy).collect()));
    bench
}

fn judge(bench: &mut Bench) -> usize {
    bench.controller.judge("gondor");
    bench.controller.work(usize::MAX);
    jobs(bench).iter().filter(|job| matches!(job.work, Work::Delete)).count()
}

#[tokio::test]
async fn what_is_rescued_in_a_member_passes_the_brake_and_can_be_kept() {
    let mut few = rescued(3);
    assert!(!few.deletes(), "they are collected first");
    assert_eq!(judge(&mut few), 3);

    let mut many = rescued(8);
    assert_eq!(judge(&mut many), 0);
    assert!(many.controller.members["gondor"].brake.stopped);
    // After a restart they are memories as before, not tombstones.
    many.controller.flush_records(true);
    let mut stored = std::collections::HashMap::new();
    while let Ok(batch) = many.batches.try_recv() {
        stored.extend(batch);
    }
    assert_eq!(stored.len(), 8);
    assert!(stored.values().all(|r| r.record.as_ref().is_some_and(|r| r.deleted.is_some() && r.clusters.is_empty())));
    // One loses its label, and is kept.
    let lost = ObjectKey { name: "ring-0".into(), ..key() };
    let observed = Observed::Gone { key: lost.clone(), uid: "m0".into(), version: Some(6) };
    many.tell(News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed });
    assert!(many.controller.objects.get(&lost).is_none());
    many.controller.members.get_mut("gondor").unwrap().consent = true;
    assert_eq!(judge(&mut many), 7);
}

#[tokio::test]
async fn what_is_rescued_stays_once_its_deletion_is_forgotten() {
    let mut bench = rescued(8);
    assert_eq!(judge(&mut bench), 0);
    bench.controller.parts.settings.clock = crate::time::Clock::showing(crate::time::now() + jiff::SignedDuration::from_hours(200));
    bench.controller.forget_deletions();
    bench.controller.members.get_mut("gondor").unwrap().consent = true;
    assert_eq!(judge(&mut bench), 0);
    assert!(bench.controller.objects.iter().all(|(_, entry)| !entry.is_wanted()));
}

#[tokio::test]
async fn copies_of_what_begins_to_stay_are_handed_over() {
    let enabled = PerKind::new(|kind| kind == SECRET);
    let mut bench = Bench::start_with(vec![], None, enabled);
    let token = ObjectKey { kind: SECRET, namespace: "demo".into(), name: "token".into() };
    let metadata = json!({"name": "token", "namespace": "demo", "uid": "s", "resourceVersion": "1", "finalizers": BOTH});
    let secret: Value = json!({"metadata": metadata, "type": "kubernetes.io/service-account-token"});
    let placed = ClusterRecord { applied: "d".into(), state: State::Applied, ..ClusterRecord::default() };
    bench.tell(Intake::Records(vec![("s".into(), recorded(token.clone(), placed))]));
    bench.tell(federated(SECRET, vec![object(secret)]));
    bench.reach();
    bench.tell(listed(SECRET, vec![(token.clone(), Seen { source_uid: "s".into(), ..seen() })]));
    bench.controller.judge("gondor");
    bench.controller.work(usize::MAX);
    let mut given = jobs(&mut bench);
    assert_eq!(given.len(), 1);
    let job = given.remove(0);
    assert!(matches!(job.work, Work::LetGo { .. }), "it is not deleted");
    assert_eq!(job.version.as_ref().and_then(crate::compact::Version::number), Some(1));
    answer(&mut bench, job, Outcome::Kept("for a test".into()));
    assert!(live(&bench, &token).copies.is_empty());
    assert!(jobs(&mut bench).is_empty());
}

#[tokio::test]
async fn what_is_in_a_namespace_that_was_left_out_later_is_let_go() {
    let in_it = |mut object: DynamicObject| {
        object.metadata.namespace = Some("federation-system".into());
        object
    };
    let mut bench = Bench::start(vec![in_it(ring(1, true, true, &BOTH[..1]))], None);
    let there = ObjectKey { namespace: "federation-system".into(), ..key() };
    let record = ClusterRecord { applied: "d".into(), state: State::Applied, ..ClusterRecord::default() };
    bench.tell(Intake::Records(vec![("u".into(), recorded(there.clone(), record))]));
    assert_eq!(live(&bench, &there).writing, Some(Write::Finalizers));
    bench.reach();
    bench.tell(listed(MAP, vec![(there.clone(), seen())]));
    let written = Ok(Some(Box::new(in_it(ring(2, true, true, &[])))));
    bench.tell(Intake::Written { key: there.clone().into(), uid: "u".into(), what: Write::Finalizers, result: written });
    assert!(live(&bench, &there).copies.is_empty() && live(&bench, &there).writing.is_none());
    let head =
        crate::follow::Head { name: "ring".into(), namespace: there.namespace.clone(), uid: "u".into(), resource_version: "3".into() };
    bench.tell(Intake::FederatedGone { kind: MAP, head, object: None });
    // Its copies stay, and its record goes.
    assert!(jobs(&mut bench).is_empty() && bench.controller.objects.get(&there).is_none_or(|entry| !entry.is_wanted()));
    bench.controller.flush_records(true);
    assert!(bench.batches.try_recv().unwrap()[&"u".into()].record.is_none());
    bench.controller.take(News::Session { cluster: "gondor".into(), epoch: None }.into());
    bench.reach();
    bench.tell(listed(MAP, vec![(there, seen())]));
    assert_eq!(judge(&mut bench), 0);
}
