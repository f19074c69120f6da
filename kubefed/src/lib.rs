//! `kubefed`: sets up a federation of Kubernetes clusters and lets clusters join and leave it.

pub mod certs;
pub mod error;
pub mod kubeconfig;
pub mod printer;
pub mod render;
pub mod wait;
