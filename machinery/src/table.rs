//! `meta.k8s.io/v1` Table: what `kubectl get` shows.

mod age;
mod cell;
mod cells;
mod columns;
mod render;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::age::human_duration;
pub use self::cells::{Cell, Cells};
pub use self::columns::columns_for;
pub use self::render::{CLOSE, IncludeObject, ListMeta, Shown, open_metadata_list, open_table};

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
