//! How often records are written.

use federation_api::record::State;

use super::{
    intake::Intake,
    observed::{Seen, applied},
    safety_tests::{BOTH, Bench, ring, seen},
};
use crate::members::lane::Outcome;

#[tokio::test]
async fn issue8_one_record_says_what_was_decided_and_what_the_member_answered() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    bench.list(None);
    let job = bench.jobs.try_recv().unwrap();
    bench.brain.flush_records(false);
    assert!(bench.batches.try_recv().is_err(), "the member is still asked");

    let outcome = Outcome::Applied { seen: Box::new(Seen { applied: applied(&job.digest), ..seen() }), created: true };
    bench.tell(Intake::Outcome { cluster: "gondor".into(), epoch: 1, key: job.key, uid: job.uid, digest: job.digest, outcome });
    bench.brain.flush_records(false);
    let batch = bench.batches.try_recv().unwrap();
    assert_eq!(batch["u"].as_ref().unwrap().clusters["gondor"].state, State::Applied);
    bench.brain.flush_records(false);
    assert!(bench.batches.try_recv().is_err());
}
