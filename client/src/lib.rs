//! Kubeconfigs, read and written in one place and understood as client-go understands them, and the clients they
//! describe. Nothing else in the project reads a kubeconfig or makes a client for an API server.
//!
//! ```
//! use federation_client::{Access, Environment, Kubeconfig, Source, Target};
//!
//! let text = b"
//! clusters: [{name: gondor, cluster: {server: 'https://gondor.example.com:6443/'}}]
//! users: [{name: faramir, user: {token: ithilien}}]
//! contexts: [{name: south, context: {cluster: gondor, user: faramir}}]
//! ";
//! let config = Kubeconfig::read(text, Source::Secret("gondor"))?;
//! let access = Access::resolve(&config, &Target::context(Some("south")), &Environment::default())?;
//! assert_eq!(access.url(), "https://gondor.example.com:6443");
//! // `access.client().await?` is a client for it.
//! # Ok::<(), federation_client::Error>(())
//! ```

mod absent;
pub mod config;
pub mod connect;
pub mod edit;
mod error;
pub mod kubeconfig;
mod redact;
mod trouble;
pub mod yaml;

pub use absent::if_there;
pub use config::Config;
pub use connect::{Access, Bearer, Environment, Target};
pub use error::Error;
pub use kubeconfig::{AuthProvider, Cluster, Context, Exec, Files, Kubeconfig, Source, User};
pub use trouble::Trouble;
