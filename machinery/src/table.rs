//! `meta.k8s.io/v1` Table: what `kubectl get` shows.

use serde_json::Value;

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
    /// The cell of an object. `now` is the current time in seconds since the epoch, for ages.
    pub cell: fn(object: &Value, now: i64) -> Value,
}

/// The columns of a resource.
pub type Columns = Vec<Column>;
