//! The decision about one object in one cluster: pure.

use federation_api::record::State;

use super::copies::Placed;
use crate::compact::{Digest, Uid};
use crate::observed::Seen;

/// What should be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Want {
    /// An object with this digest.
    Present(Digest),
    /// No object of ours.
    Absent,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// It is as it should be.
    Nothing,
    /// Apply. `ours` says that the object was seen there with our label, so that no question about its owner is open.
    Apply {
        /// The object is there and ours.
        ours: bool,
    },
    /// Delete what is ours there.
    Delete,
    /// Nothing of ours is left: the cluster's entry in the record can go.
    Forget,
}

/// Decides. `seen` is what a complete watch of the member shows (only objects with our label), `uid` is the
/// federated object's.
pub(crate) fn decide(want: Want, record: &Placed, seen: Option<&Seen>, uid: &Uid) -> Action {
    match want {
        Want::Present(digest) => present(digest, record, seen, uid),
        Want::Absent => match seen {
            // Made from another federated object of the same name, which took it over.
            Some(seen) if !seen.source_uid.is_empty() && seen.source_uid != *uid => Action::Forget,
            Some(seen) if seen.deleting => Action::Nothing,
            Some(_) => Action::Delete,
            // Not seen, but written once: somebody may have taken the label away. Deleting asks who owns it.
            None if !record.applied.is_empty() && record.state != State::Conflict => Action::Delete,
            None => Action::Forget,
        },
    }
}

fn present(digest: Digest, record: &Placed, seen: Option<&Seen>, uid: &Uid) -> Action {
    let Some(seen) = seen else {
        // A Job that ran to its end and was deleted would run again. Otherwise it is not there, or somebody
        // else's: applying asks first.
        return if record.finished.is_some() { Action::Nothing } else { Action::Apply { ours: false } };
    };
    if seen.deleting {
        // It is made again once it is gone.
        return Action::Nothing;
    }
    let current = record.applied == digest && record.state != State::Conflict;
    // The record says what we did; the copy says what is: a member whose store was put back has an older one.
    let untouched = seen.source_uid == *uid
        && seen.labelled
        && seen.applied == digest
        && (seen.resource_version == record.resource_version || (!seen.owned.is_empty() && seen.owned == record.owned));
    if current && untouched { Action::Nothing } else { Action::Apply { ours: true } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(applied: &str, state: State) -> Placed {
        Placed { applied: applied.into(), resource_version: "5".into(), owned: "a".into(), state, ..Placed::default() }
    }

    fn seen(resource_version: &str, owned: &str) -> Seen {
        let (resource_version, owned, source_uid) = (resource_version.into(), owned.into(), "u".into());
        Seen { resource_version, owned, source_uid, labelled: true, applied: "d".into(), ..Seen::default() }
    }

    #[test]
    fn what_is_applied_is_not_written_again() {
        let applied = record("d", State::Applied);
        assert_eq!(decide(Want::Present("d".into()), &applied, Some(&seen("5", "a")), &"u".into()), Action::Nothing);
        // A status change, or somebody's own annotation: a new version, nothing of ours touched.
        assert_eq!(decide(Want::Present("d".into()), &applied, Some(&seen("6", "a")), &"u".into()), Action::Nothing);
    }

    #[test]
    fn drift_and_news_are_written() {
        let applied = record("d", State::Applied);
        assert_eq!(decide(Want::Present("d".into()), &applied, Some(&seen("6", "b")), &"u".into()), Action::Apply { ours: true });
        assert_eq!(decide(Want::Present("e".into()), &applied, Some(&seen("5", "a")), &"u".into()), Action::Apply { ours: true });
        assert_eq!(decide(Want::Present("d".into()), &applied, None, &"u".into()), Action::Apply { ours: false });
        let foreign = Seen { source_uid: "older".into(), ..seen("5", "a") };
        assert_eq!(decide(Want::Present("d".into()), &applied, Some(&foreign), &"u".into()), Action::Apply { ours: true });
    }

    #[test]
    fn issue7_case_34_a_copy_that_is_older_than_its_record_is_written_again() {
        let applied = record("d", State::Applied);
        let older = Seen { applied: "c".into(), ..seen("3", "a") };
        assert_eq!(decide(Want::Present("d".into()), &applied, Some(&older), &"u".into()), Action::Apply { ours: true });
        // Also when the version happens to be the same.
        let older = Seen { applied: "c".into(), ..seen("5", "a") };
        assert_eq!(decide(Want::Present("d".into()), &applied, Some(&older), &"u".into()), Action::Apply { ours: true });
    }

    #[test]
    fn a_conflict_is_asked_about_again_and_nothing_is_deleted_for_it() {
        let conflict = record("d", State::Conflict);
        assert_eq!(decide(Want::Present("d".into()), &conflict, None, &"u".into()), Action::Apply { ours: false });
        assert_eq!(decide(Want::Present("e".into()), &conflict, None, &"u".into()), Action::Apply { ours: false });
        assert_eq!(decide(Want::Absent, &conflict, None, &"u".into()), Action::Forget);
    }

    #[test]
    fn what_finished_is_not_made_again() {
        let finished = Placed { finished: Some(Box::default()), ..record("d", State::Applied) };
        assert_eq!(decide(Want::Present("d".into()), &finished, None, &"u".into()), Action::Nothing);
        assert_eq!(decide(Want::Present("e".into()), &finished, Some(&seen("5", "a")), &"u".into()), Action::Apply { ours: true });
        assert_eq!(decide(Want::Absent, &finished, Some(&seen("5", "a")), &"u".into()), Action::Delete);
    }

    #[test]
    fn only_what_is_ours_is_deleted() {
        let applied = record("d", State::Applied);
        assert_eq!(decide(Want::Absent, &applied, Some(&seen("5", "a")), &"u".into()), Action::Delete);
        assert_eq!(decide(Want::Absent, &applied, None, &"u".into()), Action::Delete);
        let foreign = Seen { source_uid: "newer".into(), ..seen("5", "a") };
        assert_eq!(decide(Want::Absent, &applied, Some(&foreign), &"u".into()), Action::Forget);
        assert_eq!(decide(Want::Absent, &record("", State::Pending), None, &"u".into()), Action::Forget);
        assert_eq!(decide(Want::Absent, &applied, Some(&Seen { deleting: true, ..seen("5", "a") }), &"u".into()), Action::Nothing);
    }
}
