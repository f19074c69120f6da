//! server.
pub mod health;
pub mod loglevel;
pub mod metrics;
pub mod version;
