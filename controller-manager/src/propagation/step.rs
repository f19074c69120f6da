//! The next step for one object in one cluster: pure. What comes next is a list, which
//! [`super::reconcile`] takes over.

use std::time::Duration;

use federation_api::record::State;
use tokio::time::Instant;

use super::{
    copies::Copy,
    damper::Undone,
    decide::{Action, Want, decide},
};
use crate::compact::{Digest, Uid};
use crate::members::job::Known;
use crate::observed::Seen;

/// What is wanted of an object in a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// A copy with this digest; taking over what is there, or not.
    Present { digest: Digest, adopt: bool },
    /// No copy of ours.
    Absent(Removal),
}

/// How something leaves a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Removal {
    /// The federated object was deleted, and its copies are to go with it.
    Deleted,
    /// It is not wanted there any more, or is back after it was deleted: the brake has a say.
    Unwanted,
    /// It stays there, without our marks; with the reason.
    LetGo(&'static str),
}

/// What is known of a cluster, as far as one object in it goes.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    pub(super) now: Instant,
    /// It can be reached.
    pub(super) reachable: bool,
    /// All objects of the kind there are known.
    pub(super) listed: bool,
    /// Why they are not, and will not be soon.
    pub(super) out_of_hand: Option<String>,
    /// What is there of ours.
    pub(super) seen: Option<&'a Seen>,
    /// The brake lets its deletion through.
    pub(super) released: bool,
    /// How it stands in a fight if something of ours was undone just now.
    pub(super) undone: Undone,
    /// Why nothing can be put into its namespace there.
    pub(super) in_the_way: Option<&'static str>,
}

/// Something that comes next for one object in one cluster.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// The record says so from now on.
    Stand(State, String),
    /// It is not tried before; or at any time.
    NotBefore(Option<Instant>),
    /// It is looked at again after so long.
    LookAgain(Duration),
    /// What we did was undone: that is remembered, and told when it goes on.
    Undone(Undone),
    /// Its deletion waits for the brake.
    AskBrake,
    /// Nothing of ours is left: the copy is dropped.
    Forget,
    /// The lane has work.
    Do(Task),
}

/// Work for a lane.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Task {
    /// Write the copy.
    Apply { known: Known, digest: Digest, adopt: bool },
    /// Delete it.
    Delete,
    /// Take our marks off it; with the reason.
    LetGo(&'static str),
}

/// Why nothing happens in a cluster that cannot be reached.
pub(super) const AWAY: &str = "the cluster is away";
/// Why a copy is not made right at once.
const UNDONE: &str = "what the federation does is undone in the member again and again; it tries ever more slowly";
/// Why a deletion nobody asked for waits.
const COLLECTED: &str = "not wanted there any more; such deletions are collected before they are carried out";

/// The next step for what is wanted of an object, of this uid, in a cluster.
pub(super) fn step(wanted: Wanted, copy: &Copy, uid: &Uid, view: &View<'_>) -> Vec<Next> {
    if copy.busy {
        return Vec::new();
    }
    if let Some(at) = copy.not_before.filter(|at| *at > view.now) {
        return vec![Next::LookAgain(at.saturating_duration_since(view.now))];
    }
    let mut effects = Vec::new();
    if copy.not_before.is_some() {
        effects.push(Next::NotBefore(None));
    }
    effects.extend(due(wanted, copy, uid, view));
    effects
}

/// The same, of what is neither under way nor to wait.
fn due(wanted: Wanted, copy: &Copy, uid: &Uid, view: &View<'_>) -> Vec<Next> {
    let record = &copy.record;
    let (want, current, pending) = match wanted {
        Wanted::Present { digest, .. } => (Want::Present(digest), record.applied == digest, State::Pending),
        Wanted::Absent(Removal::LetGo(_)) => (Want::Absent, false, State::Pending),
        Wanted::Absent(_) => (Want::Absent, false, State::Deleting),
    };
    let hold = |reason: &str| match current || record.state == State::Conflict {
        true => Vec::new(),
        false => vec![Next::Stand(pending, reason.to_owned())],
    };
    if !view.reachable {
        return hold(AWAY);
    }
    let action = match (view.listed, &view.out_of_hand, wanted) {
        (true, ..) => decide(want, record, view.seen, uid),
        (false, None, _) => return hold(""),
        (false, Some(reason), Wanted::Present { .. }) => return hold(reason),
        // No watch says what is there: deleting asks first.
        (false, Some(_), Wanted::Absent(_)) if copy.absent => Action::Forget,
        (false, Some(_), Wanted::Absent(_)) => Action::Delete,
    };
    let mut effects = Vec::new();
    let task = match (action, wanted) {
        (Action::Forget, _) => return vec![Next::Forget],
        (Action::Apply { ours }, Wanted::Present { digest, adopt }) => {
            if let Some(reason) = view.in_the_way {
                return hold(reason);
            }
            if current && record.state == State::Applied {
                // It was as it should be, and is no more.
                let undone = view.undone;
                effects.push(Next::Undone(undone));
                if !undone.wait.is_zero() {
                    effects.push(Next::NotBefore(Some(view.now + undone.wait)));
                    effects.push(Next::LookAgain(undone.wait));
                    effects.push(Next::Stand(State::Pending, UNDONE.to_owned()));
                    return effects;
                }
            }
            let ours = view.seen.filter(|_| ours).map(|seen| seen.uid.clone());
            // What is somebody else's is likely to be there still.
            let known = Known { absent: ours.is_none() && record.state != State::Conflict, ours };
            Task::Apply { known, digest, adopt }
        }
        (Action::Delete, Wanted::Absent(Removal::LetGo(reason))) => Task::LetGo(reason),
        (Action::Delete, Wanted::Absent(Removal::Unwanted)) if !view.released => {
            return vec![Next::AskBrake, Next::Stand(State::Deleting, COLLECTED.to_owned())];
        }
        (Action::Delete, _) => Task::Delete,
        // As it should be; what is being deleted goes on by itself.
        (Action::Nothing | Action::Apply { .. }, _) => {
            let settled = current && record.state != State::Conflict;
            return if settled { vec![Next::Stand(State::Applied, String::new())] } else { Vec::new() };
        }
    };
    effects.push(Next::Do(task));
    if record.state != State::Failed && !current {
        effects.push(Next::Stand(pending, String::new()));
    }
    effects
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
