//! `kubefed`: sets up a federation of Kubernetes clusters and lets clusters join and leave it.
//!
//! Three stages: [`cli`] is what can be typed, the `resolve` part of each of [`commands`] checks it, and what is
//! left acts. [`render`] makes every manifest; nothing else does.

pub mod certs;
pub mod cli;
pub mod commands;
pub mod connection;
pub mod error;
pub mod printer;
pub mod render;
mod start;
pub mod up;
pub mod wait;

pub use start::run;
