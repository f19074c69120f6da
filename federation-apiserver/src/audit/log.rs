//! What is recorded, and where.

use std::sync::Arc;
use std::time::Duration;

use daemon::supervise::Supervisor;

use super::policy::Policy;
use super::sink::{Destination, Sink};
use crate::error::ConfigError;

/// What is recorded and where.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The rules.
    pub policy: Policy,
    /// The file.
    pub to: Destination,
}

/// Records requests.
pub(crate) struct Audit {
    pub(super) policy: Policy,
    pub(super) sink: Arc<Sink>,
    /// How long the reading of a body may take.
    pub(super) patience: Duration,
}

impl Audit {
    /// Opens the file; the writer is a task. `patience` is the longest a body may take to be read.
    pub(crate) fn open(config: &AuditConfig, patience: Duration, tasks: &Supervisor) -> Result<Self, ConfigError> {
        Ok(Self { policy: config.policy.clone(), sink: Arc::new(Sink::open(config.to.clone(), tasks)?), patience })
    }
}
