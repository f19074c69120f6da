//! Pauses between tries: they grow, have an upper bound, and are spread by chance, so that many who
//! failed together do not come back together.

use std::time::Duration;

use tokio::time::Instant;

/// How pauses grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The pause after the first failure.
    pub start: Duration,
    /// What each further pause is multiplied by, at least 1.
    pub factor: f64,
    /// The longest pause.
    pub cap: Duration,
    /// The share of a pause that chance may take away: from 0 (none) to 1 (all of it).
    pub jitter: f64,
    /// After so long without a failure the next one is a first one again.
    pub quiet: Duration,
}

impl Policy {
    /// Doubles from `start` to `cap`, a third of each pause by chance; begins anew after twice the cap.
    pub const fn doubling(start: Duration, cap: Duration) -> Self {
        Self { start, factor: 2.0, cap, jitter: 1.0 / 3.0, quiet: cap.saturating_mul(2) }
    }

    /// The same pause each time, a third of it by chance.
    pub const fn steady(pause: Duration) -> Self {
        Self { factor: 1.0, ..Self::doubling(pause, pause) }
    }

    /// The pause after the failure that `earlier` failures came before. `chance` is from 0 to 1: 0 is
    /// the longest pause. Pure, for who counts by himself.
    pub fn pause(&self, earlier: u32, chance: f64) -> Duration {
        let grown = self.start.as_secs_f64() * self.factor.max(1.0).powi(i32::try_from(earlier).unwrap_or(i32::MAX));
        let whole = grown.min(self.cap.as_secs_f64());
        Duration::from_secs_f64(whole * (1.0 - self.jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0)))
    }

    /// As [`Policy::pause`], by real chance.
    pub fn spread(&self, earlier: u32) -> Duration {
        self.pause(earlier, fastrand::f64())
    }
}

/// Counts the failures of one thing that is tried again and again.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: Policy,
    earlier: u32,
    /// When the last pause ends.
    until: Option<Instant>,
    chance: fn() -> f64,
}

impl Backoff {
    /// Nothing has failed yet.
    pub fn new(policy: Policy) -> Self {
        Self::by_chance(policy, fastrand::f64)
    }

    /// With another source of chance, from 0 to 1.
    pub fn by_chance(policy: Policy, chance: fn() -> f64) -> Self {
        Self { policy, earlier: 0, until: None, chance }
    }

    /// It failed: how long to pause now.
    pub fn failed(&mut self) -> Duration {
        let now = Instant::now();
        if self.until.is_some_and(|until| now.saturating_duration_since(until) >= self.policy.quiet) {
            self.earlier = 0;
        }
        let pause = self.policy.pause(self.earlier, (self.chance)());
        self.earlier = self.earlier.saturating_add(1);
        self.until = Some(now + pause);
        pause
    }

    /// It failed: comes back when it may be tried again.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.failed()).await;
    }

    /// It went well: the next failure is a first one.
    pub fn succeeded(&mut self) {
        self.earlier = 0;
    }

    /// How many failures there were since the last success or quiet time.
    pub fn failures(&self) -> u32 {
        self.earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy::doubling(Duration::from_millis(100), Duration::from_secs(1));

    #[test]
    fn pauses_double_up_to_the_cap() {
        let all: Vec<u128> = (0..6).map(|n| POLICY.pause(n, 0.0).as_millis()).collect();
        assert_eq!(all, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(POLICY.pause(u32::MAX, 0.0), POLICY.cap);
        assert_eq!(Policy::steady(Duration::from_secs(2)).pause(9, 0.0), Duration::from_secs(2));
    }

    #[test]
    fn chance_only_shortens_and_never_below_its_share() {
        assert_eq!(POLICY.pause(1, 0.5).as_micros(), 166_666);
        assert_eq!(Policy { jitter: 1.0, ..POLICY }.pause(3, 1.0), Duration::ZERO);
        for n in 0..200 {
            let pause = POLICY.spread(n);
            assert!(pause <= POLICY.cap && pause >= POLICY.start.mul_f64(0.66), "{pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_time_or_a_success_begins_anew() {
        let mut backoff = Backoff::by_chance(POLICY, || 0.0);
        backoff.pause().await;
        assert_eq!(backoff.failed().as_millis(), 200);
        tokio::time::advance(Duration::from_millis(200) + POLICY.quiet).await;
        assert_eq!(backoff.failed().as_millis(), 100);
        assert_eq!((backoff.failed().as_millis(), backoff.failures()), (200, 2));
        backoff.succeeded();
        assert_eq!(backoff.failed().as_millis(), 100);
    }
}
