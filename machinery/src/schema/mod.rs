//! Compiled structural schemas: one engine for built-in kinds and custom resources.
//!
//! A [`Types`] registry holds every type once, by [`TypeId`]; types refer to each other by id, so
//! recursive types cost nothing.

pub mod builtin;
pub mod conform;
pub mod defaults;
pub mod metadata;
mod quantity;
pub mod rules;
mod text;
mod types;
pub mod validate;

pub use conform::{Conformed, conform, prune};
pub use defaults::default;
pub use metadata::validate_metadata;
pub(crate) use quantity::canonical as canonical_quantity;
pub(crate) use text::{canonical as canonical_text, format_time};
pub use types::{Field, Fields, Gvk, ListMerge, Shape, Text, Type, TypeId, Types};
pub use validate::{validate, validate_update};
