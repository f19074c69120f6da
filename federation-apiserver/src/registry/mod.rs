//! What is served: one file per API group, each a table of [`Resource`]s.
pub mod resource;
