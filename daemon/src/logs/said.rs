//! What is said again and again hides what is new.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Remembers what was said last, so that a state is told when it changes and not each time it is seen.
/// The empty text is that all is well, which needs no telling at first.
#[derive(Debug, Default)]
pub struct Said(Mutex<String>);

impl Said {
    /// Whether this is news.
    pub fn changes(&self, now: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == now {
            return false;
        }
        now.clone_into(&mut last);
        true
    }

    /// All is well; whether that is news.
    pub fn recovers(&self) -> bool {
        self.changes("")
    }
}

/// Lets something be said now and then however often it happens: what strangers can cause.
#[derive(Debug)]
pub struct Sparing {
    every: Duration,
    last: Mutex<(Option<Instant>, u64)>,
}

impl Sparing {
    /// Once in so long.
    pub const fn new(every: Duration) -> Self {
        Self { every, last: Mutex::new((None, 0)) }
    }

    /// Whether to say it now, with how often it was not said since the last time.
    pub fn now(&self) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if last.0.is_some_and(|at| now.saturating_duration_since(at) < self.every) {
            last.1 += 1;
            return None;
        }
        let left_out = last.1;
        *last = (Some(now), 0);
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_said_when_it_changes() {
        let said = Said::default();
        let told: Vec<bool> = ["", "away", "away", "full", "", "", "away"].iter().map(|now| said.changes(now)).collect();
        assert_eq!(told, [false, true, false, true, true, false, true]);
        assert!(said.recovers() && !said.recovers());
    }

    #[tokio::test(start_paused = true)]
    async fn what_strangers_cause_is_said_now_and_then() {
        let sparing = Sparing::new(Duration::from_secs(10));
        assert_eq!((sparing.now(), sparing.now(), sparing.now()), (Some(0), None, None));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((sparing.now(), sparing.now()), (Some(2), None));
    }
}
