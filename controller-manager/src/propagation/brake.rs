//! The brake on deletions in one member that no deleted federated object explains (design D9). Pure.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    time::Instant,
};

use crate::config::Brake;

/// The brake of one member. `K` names what is to be deleted.
#[derive(Debug)]
pub(crate) struct BrakeState<K> {
    waiting: HashSet<K>,
    released: HashSet<K>,
    /// When deletions were let through, within the window.
    recent: VecDeque<Instant>,
    /// Deletions were stopped and the operator was told.
    pub(crate) stopped: bool,
}

impl<K> Default for BrakeState<K> {
    fn default() -> Self {
        Self { waiting: HashSet::new(), released: HashSet::new(), recent: VecDeque::new(), stopped: false }
    }
}

/// What a look at the waiting deletions ends with.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict<K> {
    /// These may go on.
    Release(Vec<K>),
    /// Too many; `count` wait for consent.
    Stop { count: usize },
}

impl<K: Clone + Eq + Hash> BrakeState<K> {
    /// Whether this deletion may be carried out now. If not, it waits for [`BrakeState::judge`].
    pub(crate) fn may_delete(&mut self, key: &K) -> bool {
        self.released.contains(key) || {
            self.waiting.insert(key.clone());
            false
        }
    }

    /// The deletion was carried out, or is no longer wanted.
    pub(crate) fn done(&mut self, key: &K) {
        self.waiting.remove(key);
        self.released.remove(key);
    }

    /// Looks at what waits, in a member that holds `managed` objects of ours.
    pub(crate) fn judge(&mut self, settings: &Brake, managed: usize, consent: bool, now: Instant) -> Verdict<K> {
        while self.recent.front().is_some_and(|&t| now.duration_since(t) > settings.window) {
            self.recent.pop_front();
        }
        let count = self.waiting.len() + self.recent.len();
        #[expect(clippy::cast_precision_loss, reason = "counts of objects are far below 2^52")]
        let share = count as f64 > settings.share * (managed + self.recent.len()) as f64;
        if count > settings.allowed && share && !consent && !self.waiting.is_empty() {
            return Verdict::Stop { count: self.waiting.len() };
        }
        self.stopped = false;
        let released: Vec<K> = self.waiting.drain().collect();
        if !consent {
            self.recent.extend(released.iter().map(|_| now));
        }
        self.released.extend(released.iter().cloned());
        Verdict::Release(released)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ask(brake: &mut BrakeState<usize>, keys: std::ops::Range<usize>) {
        keys.for_each(|k| assert!(!brake.may_delete(&k)));
    }

    #[test]
    fn few_deletions_pass_and_many_stop_until_allowed() {
        let (settings, now) = (Brake::default(), Instant::now());
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..50);
        assert!(matches!(brake.judge(&settings, 60, false, now), Verdict::Release(keys) if keys.len() == 50));
        assert!(brake.may_delete(&7));
        ask(&mut brake, 50..60);
        assert_eq!(brake.judge(&settings, 10, false, now), Verdict::Stop { count: 10 });
        assert!(!brake.may_delete(&55));
        assert!(matches!(brake.judge(&settings, 10, true, now), Verdict::Release(keys) if keys.len() == 10));
    }

    #[test]
    fn a_small_share_of_a_large_member_passes() {
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..400);
        assert!(matches!(brake.judge(&Brake::default(), 1000, false, Instant::now()), Verdict::Release(_)));
    }

    #[test]
    fn the_window_passes_and_what_is_no_longer_wanted_is_forgotten() {
        let (settings, now) = (Brake::default(), Instant::now());
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..60);
        assert_eq!(brake.judge(&settings, 60, false, now), Verdict::Stop { count: 60 });
        (0..30).for_each(|k| brake.done(&k));
        assert!(matches!(brake.judge(&settings, 60, false, now), Verdict::Release(keys) if keys.len() == 30));
        ask(&mut brake, 60..85);
        assert_eq!(brake.judge(&settings, 30, false, now), Verdict::Stop { count: 25 });
        assert!(matches!(brake.judge(&settings, 30, false, now + Duration::from_secs(61)), Verdict::Release(_)));
    }
}
