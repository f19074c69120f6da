//! What a step never does, and a few that it does.

use proptest::prelude::*;

use super::*;
use crate::{compact::Version, propagation::copies::Placed};

const DIGEST: &str = "d";

fn digest() -> Digest {
    DIGEST.into()
}

fn view(seen: Option<&Seen>) -> View<'_> {
    let undone = Undone { times: 1, wait: Duration::ZERO };
    View { now: Instant::now(), reachable: true, listed: true, out_of_hand: None, seen, released: false, undone, in_the_way: None }
}

fn applied() -> Copy {
    let record = Placed { desired: digest(), applied: digest(), resource_version: "5".into(), state: State::Applied, ..Placed::default() };
    Copy { record, ..Copy::default() }
}

fn present() -> Wanted {
    Wanted::Present { digest: digest(), adopt: false }
}

fn tasks(effects: &[Next]) -> Vec<&Task> {
    effects.iter().filter_map(|effect| if let Next::Do(task) = effect { Some(task) } else { None }).collect()
}

#[test]
fn issue8_what_is_not_there_is_made_without_a_look() {
    let effects = step(present(), &Copy::default(), &"u".into(), &view(None));
    let known = Known { absent: true, ours: None };
    let apply = Next::Do(Task::Apply { known, digest: digest(), adopt: false });
    assert_eq!(effects, [apply, Next::Stand(State::Pending, String::new())]);
}

#[test]
fn issue8_a_fight_is_fought_ever_more_slowly() {
    let undone = Undone { times: 3, wait: Duration::from_secs(2) };
    let view = View { undone, ..view(None) };
    let effects = step(present(), &applied(), &"u".into(), &view);
    assert_eq!(effects[..3], [Next::Undone(undone), Next::NotBefore(Some(view.now + undone.wait)), Next::LookAgain(undone.wait)]);
    assert!(tasks(&effects).is_empty());
    let waiting = Copy { not_before: Some(view.now + undone.wait), ..applied() };
    assert_eq!(step(present(), &waiting, &"u".into(), &view), [Next::LookAgain(undone.wait)]);
}

prop_compose! {
    fn any_seen()(uid in "[uv]?", version in 1_u64..8, labelled: bool, deleting: bool, same: bool) -> Seen {
        let applied = if same { digest() } else { Digest::default() };
        Seen { uid: "m".into(), resource_version: Version::Number(version), source_uid: (&*uid).into(), labelled, deleting, applied, ..Seen::default() }
    }
}

prop_compose! {
    fn any_copy()(
        state in prop::sample::select(vec![State::Pending, State::Applied, State::Failed, State::Conflict, State::Deleting]),
        written: bool, busy: bool, absent: bool, waits in prop::option::of(0_u64..5),
    ) -> (Copy, Option<u64>) {
        let applied = if written { digest() } else { Digest::default() };
        let record = Placed { applied, resource_version: "5".into(), state, ..Placed::default() };
        (Copy { record, busy, absent, ..Copy::default() }, waits)
    }
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let removals = [Removal::Deleted, Removal::Unwanted, Removal::LetGo("for a test")];
    prop_oneof![
        any::<bool>().prop_map(|adopt| Wanted::Present { digest: digest(), adopt }),
        prop::sample::select(removals.to_vec()).prop_map(Wanted::Absent),
    ]
}

proptest! {
    #[test]
    fn issue8_no_step_does_what_it_may_not(
        wanted in any_wanted(), (mut copy, waits) in any_copy(), seen in prop::option::of(any_seen()),
        reachable: bool, listed: bool, failing: bool, released: bool, blocked: bool,
    ) {
        let mut view = view(seen.as_ref());
        copy.not_before = waits.map(|seconds| view.now + Duration::from_secs(seconds));
        (view.reachable, view.listed, view.released) = (reachable, listed, released);
        view.out_of_hand = failing.then(|| "for a test".to_owned());
        view.in_the_way = blocked.then_some("for a test");
        let effects = step(wanted, &copy, &"u".into(), &view);
        let tasks = tasks(&effects);

        // It says the same of the same: nothing but what it is given plays a part.
        prop_assert_eq!(&step(wanted, &copy, &"u".into(), &view), &effects);
        prop_assert!(tasks.len() <= 1);
        if copy.busy || !reachable || waits.is_some_and(|seconds| seconds > 0) {
            prop_assert!(tasks.is_empty(), "nothing is done in a cluster that is away, or before its time: {effects:?}");
        }
        let waits_for_brake = effects.contains(&Next::AskBrake);
        for task in &tasks {
            match (task, wanted) {
                (Task::Apply { known, .. }, Wanted::Present { .. }) => {
                    prop_assert!(listed && !blocked);
                    prop_assert!(known.ours.is_none() || seen.is_some(), "only what was seen is called ours");
                }
                (Task::Delete, Wanted::Absent(removal)) => {
                    prop_assert!(removal == Removal::Deleted || (removal == Removal::Unwanted && released), "the brake has a say");
                }
                (Task::LetGo(_), Wanted::Absent(Removal::LetGo(_))) => {}
                (task, wanted) => prop_assert!(false, "{task:?} for {wanted:?}"),
            }
            // What another object of the name was made into is not this one's to delete.
            let anothers = listed && seen.as_ref().is_some_and(|seen| !seen.source_uid.is_empty() && seen.source_uid != *"u");
            let applies = matches!(task, Task::Apply { .. });
            prop_assert!(!anothers || applies);
        }
        prop_assert!(!waits_for_brake || tasks.is_empty());
        if effects.contains(&Next::Forget) {
            let absent = matches!(wanted, Wanted::Absent(_));
            prop_assert!(absent, "what is wanted is not forgotten");
        }
    }
}
