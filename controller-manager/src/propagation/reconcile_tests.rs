//! Deciding and doing are apart.

use std::sync::Arc;

use super::{
    effect::Effect,
    reconcile::reconcile,
    safety_tests::{BOTH, Bench, MAP, key, ring},
};
use crate::{
    follow::Why,
    members::{job::Work, news::News},
    observed::{Observed, Seeing},
};

#[tokio::test]
async fn issue8_a_look_at_a_name_says_what_follows_and_does_nothing() {
    let mut bench = Bench::start(vec![ring(1, true, false, &BOTH)], None);
    bench.reach();
    let nothing = Seeing { objects: vec![], unreadable: vec![], version: Some(5), why: Why::First, bytes: 0 };
    bench.controller.take(News::Observed { cluster: "gondor".into(), epoch: 1, kind: MAP, observed: Observed::Listed(nothing) }.into());

    let key = Arc::new(key());
    let mut entry = bench.controller.objects.take(&key).unwrap();
    let effects = reconcile(&key, &mut entry, &bench.controller.world());
    assert!(bench.jobs.try_recv().is_err());
    let given =
        |effect: &Effect| matches!(effect, Effect::Job(cluster, job) if **cluster == *"gondor" && matches!(job.work, Work::Apply { .. }));
    assert_eq!(effects.iter().filter(|effect| given(effect)).count(), 1);

    // Nothing more follows as long as the member has not answered.
    assert!(reconcile(&key, &mut entry, &bench.controller.world()).is_empty());
}
