//! Kubeconfigs, read and written in one place and understood as client-go understands them, and the clients they
//! describe. Nothing else in the project reads a kubeconfig or makes a client for an API server.

mod absent;
pub mod connect;
pub mod edit;
mod error;
pub mod kubeconfig;
pub mod yaml;

pub use absent::if_there;
pub use connect::{Access, Environment, Target};
pub use error::Error;
pub use kubeconfig::{Cluster, Context, Exec, Files, Kubeconfig, Source, User};
