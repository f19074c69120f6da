//! The cells of one object, encoded once and shown at any time later.

use jiff::Timestamp;
use serde_json::Value;

use super::Columns;
use super::age::human_duration;
use super::cell::UNKNOWN;

/// What one cell says.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// The same whenever it is shown.
    Fixed(Value),
    /// How long ago something was when it is shown, between two texts.
    Since {
        /// In front of the duration.
        before: String,
        /// When it was, in seconds since the epoch.
        then: i64,
        /// Behind the duration; without quotes and backslashes.
        after: &'static str,
    },
}

impl Cell {
    /// The cell with text around it.
    pub(super) fn within(self, before: &str, after: &'static str) -> Self {
        match self {
            Self::Since { then, .. } => Self::Since { before: before.to_owned(), then, after },
            Self::Fixed(value) => format!("{before}{}{after}", super::cell::plain(&value)).into(),
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self::Fixed(value)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Fixed(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Fixed(text.into())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Fixed(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Fixed(number.into())
    }
}

/// The time since an RFC 3339 timestamp; `<unknown>` when there is none.
pub(super) fn since(timestamp: Option<&Value>) -> Cell {
    match timestamp.and_then(Value::as_str).and_then(|t| t.parse::<Timestamp>().ok()) {
        Some(then) => Cell::Since { before: String::new(), then: then.as_second(), after: "" },
        None => UNKNOWN.into(),
    }
}

/// Stands for a duration in encoded cells, before the eight bytes of the time it began at: encoded JSON has no zero byte.
const SINCE: u8 = 0;

/// The cells of an object as a JSON list in which durations are still to be filled in. A few dozen bytes.
#[derive(Clone, Debug)]
pub struct Cells(Box<[u8]>);

impl Cells {
    /// The cells that these columns show of an object.
    #[must_use]
    pub fn of(columns: &Columns, object: &Value) -> Self {
        let mut out = vec![b'['];
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match (column.cell)(object) {
                Cell::Fixed(value) => out.extend_from_slice(value.to_string().as_bytes()),
                Cell::Since { before, then, after } => {
                    let quoted = Value::from(before).to_string();
                    out.extend_from_slice(quoted.trim_end_matches('"').as_bytes());
                    if quoted == "\"\"" {
                        out.push(b'"');
                    }
                    out.push(SINCE);
                    out.extend_from_slice(&then.to_le_bytes());
                    out.extend_from_slice(after.as_bytes());
                    out.push(b'"');
                }
            }
        }
        out.push(b']');
        Self(out.into())
    }

    /// Writes the list as it is at `now`, in seconds since the epoch.
    pub fn write(&self, now: i64, out: &mut Vec<u8>) {
        let mut rest = &self.0[..];
        while let Some(at) = rest.iter().position(|byte| *byte == SINCE) {
            let (text, marked) = rest.split_at(at);
            out.extend_from_slice(text);
            let Some((then, behind)) = marked[1..].split_first_chunk() else { return };
            out.extend_from_slice(human_duration(now.saturating_sub(i64::from_le_bytes(*then))).as_bytes());
            rest = behind;
        }
        out.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::table::{Column, columns_for};

    fn shown(cells: &Cells, now: i64) -> Value {
        let mut out = Vec::new();
        cells.write(now, &mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn durations_grow_and_everything_else_stays() {
        let object = json!({"metadata": {"name": "a\u{0}\"b", "creationTimestamp": "1970-01-01T00:01:40Z"}, "data": {"x": "y"}});
        let cells = Cells::of(&columns_for("", "ConfigMap"), &object);
        assert_eq!(shown(&cells, 105), json!(["a\u{0}\"b", 1, "5s"]));
        assert_eq!(shown(&cells, 220), json!(["a\u{0}\"b", 1, "2m"]));
    }

    #[test]
    fn a_duration_may_stand_within_text() {
        let restarts = |_: &Value| Cell::Since { before: "3 \"\\ (".into(), then: 7, after: " ago)" };
        let columns = vec![Column { name: "Restarts", kind: "string", format: "", priority: 0, cell: restarts }];
        assert_eq!(shown(&Cells::of(&columns, &Value::Null), 10), json!(["3 \"\\ (3s ago)"]));
        assert_eq!(Cell::from("<unknown>").within("3 (", " ago)"), Cell::from("3 (<unknown> ago)"));
    }
}
