//! How many requests one member gets at a time: more while it answers as fast as it can, fewer when it
//! slows down or says 429. Pure arithmetic; the lane asks and reports.

use std::time::Duration;

use tokio::time::Instant;

const START: f64 = 16.0;
const MOST: f64 = 256.0;
/// Slower than this many times its best, a member is saturated.
const SLOW: f64 = 8.0;
/// Below this a request is never called slow: scheduling noise.
const NOISE: Duration = Duration::from_millis(20);
/// The best time is the best of the last one to two times so many answers: a lucky one does not count for ever.
const WINDOW: u32 = 128;

/// Requests whose times can be compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Like {
    /// One object is read.
    Read,
    /// One object is written.
    Write,
    /// Many are read.
    List,
}

/// What came of a request, as far as the member's load is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Came {
    /// An answer.
    Answered,
    /// A refusal for overload.
    Overloaded,
    /// No answer in time.
    TimedOut,
    /// Nothing: the member was not reached, which says nothing about its load.
    Unreachable,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) like: Like,
    pub(crate) came: Came,
    pub(crate) started: Instant,
    pub(crate) took: Duration,
}

/// The best time of one sort of request.
#[derive(Clone, Copy, Debug)]
struct Best {
    now: f64,
    before: f64,
    seen: u32,
}

impl Best {
    fn take(&mut self, seconds: f64) -> f64 {
        if self.seen == WINDOW {
            *self = Self { now: f64::INFINITY, before: self.now, seen: 0 };
        }
        self.seen += 1;
        self.now = self.now.min(seconds);
        self.now.min(self.before)
    }
}

/// Additive increase, multiplicative decrease, over latency and refusals.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: f64,
    best: [Best; 3],
    /// When an answer last came.
    answered: Option<Instant>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { limit: START, best: [Best { now: f64::INFINITY, before: f64::INFINITY, seen: 0 }; 3], answered: None }
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

    /// Takes note of a request.
    pub(crate) fn take(&mut self, report: Report) {
        match report.came {
            Came::Answered => self.took(report),
            Came::Overloaded => self.refused(),
            // Others were answered meanwhile: it is there and has too much to do.
            Came::TimedOut if self.answered.is_some_and(|at| at > report.started) => self.refused(),
            Came::TimedOut | Came::Unreachable => {}
        }
    }

    fn took(&mut self, Report { like, started, took, .. }: Report) {
        self.answered = self.answered.max(Some(started + took));
        let seconds = took.as_secs_f64();
        let best = self.best[like as usize].take(seconds);
        if took > NOISE && seconds > best * SLOW {
            self.set(self.limit * 0.98);
        } else {
            self.set(self.limit + 1.0 / self.limit);
        }
    }

    fn refused(&mut self) {
        self.set(self.limit * 0.7);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(1.0, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(like: Like, came: Came, millis: u64) -> Report {
        Report { like, came, started: Instant::now(), took: Duration::from_millis(millis) }
    }

    fn after(limiter: &mut Limiter, times: usize, report: Report) -> usize {
        (0..times).for_each(|_| limiter.take(report));
        limiter.limit()
    }

    #[test]
    fn it_grows_while_fast_and_shrinks_when_slow_or_refused() {
        let mut limiter = Limiter::default();
        let fast = after(&mut limiter, 2000, report(Like::Write, Came::Answered, 2));
        assert!(fast > 40, "{fast}");
        let slow = after(&mut limiter, 120, report(Like::Write, Came::Answered, 500));
        assert!(slow < fast / 4, "{slow}");
        assert_eq!(after(&mut limiter, 100, report(Like::Write, Came::Overloaded, 1)), 1);
        assert_eq!(after(&mut limiter, 100_000, report(Like::Write, Came::Answered, 1)), 256);
    }

    #[test]
    fn issue7_limiter_a_refused_connection_is_not_a_fast_answer() {
        let mut limiter = Limiter::default();
        let before = after(&mut limiter, 100, report(Like::Write, Came::Answered, 80));
        assert_eq!(after(&mut limiter, 1000, report(Like::Write, Came::Unreachable, 0)), before);
        let later = after(&mut limiter, 1000, report(Like::Write, Came::Answered, 80));
        assert!(later > before, "a member 80 ms away is not slow because its port was closed for a while: {later}");
    }

    #[test]
    fn issue7_limiter_an_apply_is_not_a_list() {
        let mut limiter = Limiter::default();
        after(&mut limiter, 200, report(Like::Read, Came::Answered, 1));
        let before = limiter.limit();
        assert!(after(&mut limiter, 200, report(Like::List, Came::Answered, 300)) > before, "lists are slow by nature");
    }

    #[test]
    fn issue7_limiter_a_member_that_is_away_is_not_overloaded_and_one_that_answers_others_is() {
        let started = Instant::now();
        let silent = Report { like: Like::Write, came: Came::TimedOut, started, took: Duration::from_secs(10) };
        let mut limiter = Limiter::default();
        assert_eq!(after(&mut limiter, 100, silent), 16);
        limiter.take(Report { came: Came::Answered, took: Duration::from_secs(1), ..silent });
        assert!(after(&mut limiter, 1, silent) < 16);
    }

    #[test]
    fn a_member_that_became_slower_for_good_is_not_punished_for_ever() {
        let mut limiter = Limiter::default();
        after(&mut limiter, 1000, report(Like::Write, Came::Answered, 1));
        let punished = after(&mut limiter, 2 * WINDOW as usize, report(Like::Write, Came::Answered, 100));
        assert!(after(&mut limiter, 1000, report(Like::Write, Came::Answered, 100)) > punished);
    }
}
