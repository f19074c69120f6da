//! How often records are written, and objects looked at.

use federation_api::record::State;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    controller::{RECORD_FLUSH, RECORD_WAIT},
    intake::Mailbox,
    safety_tests::{BOTH, Bench, MAP, key, ring, seen},
};
use crate::compact::Digest;
use crate::members::{
    job::{Done, Outcome},
    news::News,
};
use crate::observed::{Observed, Seen};

#[tokio::test]
async fn issue8_one_record_says_what_was_decided_and_what_the_member_answered() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    let job = bench.jobs.try_recv().unwrap();
    bench.controller.flush_records(false);
    assert!(bench.batches.try_recv().is_err(), "the member is still asked");

    let outcome = Outcome::Applied { seen: Box::new(Seen { applied: job.digest, ..seen() }), created: true };
    bench.tell(News::Done(Done { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome }));
    bench.controller.flush_records(false);
    let batch = bench.batches.try_recv().unwrap();
    assert_eq!(batch[&"u".into()].record.as_ref().unwrap().clusters[0].1.state, State::Applied);
    bench.controller.flush_records(false);
    assert!(bench.batches.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn issue8_a_record_waits_no_longer_than_ten_seconds_for_a_member() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    let start = Instant::now();
    bench.reach();
    bench.list(None);
    let Bench { controller, jobs, mut batches } = bench;
    let ((_mailbox, inbox), shutdown) = (Mailbox::new(), CancellationToken::new());
    let running = tokio::spawn(controller.run(inbox, shutdown.clone()));
    let batch = batches.recv().await.unwrap();
    let took = start.elapsed();
    assert!(took >= RECORD_WAIT && took <= RECORD_WAIT + 2 * RECORD_FLUSH, "{took:?}");
    assert_eq!(jobs.len(), 1, "the member was asked and has not answered");
    let record = &batch[&"u".into()].record.as_ref().unwrap().clusters[0].1;
    assert!(record.state == State::Pending && record.applied.is_empty() && !record.desired.is_empty(), "{record:?}");
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn issue8_news_that_settle_a_copy_are_no_reason_to_look_at_all_copies() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    let job = bench.jobs.try_recv().unwrap();
    let applied = Seen { applied: job.digest, owned: Digest::of(b"ours"), ..seen() };
    let due = |bench: &mut Bench, news: News| {
        bench.controller.take(news.into());
        let due = !bench.controller.objects.is_idle();
        bench.controller.work(usize::MAX);
        due
    };
    let changed =
        |seen: Seen| News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed: Observed::Changed(key(), Box::new(seen)) };
    let outcome = Outcome::Applied { seen: Box::new(applied.clone()), created: true };
    let done = Done { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome };
    assert!(!due(&mut bench, News::Done(done)), "it answered that all is well");
    assert!(!due(&mut bench, changed(applied.clone())), "and shows it");
    assert!(!due(&mut bench, changed(Seen { resource_version: "6".into(), ..applied.clone() })), "with something of another's");
    assert!(bench.jobs.try_recv().is_err());
    assert!(due(&mut bench, changed(Seen { deleting: true, resource_version: "7".into(), ..applied.clone() })));
    assert!(due(&mut bench, changed(Seen { owned: Digest::of(b"theirs"), resource_version: "8".into(), ..applied })));
    assert!(bench.jobs.try_recv().is_ok(), "what is ours was changed there, and is put back");
}
