//! Strings with a form: base64 and times.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::Text;

/// The rule a text breaks, in Go's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Malformed {
    /// No base64, wrong from this byte on where one is to blame.
    #[error("illegal base64 data{}", .0.map(|at| format!(" at input byte {at}")).unwrap_or_default())]
    Base64(Option<usize>),
    /// No time.
    #[error("parsing time {0:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse it")]
    Time(String),
}

/// The canonical spelling when it differs from what was given, `None` when it does not.
///
/// # Errors
/// The rule the text breaks.
pub(crate) fn canonical(kind: Text, text: &str) -> Result<Option<String>, Malformed> {
    match kind {
        Text::Plain => Ok(None),
        Text::Bytes => match STANDARD.decode(text) {
            Ok(_) => Ok(None),
            Err(_) if text.contains(['\n', '\r']) => {
                let joined: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
                STANDARD.decode(&joined).map(|_| Some(joined)).map_err(|e| illegal_base64(&e))
            }
            Err(e) => Err(illegal_base64(&e)),
        },
        Text::Time => time(text, 0),
        Text::MicroTime => time(text, 6),
    }
}

fn illegal_base64(error: &base64::DecodeError) -> Malformed {
    Malformed::Base64(match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => Some(*at),
        _ => None,
    })
}

fn time(text: &str, digits: u8) -> Result<Option<String>, Malformed> {
    let instant: Timestamp = text.parse().map_err(|_| Malformed::Time(text.to_owned()))?;
    let canonical = format_time(instant, digits);
    Ok((canonical != text).then_some(canonical))
}

/// RFC 3339 in UTC with that many digits after the second; further digits are cut off.
pub(crate) fn format_time(instant: Timestamp, digits: u8) -> String {
    match digits {
        0 => instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => instant.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
    }
}
