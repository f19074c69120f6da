//! The federation API server: Kubernetes' API machinery over an embedded store or etcd.

pub mod admission;
pub mod auth;
pub mod discovery;
pub mod handlers;
pub mod openapi;
pub mod registry;
pub mod server;
pub mod storage;
