//! Columns that many kinds have.

use serde_json::Value;

use crate::table::cell;
use crate::table::column::{Cell, Column, since};

/// A column that is always shown.
pub(super) const fn column(name: &'static str, cell: fn(&Value) -> Cell) -> Column {
    Column { name, kind: "string", format: "", priority: 0, cell }
}

/// A column of numbers that is always shown.
pub(super) const fn number(name: &'static str, cell: fn(&Value) -> Cell) -> Column {
    Column { name, kind: "integer", format: "", priority: 0, cell }
}

/// A column shown with `-o wide`.
pub(super) const fn wide(name: &'static str, cell: fn(&Value) -> Cell) -> Column {
    Column { name, kind: "string", format: "", priority: 1, cell }
}

pub(super) const NAME: Column =
    Column { name: "Name", kind: "string", format: "name", priority: 0, cell: |o| cell::text(o, "/metadata/name").into() };
pub(super) const AGE: Column = column("Age", |o| since(o.pointer("/metadata/creationTimestamp")));
/// kubectl's default for kinds it knows nothing of.
pub(super) const CREATED_AT: Column = Column {
    name: "Created At",
    kind: "date",
    format: "",
    priority: 0,
    cell: |o| o.pointer("/metadata/creationTimestamp").cloned().unwrap_or(Value::Null).into(),
};
