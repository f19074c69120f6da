//! How many requests one member gets at a time: more while it answers as fast as it can, fewer when it
//! slows down or says 429. Pure arithmetic; the lane asks and reports.

use std::time::Duration;

const START: f64 = 16.0;
const MOST: f64 = 256.0;
/// Slower than this many times its best, a member is saturated.
const SLOW: f64 = 8.0;
/// Below this a request is never called slow: scheduling noise.
const NOISE: Duration = Duration::from_millis(20);

/// Additive increase, multiplicative decrease, over latency and refusals.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: f64,
    best: f64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { limit: START, best: f64::INFINITY }
    }
}

impl Limiter {
    /// Requests that may run at a time; at least one.
    pub(crate) fn limit(&self) -> usize {
        // Between 1 and MOST.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked where it is set")]
        let limit = self.limit as usize;
        limit
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        // The best is slowly forgotten, so that a member that became slower for good is not punished for ever.
        self.best = (self.best * 1.001).min(seconds);
        if took > NOISE && seconds > self.best * SLOW {
            self.set(self.limit * 0.98);
        } else {
            self.set(self.limit + 1.0 / self.limit);
        }
    }

    /// A request was refused for overload or not answered in time.
    pub(crate) fn refused(&mut self) {
        self.set(self.limit * 0.7);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(1.0, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_fast_and_shrinks_when_slow_or_refused() {
        let mut limiter = Limiter::default();
        (0..2000).for_each(|_| limiter.answered(Duration::from_millis(2)));
        let fast = limiter.limit();
        assert!(fast > 40, "{fast}");
        (0..200).for_each(|_| limiter.answered(Duration::from_millis(500)));
        let slow = limiter.limit();
        assert!(slow < fast / 4, "{slow}");
        (0..100).for_each(|_| limiter.refused());
        assert_eq!(limiter.limit(), 1);
        (0..100_000).for_each(|_| limiter.answered(Duration::from_millis(1)));
        assert_eq!(limiter.limit(), 256);
    }
}
