//! What a scalar is: the rules of go-yaml v2, which kubectl reads kubeconfigs by.

use std::borrow::Cow;

use base64::Engine as _;

/// How a scalar was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// Without quotes: its words may mean a number, a truth value or nothing.
    Plain,
    /// Quoted, literal or folded: text.
    Text,
}

/// A typed scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `yes`, `on`, `y` and their kin.
    Bool(bool),
    /// A whole number of 64 bits, in decimal.
    Int(String),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
}

/// A tag that its scalar does not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum TagError {
    #[error("!!binary is not valid base64")]
    Binary,
    #[error("this is no !!{0}")]
    Other(String),
}

const NAMESPACE: &str = "tag:yaml.org,2002:";

/// Types a scalar; an error is a tag that does not fit it.
pub(super) fn resolve<'a>(tag: Option<&str>, text: &'a str, style: Style) -> Result<Scalar<'a>, TagError> {
    let as_text = || Scalar::Text(Cow::Borrowed(text));
    let core = match tag {
        None if style == Style::Text => return Ok(as_text()),
        None => return Ok(implicit(text)),
        Some(tag) => tag.strip_prefix(NAMESPACE),
    };
    let found = || implicit(text);
    let fits = match core {
        // The tag of an application says nothing about a kubeconfig.
        None | Some("str") => return Ok(as_text()),
        Some("binary") => {
            let bytes = base64(text).ok_or(TagError::Binary)?;
            // What JSON then makes of bytes that are no text.
            return Ok(Scalar::Text(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())));
        }
        Some("timestamp") => return Ok(as_text()),
        Some("null") => matches!(found(), Scalar::Null),
        Some("bool") => matches!(found(), Scalar::Bool(_)),
        Some("int") => matches!(found(), Scalar::Int(_)),
        Some("float") => matches!(found(), Scalar::Int(_) | Scalar::Float(_)),
        Some(_) => return Ok(as_text()),
    };
    if fits { Ok(found()) } else { Err(TagError::Other(core.unwrap_or_default().to_owned())) }
}

fn implicit(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text).unwrap_or(Scalar::Text(Cow::Borrowed(text))),
        b'0'..=b'9' | b'+' | b'-' => number(text).unwrap_or(Scalar::Text(Cow::Borrowed(text))),
        _ => Scalar::Text(Cow::Borrowed(text)),
    }
}

fn number(text: &str) -> Option<Scalar<'static>> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    if let Some(magnitude) = whole(digits) {
        if !negative && let Ok(value) = u64::try_from(magnitude) {
            return Some(Scalar::Int(value.to_string()));
        }
        if negative && magnitude <= i64::MIN.unsigned_abs().into() {
            return Some(Scalar::Int(if magnitude == 0 { "0".to_owned() } else { format!("-{magnitude}") }));
        }
    }
    float(&plain)
}

/// Digits with Go's prefixes: `0x`, `0o`, `0b`, and `0` for octal.
fn whole(digits: &str) -> Option<u128> {
    let (radix, rest) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if rest.starts_with(['+', '-']) { None } else { u128::from_str_radix(rest, radix).ok() }
}

/// A number with a value: what is too large for one is text, as in Go.
fn float(text: &str) -> Option<Scalar<'static>> {
    text.parse().ok().filter(|value: &f64| is_float(text) && value.is_finite()).map(Scalar::Float)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some((before, after)) => digits(before) && digits(after) && !(before.is_empty() && after.is_empty()),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa
        && exponent.is_none_or(|e| {
            let e = e.strip_prefix(['+', '-']).unwrap_or(e);
            !e.is_empty() && digits(e)
        })
}

/// Base64 as Go's `StdEncoding` reads it: padded, line breaks are not there.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    LENIENT.decode(bare).ok()
}

/// Go does not look at the bits that the last character has too many.
const LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_those_of_yaml_1_1() {
        let plain = |text| resolve(None, text, Style::Plain).unwrap();
        for (text, value) in [
            ("007", "7"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("0o17", "15"),
            ("-0", "0"),
            ("1_000", "1000"),
            ("+5", "5"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(plain(text), Scalar::Int(value.to_owned()), "{text}");
        }
        for text in ["1.30", "08", "1e3", "12345678901234567890123", ".5", "-.inf", "1."] {
            assert!(matches!(plain(text), Scalar::Float(_)), "{text}: {:?}", plain(text));
        }
        for text in ["y", "No", "on", "OFF", "TRUE"] {
            assert!(matches!(plain(text), Scalar::Bool(_)), "{text}");
        }
        for text in ["yEs", "62e5678", "1.2.3", "716064e", "2026-11-26", "-", "0x", "1e", "--1", "0-1", "e5", ".", "...", "nul", "5 6"] {
            assert!(matches!(plain(text), Scalar::Text(_)), "{text}: {:?}", plain(text));
        }
        assert_eq!(plain("~"), Scalar::Null);
    }

    #[test]
    fn tags_and_quotes_decide_first() {
        assert_eq!(resolve(None, "5", Style::Text).unwrap(), Scalar::Text("5".into()));
        assert_eq!(resolve(Some("tag:yaml.org,2002:str"), "5", Style::Plain).unwrap(), Scalar::Text("5".into()));
        assert_eq!(resolve(Some("!mine"), "5", Style::Plain).unwrap(), Scalar::Text("5".into()));
        assert_eq!(resolve(Some("tag:yaml.org,2002:binary"), "aGk=\n", Style::Text).unwrap(), Scalar::Text("hi".into()));
        assert!(resolve(Some("tag:yaml.org,2002:binary"), "aG k=", Style::Text).is_err());
        assert!(resolve(Some("tag:yaml.org,2002:int"), "x", Style::Plain).is_err());
    }
}
