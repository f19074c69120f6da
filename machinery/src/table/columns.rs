//! The columns of each kind, as Kubernetes shows them.

mod core;
mod other;
mod pod;
mod workloads;

use serde_json::Value;

use super::{Cell, Column, Columns, cell, cells};

/// A column that is always shown.
const fn column(name: &'static str, cell: fn(&Value) -> Cell) -> Column {
    Column { name, kind: "string", format: "", priority: 0, cell }
}

/// A column of numbers that is always shown.
const fn number(name: &'static str, cell: fn(&Value) -> Cell) -> Column {
    Column { name, kind: "integer", format: "", priority: 0, cell }
}

/// A column shown with `-o wide`.
const fn wide(name: &'static str, cell: fn(&Value) -> Cell) -> Column {
    Column { name, kind: "string", format: "", priority: 1, cell }
}

const NAME: Column = Column { name: "Name", kind: "string", format: "name", priority: 0, cell: |o| cell::text(o, "/metadata/name").into() };
const AGE: Column = column("Age", |o| cells::since(o.pointer("/metadata/creationTimestamp")));
/// kubectl's default for kinds it knows nothing of.
const CREATED_AT: Column = Column {
    name: "Created At",
    kind: "date",
    format: "",
    priority: 0,
    cell: |o| o.pointer("/metadata/creationTimestamp").cloned().unwrap_or(Value::Null).into(),
};

/// The columns of a kind; name and age for kinds without columns of their own.
pub fn columns_for(group: &str, kind: &str) -> Columns {
    core::columns(group, kind)
        .or_else(|| workloads::columns(group, kind))
        .or_else(|| other::columns(group, kind))
        .unwrap_or_else(|| vec![NAME, AGE])
}
