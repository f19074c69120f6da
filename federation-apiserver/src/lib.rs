//! The federation API server: Kubernetes' API machinery over an embedded store or etcd.

pub mod admission;
pub mod audit;
pub mod auth;
mod background;
pub mod config;
mod cpu;
pub mod discovery;
pub mod error;
pub mod handlers;
pub mod http;
pub mod metrics;
pub mod names;
pub mod openapi;
pub mod options;
pub mod registry;
pub mod run;
pub mod server;
pub mod storage;
pub mod store;
pub mod version;

pub use config::{Config, Profile};
pub use error::ConfigError;
pub use server::service::ApiService;
pub use server::{Listening, Server};
