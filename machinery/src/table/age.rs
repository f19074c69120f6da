//! Ages as kubectl writes them.

use jiff::Timestamp;
use serde_json::Value;

/// Length of time in at most two units and about three digits: `5s`, `2m30s`, `3h`, `5d12h`, `2y34d`.
/// A future (negative) one is `0s` up to two seconds, which clocks may differ by, then `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        _ => format!("{big}{big_unit}{small}{small_unit}"),
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Seconds from one RFC 3339 timestamp to another.
pub(super) fn between(from: Option<&Value>, to: Option<&Value>) -> Option<i64> {
    let second = |v: Option<&Value>| v.and_then(Value::as_str).and_then(|t| t.parse::<Timestamp>().ok()).map(Timestamp::as_second);
    Some(second(to)?.saturating_sub(second(from)?))
}
