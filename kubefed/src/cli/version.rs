//! `kubefed version`.

use clap::Args;

use super::values::Format;

/// Print the versions of kubefed and of the federation API server.
#[derive(Args, Debug)]
pub struct VersionArgs {
    /// Only kubefed's own version; no server is asked
    #[arg(long, short = 'c')]
    pub client: bool,
    /// Only the numbers
    #[arg(long)]
    pub short: bool,
    /// Print as an object
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}
