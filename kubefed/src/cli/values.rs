//! Values of flags.

use clap::ValueEnum;
use clap::builder::PossibleValue;

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

/// Go's notation of truth.
///
/// # Errors
/// A sentence saying what is accepted.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("\"{text}\" is neither true nor false")),
    }
}
