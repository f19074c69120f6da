//! Why a server cannot start.

use program::failure::Failure;

/// A configuration or a start that cannot work: what, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// One line saying what and where.
    pub message: String,
    /// One line saying what to do.
    pub hint: String,
}

impl ConfigError {
    /// Both lines.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self::new(e.message).hint(e.hint)
    }
}
