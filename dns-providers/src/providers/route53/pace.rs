//! How often the provider asks: so that others in the account are left their share.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// So many seconds' worth of requests may be made at once after a pause.
const BURST: Duration = Duration::from_secs(4);

/// Turns to ask, for all that ask.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    /// Held while one waits, so that all go in turn.
    bucket: Mutex<Bucket>,
}

/// A bucket that fills with the time. Pure.
#[derive(Debug)]
struct Bucket {
    /// When it would be full, were nothing taken from now on.
    full: Instant,
}

impl Bucket {
    /// Takes a request of this long out, and says from when on it may be made.
    fn take(&mut self, now: Instant, each: Duration) -> Instant {
        self.full = self.full.max(now) + each;
        self.full.checked_sub(BURST).unwrap_or(now)
    }

    /// Takes all out, and as much as comes within a time.
    fn empty(&mut self, now: Instant, time: Duration) {
        self.full = self.full.max(now + BURST + time);
    }
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Pace { each: Duration::from_secs(1) / per_second, bucket: Mutex::new(Bucket { full: Instant::now() }) }
    }

    /// Waits until one more request may be made.
    pub(super) async fn turn(&self) {
        let mut bucket = self.bucket.lock().await;
        let ready = bucket.take(Instant::now(), self.each);
        tokio::time::sleep_until(ready).await;
    }

    /// Nobody asks for a time: the other side says that it was too much.
    pub(super) async fn pause(&self, time: Duration) {
        self.bucket.lock().await.empty(Instant::now(), time);
    }

    /// The time of a request, long run.
    pub(super) fn each(&self) -> Duration {
        self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let (start, each, second) = (Instant::now(), Duration::from_millis(200), Duration::from_secs(1));
        let mut bucket = Bucket { full: start };
        let waits: Vec<Duration> = (0..25).map(|_| bucket.take(start, each).saturating_duration_since(start)).collect();
        assert_eq!(waits[19], Duration::ZERO);
        assert_eq!(waits[24], second);
        assert_eq!(bucket.take(start + 2 * second, each), start + second + each, "what was not asked meanwhile is free");
        bucket.empty(start + 2 * second, 10 * second);
        assert_eq!(bucket.take(start + 2 * second, each), start + 12 * second + each);
    }
}
