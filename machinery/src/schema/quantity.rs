//! `resource.Quantity`: numbers with a suffix, and the one spelling Kubernetes stores them in.

use std::cmp::Ordering;

/// The pattern messages show.
pub(super) const PATTERN: &str = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";

/// Suffixes of powers of 1024.
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
/// Suffixes of powers of ten.
const DECIMAL: &[(&str, i32)] = &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

enum Form {
    Binary,
    Decimal,
    Exponent,
}

/// The canonical spelling; `None` when the text is no quantity.
///
/// The mantissa becomes a whole number, the suffix the largest that allows it; fractions below one
/// nano are rounded up. Numbers beyond 30 digits keep the spelling they came with.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (form, binary, exponent) = read_suffix(suffix)?;
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() {
        return Some("0".into());
    }
    if trimmed.len() > 30 || exponent.unsigned_abs() > 60 {
        return Some(text.to_owned());
    }
    // The value in units of 10^scale.
    let mut value: u128 = trimmed.parse().ok()?;
    let mut scale = exponent - i32::try_from(fraction.len()).ok()?;
    let Some(scaled) = value.checked_mul(1u128 << binary) else { return Some(text.to_owned()) };
    value = scaled;
    while scale < -9 {
        value = value.div_ceil(10);
        scale += 1;
    }
    while value.is_multiple_of(10) && value > 0 {
        value /= 10;
        scale += 1;
    }
    let sign = if negative { "-" } else { "" };
    let out = match form {
        Form::Binary => match in_binary(value, scale) {
            Some(out) => out,
            None => in_decimal(value, scale, false)?,
        },
        Form::Decimal => in_decimal(value, scale, false)?,
        Form::Exponent => in_decimal(value, scale, true)?,
    };
    Some(format!("{sign}{out}"))
}

/// Which of two quantities is the larger; `None` when one is none, or too large or too fine to tell.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    Some(nano(a)?.cmp(&nano(b)?))
}

/// A quantity in billionths, the finest there are.
fn nano(text: &str) -> Option<i128> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text.strip_prefix('+').unwrap_or(text)), |rest| (true, rest));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (_, binary, exponent) = read_suffix(suffix)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(1i128.checked_shl(binary)?)?;
    let power = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let shift = 10i128.checked_pow(power.unsigned_abs())?;
    let value = if power < 0 { scaled / shift } else { scaled.checked_mul(shift)? };
    Some(if negative { -value } else { value })
}

fn read_suffix(suffix: &str) -> Option<(Form, u32, i32)> {
    if let Some((_, power)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Some((Form::Binary, *power, 0));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((Form::Decimal, 0, *power));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Form::Exponent, 0, exponent))
}

/// Powers of 1024, when the value is a whole number of at least 1024; smaller numbers are decimal.
fn in_binary(value: u128, scale: i32) -> Option<String> {
    let mut whole = value.checked_mul(10u128.checked_pow(u32::try_from(scale).ok()?)?)?;
    if whole < 1024 {
        return None;
    }
    let mut suffix = "";
    for (name, _) in BINARY {
        if !whole.is_multiple_of(1024) {
            break;
        }
        whole /= 1024;
        suffix = name;
    }
    Some(format!("{whole}{suffix}"))
}

fn in_decimal(value: u128, scale: i32, exponent: bool) -> Option<String> {
    // The largest multiple of three that keeps the mantissa whole.
    let power = scale.div_euclid(3) * 3;
    let power = if exponent { power } else { power.clamp(-9, 18) };
    let mantissa = value.checked_mul(10u128.checked_pow(u32::try_from(scale - power).ok()?)?)?;
    if exponent {
        return Some(if power == 0 { mantissa.to_string() } else { format!("{mantissa}e{power}") });
    }
    let (suffix, _) = DECIMAL.iter().find(|(_, p)| *p == power)?;
    Some(format!("{mantissa}{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_compared_by_value() {
        for (less, more) in [("1Gi", "2Gi"), ("1G", "1Gi"), ("500m", "1"), ("-1", "0"), ("0.1", "1e3"), ("1023Mi", "1Gi")] {
            assert_eq!((compare(less, more), compare(more, less)), (Some(Ordering::Less), Some(Ordering::Greater)), "{less} {more}");
        }
        assert_eq!((compare("1024Mi", "1Gi"), compare("1", "one"), compare("", "1")), (Some(Ordering::Equal), None, None));
    }

    #[test]
    fn one_value_has_one_spelling() {
        for (given, stored) in [
            ("1", "1"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("1024Mi", "1Gi"),
            ("1Gi", "1Gi"),
            ("1500Mi", "1500Mi"),
            ("0.5Gi", "512Mi"),
            ("100Mi", "100Mi"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("10k", "10k"),
            ("1000k", "1M"),
            ("0", "0"),
            ("0Mi", "0"),
            ("-1", "-1"),
            ("+1", "1"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("1E", "1E"),
            ("100n", "100n"),
            ("0.1n", "1n"),
            ("1.5Ki", "1536"),
            ("512Ki", "512Ki"),
            ("0.001", "1m"),
            ("128974848", "128974848"),
            ("129M", "129M"),
            ("1Ki", "1Ki"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(stored), "{given}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in ["", "a", "1x", "1.2.3", "1 Gi", ".", "-", "1e", "1gi", "--1", "Mi"] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_stable(text in "[-+]?[0-9]{0,12}(\\.[0-9]{0,12})?([numkMGTPE]|[KMGTPE]i|e-?[0-9]{1,2})?") {
            if let Some(once) = canonical(&text) {
                let twice = canonical(&once);
                prop_assert_eq!(twice, Some(once));
            }
        }
    }
}
