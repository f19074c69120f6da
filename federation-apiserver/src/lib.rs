//! The federation API server: Kubernetes' API machinery over an embedded store or etcd.

pub mod admission;
pub mod audit;
pub mod auth;
pub mod config;
pub mod discovery;
pub mod handlers;
pub mod openapi;
pub mod options;
pub mod registry;
pub mod run;
pub mod server;
pub mod storage;
pub mod store;

pub use config::{Config, ConfigError, Profile};
pub use server::service::ApiService;
pub use server::{Listening, Server};
