//! `kubefed`: sets up a federation of Kubernetes clusters and lets clusters join and leave it.
//!
//! Three stages: [`cli`] is what can be typed, the `resolve` part of each of [`commands`] checks it, and what is
//! left acts. [`render`] makes every manifest; nothing else does.
//!
//! What can be typed is data:
//!
//! ```
//! use clap::Parser;
//! use kubefed::cli::{Cli, Command};
//!
//! let typed = ["kubefed", "join", "gondor", "--host-cluster-context=rivendell", "--request-timeout=5s"];
//! let Cli { global, command } = Cli::try_parse_from(typed)?;
//! assert_eq!(global.request_timeout.as_secs(), 5);
//! let Command::Join(join) = command else { panic!("another command") };
//! assert_eq!(join.host.host_cluster_context.as_deref(), Some("rivendell"));
//! # Ok::<(), clap::Error>(())
//! ```

pub mod certs;
pub mod cli;
pub mod commands;
pub mod connection;
pub mod discovery;
pub mod error;
mod expiry;
mod jsonpath;
pub mod printer;
pub mod render;
pub mod request;
mod start;
pub mod up;
pub mod wait;

pub use start::run;
