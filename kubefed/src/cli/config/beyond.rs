//! What `kubefed config` has beyond kubectl's commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use federation_api::duration;

use crate::cli::values::{Format, boolean};

pub(super) const CHECK: &str = "Exit codes: 0 every context answered, and knows you; 3 one did not. No names: all contexts.";
pub(super) const LINT: &str =
    "Exit codes, for cron: 0 nothing was found, or notes only; 3 errors or warnings were found; 1 it could not look.";

/// Take another kubeconfig in.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The other kubeconfig; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Name of the context here, if there is only one in FILE
    #[arg(long = "as", value_name = "NAME", id = "impersonate")]
    pub called: Option<String>,
    /// Only say what would be done
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub dry_run: Option<bool>,
}

/// Print contexts as a kubeconfig of their own.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Names of contexts; the first one will be the current one
    #[arg(value_name = "CONTEXT", required = true)]
    pub contexts: Vec<String>,
    /// A new file to write to, which only you can read; standard output if not given
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Write every context into a file.
#[derive(Args, Debug)]
pub struct SplitArgs {
    /// Directory for the files; it is made if need be
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// Names of contexts; all if none is given
    #[arg(value_name = "CONTEXT")]
    pub contexts: Vec<String>,
}

/// Look for what is wrong.
#[derive(Args, Debug)]
pub struct LintArgs {
    /// What expires within this time is warned of
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = duration::parse)]
    pub within: Duration,
    /// Print the findings as JSON or YAML
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Ask the API servers of contexts.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Names of contexts; all if none is given
    #[arg(value_name = "CONTEXT")]
    pub contexts: Vec<String>,
    /// How long one API server may take, its credential plugin included
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Print the answers as JSON or YAML
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Delete what does not answer.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Names of contexts to look at; all if none is given
    #[arg(value_name = "CONTEXT")]
    pub contexts: Vec<String>,
    /// How long one API server may take, its credential plugin included
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Do not ask
    #[arg(long, short = 'y', value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub yes: Option<bool>,
}
