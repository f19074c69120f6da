//! A column, and what one cell of it says.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{UNKNOWN, plain};

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Header, as kubectl prints it in upper case.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `boolean`, `date`.
    pub kind: &'static str,
    /// OpenAPI format; `name` marks the column with the object's name.
    pub format: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
    /// The cell of an object.
    pub cell: fn(object: &Value) -> Cell,
}

/// The columns of a resource.
pub type Columns = Vec<Column>;

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
            Self::Fixed(value) => format!("{before}{}{after}", plain(&value)).into(),
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
