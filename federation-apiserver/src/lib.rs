//! The federation API server: Kubernetes' API machinery over an embedded store or etcd.
//!
//! ```
//! use std::time::Duration;
//!
//! use federation_apiserver::{Config, Profile, Server};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
//! let server = Server::start(Config::in_memory(Profile::Federation)).await?;
//! server.wait_ready(Duration::from_secs(60)).await?;
//! // On a free port of this machine, with a certificate made for it; `serve` answers there until it is told to stop.
//! let listening = server.listen().await?;
//! assert!(listening.address().ip().is_loopback());
//! # Ok(())
//! # }
//! ```

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
