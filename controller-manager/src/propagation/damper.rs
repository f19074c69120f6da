//! What is written into a member and undone there again and again is written ever more slowly. Pure.
//!
//! One mechanism for every fight about a copy, whoever wins the single rounds: a controller that deletes it, one that
//! changes it, another federation of the same name, a store that brings back what was deleted.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// The wait before the second redo; each one after that waits twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(300);
/// After so long a time without anything undone a fight is over.
const QUIET: Duration = Duration::from_secs(600);
/// Fights remembered before those that are over are forgotten.
const MANY: usize = 1024;
/// What is undone so often within the quiet time is told.
pub(crate) const TOLD: u32 = 3;

/// The fights in one member. `K` names what they are about.
#[derive(Debug)]
pub(crate) struct Damper<K> {
    fights: HashMap<K, Fight>,
    /// So many make a look for those that are over worth it.
    many: usize,
}

#[derive(Clone, Copy, Debug)]
struct Fight {
    undone: u32,
    last: Instant,
}

/// How it stands in a fight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Undone {
    /// How often something was undone, without a quiet time in between.
    pub(crate) times: u32,
    /// Wait before it is done again.
    pub(crate) wait: Duration,
}

impl<K> Default for Damper<K> {
    fn default() -> Self {
        Self { fights: HashMap::new(), many: MANY }
    }
}

impl<K: Clone + Eq + Hash> Damper<K> {
    /// How it would stand if something were undone now.
    pub(crate) fn look(&self, key: &K, now: Instant) -> Undone {
        let before = self.fights.get(key).filter(|fight| !fight.is_over(now)).map_or(0, |fight| fight.undone);
        stands(before.saturating_add(1))
    }

    /// Takes note that something was undone.
    pub(crate) fn undone(&mut self, key: &K, now: Instant) -> Undone {
        if self.fights.len() >= self.many {
            self.forget(now);
        }
        let fight = self.fights.entry(key.clone()).or_insert(Fight { undone: 0, last: now });
        if fight.is_over(now) {
            fight.undone = 0;
        }
        fight.undone = fight.undone.saturating_add(1);
        fight.last = now;
        stands(fight.undone)
    }

    /// Forgets fights that are over.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.fights.retain(|_, fight| !fight.is_over(now));
        self.fights.shrink_to(MANY);
        self.many = MANY.max(2 * self.fights.len());
    }
}

fn stands(times: u32) -> Undone {
    let wait = match times {
        0 | 1 => Duration::ZERO,
        n => FIRST.saturating_mul(1 << (n - 2).min(16)).min(LONGEST),
    };
    Undone { times, wait }
}

impl Fight {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > QUIET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d12_waits_double_and_end_with_a_quiet_time() {
        let (mut damper, mut now) = (Damper::default(), Instant::now());
        let waits: Vec<u64> = (0..12)
            .map(|_| {
                let look = damper.look(&"hot", now);
                let undone = damper.undone(&"hot", now);
                assert_eq!(look, undone);
                now += undone.wait + Duration::from_millis(10);
                undone.wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(damper.undone(&"other", now), Undone { times: 1, wait: Duration::ZERO });
        now += QUIET + Duration::from_secs(1);
        assert_eq!(damper.undone(&"hot", now), Undone { times: 1, wait: Duration::ZERO });
    }

    #[test]
    fn d12_what_is_over_is_forgotten() {
        let (mut damper, now) = (Damper::default(), Instant::now());
        (0..MANY).for_each(|n| assert_eq!(damper.undone(&n, now).times, 1));
        damper.undone(&MANY, now + QUIET + Duration::from_secs(1));
        assert_eq!((damper.fights.len(), damper.many), (1, MANY));
        // Also when nothing more is undone.
        damper.forget(now + 3 * QUIET);
        assert!(damper.fights.is_empty());
    }
}
