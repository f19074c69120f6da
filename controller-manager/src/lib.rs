//! The federation controller manager: watches the federation API and makes the member clusters follow.

pub mod config;
pub mod dns;
pub mod kinds;
pub mod members;
pub mod options;
pub mod placement;
pub mod planner;
pub(crate) mod propagation;
pub mod services;

pub use config::Config;
pub use members::connect::{HostConnector, HostCredentials, MemberConnector};
