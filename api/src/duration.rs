//! Durations as Go writes them: `30s`, `1h30m`, `1.5h`. Every flag of every program is read by this one parser.

use std::time::Duration;

use thiserror::Error;

/// Go's durations are signed 64-bit nanoseconds; beyond them, about 292 years, there is none.
const MAX: u64 = 1 << 63;

/// Why a text is no duration. Each says what one looks like.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidDuration {
    /// It does not consist of numbers with units.
    #[error("\"{text}\" is not a duration such as 30s, 5m or 1h30m")]
    Malformed {
        /// The text.
        text: String,
    },
    /// A number has no unit behind it.
    #[error("\"{text}\" is not a duration such as 30s, 5m or 1h30m: a unit is missing")]
    MissingUnit {
        /// The text.
        text: String,
    },
    /// What stands behind a number is no unit.
    #[error("\"{text}\" is not a duration such as 30s, 5m or 1h30m: units are h, m, s, ms, us and ns, not {unit}")]
    UnknownUnit {
        /// The text.
        text: String,
        /// What stands in the unit's place.
        unit: String,
    },
    /// It is less than nothing.
    #[error("\"{text}\" is less than nothing; write a duration such as 30s, 5m or 1h30m")]
    Negative {
        /// The text.
        text: String,
    },
    /// It is longer than Go can tell.
    #[error("\"{text}\" is longer than 292 years; write a duration such as 30s, 5m or 1h30m")]
    TooLong {
        /// The text.
        text: String,
    },
}

/// Reads a duration by the grammar of Go's `time.ParseDuration`: numbers, also with a fraction, each with its unit
/// (`h`, `m`, `s`, `ms`, `us` or `µs`, `ns`) behind it, and a sign before all of them; a bare `0` needs no unit. What is
/// finer than a nanosecond is cut off.
///
/// ```
/// use std::time::Duration;
/// use federation_api::duration;
///
/// assert_eq!(duration::parse("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(duration::parse("1.5h"), Ok(Duration::from_secs(5400)));
/// assert!(duration::parse("90").is_err());
/// ```
///
/// # Errors
/// The text breaks the grammar, or the duration is negative: nothing here waits for less than no time.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let owned = || text.to_owned();
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(InvalidDuration::Malformed { text: owned() });
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(InvalidDuration::Malformed { text: owned() });
        }
        let (name, after) = after.split_at(after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len()));
        let unit = match name {
            "" => return Err(InvalidDuration::MissingUnit { text: owned() }),
            "ns" => 1,
            // The micro sign and the Greek letter.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(InvalidDuration::UnknownUnit { text: owned(), unit: name.to_owned() }),
        };
        let part = nanoseconds(whole, fraction, unit).and_then(|part| total.checked_add(part)).filter(|total| *total <= MAX);
        total = part.ok_or_else(|| InvalidDuration::TooLong { text: owned() })?;
        rest = after;
    }
    match total {
        0 => Ok(Duration::ZERO),
        _ if negative => Err(InvalidDuration::Negative { text: owned() }),
        MAX => Err(InvalidDuration::TooLong { text: owned() }),
        _ => Ok(Duration::from_nanos(total)),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A number of units; none where it is more than there may be.
fn nanoseconds(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits behind the eighteenth are worth less than a nanosecond, even of hours, and would not fit.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? * u128::from(unit) / scale };
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Go's own test that are not negative.
    #[test]
    fn issue8_what_go_reads_is_read() {
        const MS: u64 = 1_000_000;
        const S: u64 = 1000 * MS;
        for (text, want) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("0s", 0),
            ("-0s", 0),
            ("5s", 5 * S),
            ("30s", 30 * S),
            ("1478s", 1478 * S),
            ("+5s", 5 * S),
            ("5.0s", 5 * S),
            ("5.6s", 5 * S + 600 * MS),
            ("5.s", 5 * S),
            (".5s", 500 * MS),
            ("1.0s", S),
            ("1.00s", S),
            ("1.004s", S + 4 * MS),
            ("1.0040s", S + 4 * MS),
            ("100.00100s", 100 * S + MS),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("13ms", 13 * MS),
            ("14s", 14 * S),
            ("15m", 900 * S),
            ("16h", 57_600 * S),
            ("3h30m", 12_600 * S),
            ("10.5s4m", 250 * S + 500 * MS),
            ("1h2m3s4ms5us6ns", 3723 * S + 4 * MS + 5006),
            ("39h9m14.425s", 140_954 * S + 425 * MS),
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 1200 * S),
            ("9007199254740993ns", (1 << 53) + 1),
            ("9223372036854775807ns", MAX - 1),
            ("9223372036854775.807us", MAX - 1),
            ("9223372036s854ms775us807ns", MAX - 1),
            ("0.100000000000000000000h", 360 * S),
            ("0.9223372036854775807h", 3_320_413_933_267),
        ] {
            let read = parse(text).unwrap_or_else(|e| panic!("{e}")).as_nanos();
            // Go rounds a fraction of a float and we cut it off, a nanosecond at most.
            assert!(read.abs_diff(want.into()) <= 1, "{text}: {read}");
        }
    }

    #[test]
    fn issue8_what_go_refuses_is_refused() {
        for text in ["", "-", "+", "s", ".", "-.", ".s", "+.s", "soon", " 5s", "5s ", "+-5s", "--5s", "1h-1m", "1e3s", "inf", "NaNs", "五s"]
        {
            assert!(
                matches!(parse(text), Err(InvalidDuration::Malformed { .. } | InvalidDuration::UnknownUnit { .. })),
                "{text:?}: {:?}",
                parse(text)
            );
        }
        for text in ["3", "1s2", "1.5", "5.", "3000h1"] {
            assert!(matches!(parse(text), Err(InvalidDuration::MissingUnit { .. })), "{text}");
        }
        for (text, wrong) in [("1d", "d"), ("5x", "x"), ("5m s", "m s"), ("1H", "H")] {
            assert_eq!(parse(text), Err(InvalidDuration::UnknownUnit { text: text.to_owned(), unit: wrong.to_owned() }));
        }
        for text in ["-1s", "-1.5h", "-9223372036854775808ns"] {
            assert!(matches!(parse(text), Err(InvalidDuration::Negative { .. })), "{text}");
        }
        for text in
            ["9223372036854775810ns", "9223372036854775808ns", "9223372036854775.808us", "3000000h", "99999999999999999999s", "2562047h48m"]
        {
            assert!(matches!(parse(text), Err(InvalidDuration::TooLong { .. })), "{text}: {:?}", parse(text));
        }
    }
}
