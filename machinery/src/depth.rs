//! How deep objects may be nested: one budget for whatever is decoded, patched and stored.

use serde_json::Value;

/// Levels of lists and objects inside each other, the outermost one counted.
///
/// kube-apiserver takes 10,000, because Go reads as many. Here every client has to read what is stored, and many stop
/// at 127 levels (serde_json, and so kube), of which a list takes two and a row of a table three.
pub const MAX: usize = 100;

/// A value is nested deeper than [`MAX`]. The words are those of Go's decoder.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("exceeded max depth of {MAX} levels")]
pub struct TooDeep;

/// Whether a value keeps to the budget. Looks no deeper than that.
///
/// # Errors
/// It does not.
pub fn check(value: &Value) -> Result<(), TooDeep> {
    check_below(value, 0).map(drop)
}

/// The same for a value that stands below so many levels; answers how many values were looked at.
pub(crate) fn check_below(value: &Value, above: usize) -> Result<usize, TooDeep> {
    fn all<'a>(mut values: impl Iterator<Item = &'a Value>, above: usize) -> Result<usize, TooDeep> {
        values.try_fold(1, |seen, value| Ok(seen + check_below(value, above)?))
    }
    match value {
        Value::Array(list) => all(list.iter(), enter(above)?),
        Value::Object(map) => all(map.values(), enter(above)?),
        _ => Ok(1),
    }
}

/// One level more than `above`, if there may be one.
pub(crate) fn enter(above: usize) -> Result<usize, TooDeep> {
    if above < MAX { Ok(above + 1) } else { Err(TooDeep) }
}

/// Whether JSON text keeps to the budget, without decoding it. Of text that is no JSON nothing is promised.
///
/// # Errors
/// It does not.
pub fn check_text(json: &[u8]) -> Result<(), TooDeep> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth = enter(depth)?,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// JSON of so many levels, for tests.
#[cfg(test)]
pub(crate) fn nested_text(levels: usize) -> String {
    format!("{}{{}}{}", "{\"f:a\":".repeat(levels - 1), "}".repeat(levels - 1))
}

/// The same as a value; serde_json reads 127 levels.
#[cfg(test)]
pub(crate) fn nested(levels: usize) -> Value {
    serde_json::from_str(&nested_text(levels)).expect("not too deep")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_level_counts_and_text_is_counted_alike() {
        for (value, fits) in [(nested(MAX), true), (nested(MAX + 1), false), (Value::from("[".repeat(MAX + 1)), true)] {
            assert_eq!(check(&value).is_ok(), fits);
            assert_eq!(check_text(value.to_string().as_bytes()).is_ok(), fits);
        }
        assert_eq!(check_below(&nested(10), MAX - 10), Ok(10));
        assert_eq!(check_below(&nested(10), MAX - 9), Err(TooDeep));
        assert_eq!(check_below(&Value::from(1), MAX), Ok(1), "scalars are no level");
        let tricky = format!("{{\"a\\\"{{\":\"\\\\\",\"b\":{}}}", "[".repeat(MAX - 1) + &"]".repeat(MAX - 1));
        assert_eq!(check_text(tricky.as_bytes()), Ok(()));
        assert_eq!(check(&serde_json::from_str(&tricky).unwrap()), Ok(()));
        assert!(check_text(&[b'['; 1_000_000]).is_err());
    }
}
