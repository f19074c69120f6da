//! `meta.k8s.io/v1` Table: what `kubectl get` shows.

mod age;
mod cell;
mod cells;
mod column;
mod columns;
mod render;
#[cfg(test)]
mod tests;

pub use self::age::human_duration;
pub use self::cells::Cells;
pub use self::column::{Cell, Column, Columns};
pub use self::columns::columns_for;
pub use self::render::{CLOSE, IncludeObject, ListMeta, Shown, open_metadata_list, open_table};
