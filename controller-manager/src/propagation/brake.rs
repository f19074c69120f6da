//! The brake on deletions in one member that no deleted federated object explains. Pure.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
};

use jiff::{SignedDuration, Timestamp};

use crate::config::Brake;

/// What goes within so long a time is remembered together.
const TOGETHER: SignedDuration = SignedDuration::from_hours(1);

/// The brake of one member. `K` names what is to be deleted.
#[derive(Debug)]
pub(crate) struct BrakeState<K> {
    waiting: HashSet<K>,
    released: HashSet<K>,
    /// How much was let through, by the begin of the hour it went in, within the window.
    recent: VecDeque<(Timestamp, usize)>,
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
        self.is_released(key) || {
            self.waiting.insert(key.clone());
            false
        }
    }

    /// Whether this deletion waits, or was let through.
    pub(crate) fn knows(&self, key: &K) -> bool {
        self.waiting.contains(key) || self.released.contains(key)
    }

    /// Whether this deletion was let through.
    pub(crate) fn is_released(&self, key: &K) -> bool {
        self.released.contains(key)
    }

    /// The deletion was carried out, or is no longer wanted.
    pub(crate) fn done(&mut self, key: &K) {
        self.waiting.remove(key);
        self.released.remove(key);
    }

    /// What was let through lately, to be remembered over a restart.
    pub(crate) fn memory(&self) -> String {
        self.recent.iter().map(|(at, weight)| format!("{}={weight}", crate::time::seconds(*at))).collect::<Vec<_>>().join(" ")
    }

    /// Takes what an earlier process remembered, unless this one knows better.
    pub(crate) fn remember(&mut self, memory: &str) {
        if self.recent.is_empty() {
            let read = |item: &str| item.split_once('=').and_then(|(at, weight)| Some((at.parse().ok()?, weight.parse().ok()?)));
            let mut recent: Vec<_> = memory.split_whitespace().filter_map(read).collect();
            recent.sort_unstable();
            self.recent = recent.into();
        }
    }

    /// Looks at what waits, in a member that holds `managed` objects of ours. `weigh` says how many objects go
    /// with those it is given.
    pub(crate) fn judge(
        &mut self,
        settings: &Brake,
        managed: usize,
        consent: bool,
        now: Timestamp,
        weigh: impl Fn(&HashSet<K>) -> usize,
    ) -> Verdict<K> {
        let window = SignedDuration::try_from(settings.window).unwrap_or(SignedDuration::MAX);
        while self.recent.front().is_some_and(|&(at, _)| now.duration_since(at) > window) {
            self.recent.pop_front();
        }
        let recent = self.recent.iter().fold(0_usize, |sum, (_, weight)| sum.saturating_add(*weight));
        let weight = weigh(&self.waiting);
        let count = weight.saturating_add(recent);
        #[expect(clippy::cast_precision_loss, reason = "counts of objects are far below 2^52")]
        let share = count as f64 > settings.share * managed.saturating_add(recent) as f64;
        if count > settings.allowed && share && !consent && !self.waiting.is_empty() {
            return Verdict::Stop { count: weight };
        }
        self.stopped = false;
        let released: Vec<K> = self.waiting.drain().collect();
        if !consent && !released.is_empty() {
            match self.recent.back_mut().filter(|(at, _)| now.duration_since(*at) < TOGETHER) {
                Some((_, together)) => *together = together.saturating_add(weight),
                None => self.recent.push_back((now, weight)),
            }
        }
        self.released.extend(released.iter().cloned());
        Verdict::Release(released)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn ask(brake: &mut BrakeState<usize>, keys: std::ops::Range<usize>) {
        keys.for_each(|k| assert!(!brake.may_delete(&k)));
    }

    #[test]
    fn few_deletions_pass_and_many_stop_until_allowed() {
        let (settings, now) = (Brake::default(), now());
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
        assert_eq!(brake.judge(&Brake::default(), 8, false, now(), HashSet::len), Verdict::Stop { count: 6 });
        ask(&mut brake, 6..400);
        assert!(matches!(brake.judge(&Brake::default(), 1000, false, now(), HashSet::len), Verdict::Release(_)));
    }

    #[test]
    fn what_goes_along_counts() {
        let (settings, now) = (Brake::default(), now());
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
        let (settings, now) = (Brake::default(), now());
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..60);
        assert_eq!(brake.judge(&settings, 60, false, now, HashSet::len), Verdict::Stop { count: 60 });
        (0..30).for_each(|k| brake.done(&k));
        assert!(matches!(brake.judge(&settings, 60, false, now, HashSet::len), Verdict::Release(keys) if keys.len() == 30));
        ask(&mut brake, 60..75);
        assert_eq!(brake.judge(&settings, 30, false, now, HashSet::len), Verdict::Stop { count: 15 });
        assert!(matches!(brake.judge(&settings, 30, false, now + SignedDuration::from_hours(25), HashSet::len), Verdict::Release(_)));
    }

    #[test]
    fn d41_windows_add_up_and_survive_a_restart() {
        let (settings, now) = (Brake::default(), now());
        let mut brake = BrakeState::default();
        ask(&mut brake, 0..50);
        assert!(matches!(brake.judge(&settings, 100, false, now, HashSet::len), Verdict::Release(keys) if keys.len() == 50));
        // A minute later half of the rest would go.
        let later = now + SignedDuration::from_mins(2);
        ask(&mut brake, 50..75);
        assert_eq!(brake.judge(&settings, 50, false, later, HashSet::len), Verdict::Stop { count: 25 });
        assert_eq!(brake.memory(), "1970-01-01T00:00:00Z=50");

        let mut next = BrakeState::default();
        next.remember(&brake.memory());
        next.remember("2026-01-01T00:00:00Z=1000");
        ask(&mut next, 50..75);
        assert_eq!(next.judge(&settings, 50, false, later, HashSet::len), Verdict::Stop { count: 25 });
        assert!(matches!(next.judge(&settings, 50, false, now + SignedDuration::from_hours(25), HashSet::len), Verdict::Release(_)));
    }
}
