//! The columns of each kind, as Kubernetes shows them.

mod common;
mod core;
mod other;
mod pod;
mod workloads;

use self::common::{AGE, NAME};
use super::column::Columns;

/// The columns of a kind; name and age for kinds without columns of their own.
pub fn columns_for(group: &str, kind: &str) -> Columns {
    core::columns(group, kind)
        .or_else(|| workloads::columns(group, kind))
        .or_else(|| other::columns(group, kind))
        .unwrap_or_else(|| vec![NAME, AGE])
}
