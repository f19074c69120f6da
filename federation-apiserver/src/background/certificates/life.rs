//! From when to when a certificate holds: the rules of kube-controller-manager. Pure.

use std::time::Duration;

/// How much earlier certificates hold than they are made, in seconds: clocks of clients may be late.
const BACKDATE: i64 = 5 * 60;
/// Lives, in seconds, from which on the time before they were made is part of them.
const LONG: i64 = 8 * 3600;
/// The shortest life, in seconds; no request may ask for less.
const SHORTEST: i64 = 10 * 60;

/// The authority does not hold any more, so that nothing it signs would.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the authority's own certificate has expired")]
pub(super) struct Expired;

/// Both in seconds since the epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Life {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Life {
    /// Of a certificate that is made now for `asked` seconds, or as long as may be; never beyond the end of its authority.
    pub(super) fn of(asked: Option<i64>, longest: Duration, now: i64, end: i64) -> Result<Self, Expired> {
        if now >= end {
            return Err(Expired);
        }
        let longest = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        let asked = asked.map_or(longest, |asked| asked.max(SHORTEST).min(longest));
        let until = now.saturating_add(if asked < LONG { asked } else { asked - BACKDATE });
        Ok(Self { not_before: now - BACKDATE, not_after: until.min(end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_a_certificate_holds_as_long_as_asked_within_its_limits() {
        const NOW: i64 = 1_800_000_000;
        const YEAR: i64 = 365 * 24 * 3600;
        let until = |asked, end| Life::of(asked, Duration::from_secs(YEAR as u64), NOW, end).map(|life| life.not_after - NOW);
        let far = NOW + 10 * YEAR;
        assert_eq!(
            Life::of(Some(600), Duration::from_secs(YEAR as u64), NOW, far),
            Ok(Life { not_before: NOW - 300, not_after: NOW + 600 })
        );
        assert_eq!(until(Some(1), far), Ok(600));
        assert_eq!(until(Some(LONG - 1), far), Ok(LONG - 1));
        assert_eq!(until(Some(LONG), far), Ok(LONG - 300));
        assert_eq!(until(Some(10 * YEAR), far), Ok(YEAR - 300));
        assert_eq!(until(None, far), Ok(YEAR - 300));
        assert_eq!(until(None, NOW + 1000), Ok(1000));
        assert_eq!(until(Some(600), NOW), Err(Expired));
        assert_eq!(Life::of(Some(i64::MAX), Duration::MAX, NOW, i64::MAX).map(|life| life.not_after), Ok(i64::MAX));
    }
}
