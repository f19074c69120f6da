//! Federated Services: their status, summed over the members, and what DNS is told of them.

pub mod aggregate;
pub mod controller;
pub mod ingress;
mod members;
mod status;
pub mod told;

pub use controller::run;
