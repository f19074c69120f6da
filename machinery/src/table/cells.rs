//! The cells of one object, encoded once and shown at any time later.

use serde_json::Value;

use super::age::human_duration;
use super::column::{Cell, Columns};

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
