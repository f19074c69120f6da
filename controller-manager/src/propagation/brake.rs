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
    /// When deletions were let through, within the window, and how much went with them.
    recent: VecDeque<(Instant, usize)>,
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
    /// Too many; with those that wait for consent `count` objects would go.
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

    /// Looks at what waits, in a member that holds `managed` objects of ours. `weigh` says how many objects go
    /// with those it is given.
    pub(crate) fn judge(
        &mut self,
        settings: &Brake,
        managed: usize,
        consent: bool,
        now: Instant,
        weigh: impl Fn(&HashSet<K>) -> usize,
    ) -> Verdict<K> {
        while self.recent.front().is_some_and(|&(t, _)| now.duration_since(t) > settings.window) {
            self.recent.pop_front();
        }
        let recent: usize = self.recent.iter().map(|(_, weight)| weight).sum();
        let weight = weigh(&self.waiting);
        let count = weight + recent;
        #[expect(clippy::cast_precision_loss, reason = "counts of objects are far below 2^52")]
        let share = count as f64 > settings.share * (managed + recent) as f64;
        if count > settings.allowed && share && !consent && !self.waiting.is_empty() {
            return Verdict::Stop { count: weight };
        }
        self.stopped = false;
        let released: Vec<K> = self.waiting.drain().collect();
        if !consent && !released.is_empty() {
            self.recent.push_back((now, weight));
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
        ask(&mut brake, 0..3);
        assert!(matches!(brake.judge(&settings, 4, false, now, HashSet::len), Verdict::Release(keys) if keys.len() == 3));
        assert!(brake.may_delete(&2));
        ask(&mut brake, 3..4);
        assert_eq!(brake.judge(&settings, 1, false, now, HashSet::len), Verdict::Stop { count: 1 });
        assert!(!brake.may_delete(&3));
        assert!(matches!(brake.judge(&settings, 1, true, now, HashSet::len), Verdict::Release(keys) if keys.len() == 1));
    }

    #[test]
    fn a_small_member_is_protected_and_a_small_share_of_a_large_one_passes() {
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..6);
        assert_eq!(brake.judge(&Brake::default(), 8, false, Instant::now(), HashSet::len), Verdict::Stop { count: 6 });
        ask(&mut brake, 6..400);
        assert!(matches!(brake.judge(&Brake::default(), 1000, false, Instant::now(), HashSet::len), Verdict::Release(_)));
    }

    #[test]
    fn what_goes_along_counts() {
        let (settings, now) = (Brake::default(), Instant::now());
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..1);
        assert_eq!(brake.judge(&settings, 10, false, now, |_| 9), Verdict::Stop { count: 9 });
        assert!(matches!(brake.judge(&settings, 20, false, now, |_| 9), Verdict::Release(_)));
        // It also counts for what follows within the window.
        ask(&mut brake, 1..3);
        assert_eq!(brake.judge(&settings, 11, false, now, HashSet::len), Verdict::Stop { count: 2 });
    }

    #[test]
    fn the_window_passes_and_what_is_no_longer_wanted_is_forgotten() {
        let (settings, now) = (Brake::default(), Instant::now());
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..60);
        assert_eq!(brake.judge(&settings, 60, false, now, HashSet::len), Verdict::Stop { count: 60 });
        (0..30).for_each(|k| brake.done(&k));
        assert!(matches!(brake.judge(&settings, 60, false, now, HashSet::len), Verdict::Release(keys) if keys.len() == 30));
        ask(&mut brake, 60..75);
        assert_eq!(brake.judge(&settings, 30, false, now, HashSet::len), Verdict::Stop { count: 15 });
        assert!(matches!(brake.judge(&settings, 30, false, now + Duration::from_secs(61), HashSet::len), Verdict::Release(_)));
    }
}
