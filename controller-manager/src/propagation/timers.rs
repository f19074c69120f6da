//! What is looked at later.

use std::{cmp::Reverse, collections::BinaryHeap};

use tokio::time::Instant;

use super::{entry::Key, per_cluster::ClusterName};
use crate::kinds::KindId;

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
    Brake(ClusterName),
    /// The division of replicas that waited for members.
    Grace,
    /// A kind that cannot be watched in a member.
    Blind(ClusterName, KindId),
    /// A kind that may not be written in a member.
    Barred(ClusterName, KindId),
    /// A kind that cannot be watched in the federation.
    GiveUp(KindId),
    /// Deletions that were remembered long enough.
    Ledger,
}

/// All that is planned, the next first.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Timer)>>);

impl Timers {
    pub(super) fn at(&mut self, at: Instant, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The next that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, timer))| timer)
    }

    #[cfg(test)]
    pub(super) fn count(&self, of: impl Fn(&Timer) -> bool) -> usize {
        self.0.iter().filter(|Reverse((_, timer))| of(timer)).count()
    }
}
