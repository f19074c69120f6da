//! Every manifest `kubefed` writes, as pure functions from settings to ordered objects.
//!
//! What `--dry-run` prints and what is sent come from the same call.

pub mod access;
pub mod apiserver;
pub mod args;
pub mod claim;
pub mod config;
pub mod controller_manager;
pub mod credentials;
pub mod federated;
pub mod host;
pub mod kube_dns;
pub mod member;
pub mod names;
pub mod object;
pub mod pods;
