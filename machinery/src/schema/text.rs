//! Strings with a form: base64 and times.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::Text;

/// The canonical spelling when it differs from what was given, `None` when it does not.
///
/// # Errors
/// The rule the text breaks, in Go's words.
pub(crate) fn canonical(kind: Text, text: &str) -> Result<Option<String>, String> {
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

fn illegal_base64(error: &base64::DecodeError) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => *at,
        _ => return "illegal base64 data".into(),
    };
    format!("illegal base64 data at input byte {at}")
}

fn time(text: &str, digits: u8) -> Result<Option<String>, String> {
    let instant: Timestamp =
        text.parse().map_err(|_| format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse it"))?;
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
