//! Kubernetes API machinery as pure functions over bytes and JSON. Nothing here does IO.

pub mod clip;
pub mod codec;
pub mod depth;
pub mod discovery;
pub mod openapi;
pub mod patch;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod yaml;
