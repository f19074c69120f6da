//! Values of flags.

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use federation_api::duration::{self, InvalidDuration};

/// Whether to send or only to print.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DryRun {
    /// Send.
    #[default]
    None,
    /// Print what would be sent, in order.
    Client,
}

impl ValueEnum for DryRun {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::None, Self::Client]
    }

    /// v1's `true` and `false` stay valid beside kubectl's words.
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::None => PossibleValue::new("none").alias("false"),
            Self::Client => PossibleValue::new("client").alias("true"),
        })
    }
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// How one object is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum NamedFormat {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// `resource/name`.
    Name,
}

impl From<Format> for NamedFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Yaml => Self::Yaml,
            Format::Json => Self::Json,
        }
    }
}

/// What is no truth value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{0}\" is neither true nor false")]
pub(super) struct InvalidBoolean(String);

/// Go's notation of truth.
///
/// # Errors
/// What is none.
pub(super) fn boolean(text: &str) -> Result<bool, InvalidBoolean> {
    federation_client::config::truth(text).ok_or_else(|| InvalidBoolean(text.to_owned()))
}

/// A duration, or a bare number of seconds: kubectl's `--request-timeout` takes both.
///
/// # Errors
/// Neither of the two.
pub(super) fn request_timeout(text: &str) -> Result<Duration, InvalidDuration> {
    text.parse().map_or_else(|_| duration::parse(text), |seconds| Ok(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue8_request_timeout_takes_seconds_as_kubectl_does() {
        assert_eq!(request_timeout("90"), Ok(Duration::from_secs(90)));
        assert_eq!(request_timeout("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(request_timeout("90x").is_err());
    }
}
