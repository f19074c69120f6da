//! `kubefed status`.

use std::time::Duration;

use clap::Args;
use federation_api::duration;

use super::global::HostArgs;
use super::values::Format;

/// Say how a federation is doing, and what to do about what is not right.
///
/// Asks the federation for its API server, the controller manager that leads, the clusters, the objects that are not in
/// every cluster as they should be, and the warnings of the last hour; with --host-cluster-context also the host for the pods
/// of the control plane and for credentials that end soon. Nothing is changed. Exit code 3 says that something is
/// not right; so it can be run by cron.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed status [FEDERATION_NAME] [OPTIONS]",
    after_help = "Examples:\n  \
        # The federation of the current context\n  \
        kubefed status\n\n  \
        # With its pods and certificates, for a program\n  \
        kubefed status fellowship --host-cluster-context=rivendell -o json"
)]
pub struct StatusArgs {
    /// Name of the federation; that of the current context if not given
    #[arg(value_name = "FEDERATION_NAME")]
    pub names: Vec<String>,
    /// Where its control plane is.
    #[command(flatten)]
    pub host: HostArgs,
    /// Credentials that end within this time end soon
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = duration::parse)]
    pub within: Duration,
    /// Print in this format instead of tables
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}
