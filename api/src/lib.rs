//! What the federation adds to Kubernetes: its kinds, annotation keys and name rules.
//!
//! Pure data and pure functions; nothing here does IO.

pub mod cluster;
pub mod keys;
pub mod names;
pub mod preferences;
pub mod record;
