//! What can go wrong at a provider, and what to do about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error as ThisError;

/// A failure of a provider. [`Error::is_configuration`] tells what a person must fix from what may pass by itself.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// No provider has this name.
    #[error("unknown DNS provider \"{name}\"")]
    UnknownProvider {
        /// The name as given.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// The configuration file could not be read.
    #[error("couldn't open DNS provider configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the configuration file breaks a rule.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Which rule.
        message: String,
    },
    /// The configuration as a whole does not make a provider.
    #[error("could not init DNS provider \"{provider}\": {message}")]
    Config {
        /// The provider.
        provider: &'static str,
        /// What is missing or wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// It makes a provider here, but not one that would work in the pod it is meant for.
    #[error("{message}")]
    Undeployable {
        /// What would not work.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// None, or more than one, of the provider's zones was meant.
    #[error("{message}")]
    Zone {
        /// What was looked for and found.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// The backend cannot be reached or refused; trying later may help.
    #[error("DNS provider \"{provider}\" at {at}: {message}")]
    Unavailable {
        /// The provider.
        provider: &'static str,
        /// Address of the backend.
        at: String,
        /// What the backend or the network said.
        message: String,
    },
    /// The backend answers, and takes no more requests for a while.
    #[error("DNS provider \"{provider}\" at {at}: {message}")]
    Throttled {
        /// The provider.
        provider: &'static str,
        /// Address of the backend.
        at: String,
        /// What the backend said.
        message: String,
        /// How long to leave it alone.
        after: Duration,
    },
    /// The backend answers, and refuses everything until a person changes something there or in the configuration.
    #[error("DNS provider \"{provider}\" at {at}: {message}")]
    Refused {
        /// The provider.
        provider: &'static str,
        /// Address of the backend.
        at: String,
        /// What it refused, with its code.
        message: String,
        /// What to change.
        hint: String,
    },
    /// A socket or file of the embedded server failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the address or path.
        what: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether only a change of the configuration can help. Everything else is worth a retry: what a backend refuses may
    /// be granted there while we wait.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Error::Unavailable { .. } | Error::Throttled { .. } | Error::Refused { .. } | Error::Io { .. })
    }

    /// How long the backend asks to be left alone.
    pub fn throttled(&self) -> Option<Duration> {
        if let Error::Throttled { after, .. } = self { Some(*after) } else { None }
    }

    /// The next step for the person reading the error.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::UnknownProvider { known, .. } => Some(format!("known providers: {}", known.join(", "))),
            Error::Unreadable { .. } => Some("give the path of a readable file in --dns-provider-config".to_owned()),
            Error::Syntax { .. } => Some("the format is [Global], then one \"key = value\" a line".to_owned()),
            Error::Config { hint, .. } | Error::Undeployable { hint, .. } | Error::Zone { hint, .. } | Error::Refused { hint, .. } => {
                Some(hint.clone())
            }
            Error::Unavailable { .. } | Error::Throttled { .. } => None,
            Error::Io { .. } => Some("check that the address is free and the directory is writable".to_owned()),
        }
    }

    pub(crate) fn syntax(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Error::Syntax { path: path.to_owned(), line, message: message.into() }
    }
}
