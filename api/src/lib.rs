//! What the federation adds to Kubernetes: its kinds, annotation keys and name rules; and how each
//! of its programs tells what is wrong with its input.
//!
//! Pure data and pure functions; nothing here does IO.

pub mod cluster;
pub mod command_line;
pub mod duration;
pub mod failure;
pub mod keys;
pub mod kinds;
pub mod names;
pub mod preferences;
pub mod record;
