//! Requests that wait for a right or for better times, and when each is looked at again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// The first pause; each next is twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// Requests that are looked at in one turn. Others are, in the next ones, in the order they are due.
pub(super) const TURN: usize = 50;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_name: BTreeMap<String, (Instant, Duration)>,
    due: BTreeSet<(Instant, String)>,
}

impl Waiting {
    /// A request waits on. It is looked at later each time.
    pub(super) fn put(&mut self, name: &str, now: Instant) {
        let pause = self.remove(name).map_or(FIRST, |pause| (pause * 2).min(LONGEST));
        self.by_name.insert(name.to_owned(), (now + pause, pause));
        self.due.insert((now + pause, name.to_owned()));
    }

    /// A request waits no more. Says how long its pause was.
    pub(super) fn remove(&mut self, name: &str) -> Option<Duration> {
        let (at, pause) = self.by_name.remove(name)?;
        self.due.remove(&(at, name.to_owned()));
        Some(pause)
    }

    /// Those that are due, at most [`TURN`] of them.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        self.due.iter().take_while(|(at, _)| *at <= now).take(TURN).map(|(_, name)| name.clone()).collect()
    }

    /// Nothing waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn issue10_what_waits_is_looked_at_ever_more_rarely_and_never_all_at_once() {
        let mut waiting = Waiting::default();
        let begun = Instant::now();
        for n in 0..1000 {
            waiting.put(&format!("csr-{n}"), begun);
        }
        assert!(waiting.due(begun).is_empty());
        let (mut looks, mut most) = (0, 0);
        for second in 0..3600 {
            let now = begun + Duration::from_secs(second);
            let due = waiting.due(now);
            (looks, most) = (looks + due.len(), most.max(due.len()));
            for name in due {
                waiting.put(&name, now);
            }
        }
        // Every two seconds it would be 1,800,000.
        assert!(most == TURN && (60_000..70_000).contains(&looks), "{most} {looks}");
        assert_eq!(waiting.remove("csr-7"), Some(LONGEST));
        assert_eq!(waiting.remove("csr-7"), None);
        assert!(!waiting.due(begun + Duration::from_secs(9999)).contains(&"csr-7".to_owned()));
        waiting.clear();
        assert!(waiting.due(begun + Duration::from_secs(9999)).is_empty());
    }
}
