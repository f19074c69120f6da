//! Bounded waits: each shows progress and ends by saying what is missing and what to do.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::error::Failure;
use crate::printer::Printer;

/// What one look at the awaited thing showed.
pub enum Look<T> {
    /// It is there.
    Done(T),
    /// Not yet: what is missing, and what would help if it stays so.
    Missing {
        /// What was seen, as half a sentence.
        seen: String,
        /// What to do about it.
        hint: String,
    },
}

impl<T> Look<T> {
    /// Not there yet.
    pub fn missing(seen: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Missing { seen: seen.into(), hint: hint.into() }
    }
}

/// How long to wait and how often to look.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The whole wait.
    pub limit: Duration,
    /// Between two looks.
    pub pause: Duration,
}

/// Looks until the thing is there or `patience` ends. An error of `look` ends the wait at once.
///
/// # Errors
/// The error of `look`, or a failure with exit code 2 that says what `what` still lacks.
pub async fn until<T>(
    printer: &Printer,
    what: &str,
    patience: Patience,
    mut look: impl AsyncFnMut() -> Result<Look<T>, Failure>,
) -> Result<T, Failure> {
    let end = Instant::now() + patience.limit;
    let (mut seen, mut hint) = (String::from("nothing was seen of it"), String::new());
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match timeout(left.max(Duration::from_millis(1)), look()).await {
            Ok(Ok(Look::Done(value))) => return Ok(value),
            Ok(Ok(Look::Missing { seen: s, hint: h })) => {
                tracing::debug!(what, seen = %s, "not there yet");
                (seen, hint) = (s, h);
            }
            Ok(Err(failure)) => return Err(failure),
            Err(_) => {}
        }
        if Instant::now() + patience.pause >= end {
            let failure = Failure::timed_out(format!("timed out after {} waiting for {what}: {seen}", spell(patience.limit)));
            return Err(if hint.is_empty() { failure } else { failure.hint(hint) });
        }
        printer.tick();
        sleep(patience.pause).await;
    }
}

/// A duration as Go writes it: `5m`, `1m30s`, `500ms`.
pub fn spell(d: Duration) -> String {
    let seconds = d.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(d.subsec_millis()), "ms")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::testing::printer;

    const QUICK: Patience = Patience { limit: Duration::from_millis(30), pause: Duration::from_millis(5) };

    #[test]
    fn durations_are_spelled_as_they_are_read() {
        for text in ["5m", "1m30s", "30s", "500ms", "1h", "0s"] {
            assert_eq!(spell(federation_api::duration::parse(text).unwrap()), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_what_is_missing_and_a_hint() {
        let (p, _, _) = printer();
        let failure = until::<()>(&p, "the ring", QUICK, async || Ok(Look::missing("it is in the fire", "wait longer"))).await.unwrap_err();
        assert_eq!(failure.message, "timed out after 30ms waiting for the ring: it is in the fire");
        assert_eq!(failure.hint.as_deref(), Some("wait longer"));
        assert_eq!(failure.code, crate::error::EXIT_TIMED_OUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_does_not_hang_the_wait() {
        let (p, _, _) = printer();
        let failure = until::<()>(&p, "the ring", QUICK, async || std::future::pending().await).await.unwrap_err();
        assert_eq!(failure.code, crate::error::EXIT_TIMED_OUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_the_thing_is_there() {
        let (p, _, _) = printer();
        let mut looks = 0;
        let seen = until(&p, "x", QUICK, async || {
            looks += 1;
            Ok(if looks > 2 { Look::Done(looks) } else { Look::missing("", "") })
        });
        assert_eq!(seen.await, Ok(3));
    }
}
