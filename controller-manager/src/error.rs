//! Why the controllers did not start, or ended though nobody stopped them.

use std::{io, net::SocketAddr};

use daemon::supervise::Death;
use program::failure::Failure;
use thiserror::Error;

use crate::{dns::OpenError, election::LeadLost};

/// Why [`run`](crate::run) came back. A program tells it as a [`Failure`], with what to do next and the exit code.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The address for health and metrics cannot be bound.
    #[error("health and metrics cannot listen on {address}: {}", unbound(source))]
    Listen {
        /// The address that was configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The DNS configuration is wrong.
    #[error(transparent)]
    Dns(#[from] OpenError),
    /// Another controller manager leads now, or may.
    #[error(transparent)]
    LeadLost(#[from] LeadLost),
    /// A task died that never should.
    #[error(transparent)]
    Died(#[from] Death),
}

fn unbound(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse { "the port is in use".to_owned() } else { error.to_string() }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Listen { .. } => {
                Self::new(error.to_string()).hint("choose another port with --port, or 0 for none, and check --address")
            }
            RunError::Dns(error) => error.into(),
            RunError::LeadLost(error) => Self::new(error.to_string()),
            RunError::Died(death) => death.into(),
        }
    }
}
