//! `kubefed certs`.

use std::time::Duration;

use clap::{Args, Subcommand};
use federation_api::duration;

use super::global::HostArgs;
use super::values::Format;

/// Show and renew the certificates of a control plane.
#[derive(Args, Debug)]
pub struct CertsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CertsCommand,
}

/// What can be done about certificates.
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// List everything of a federation that ends one day, and say what ends soon
    Check(CertsCheckArgs),
    /// Issue anew what ends soon
    Renew(CertsRenewArgs),
}

/// List everything of a federation that ends one day, and say what ends soon.
///
/// Looks at the authority, the API server's and the controller manager's certificate, those for an external etcd, the
/// credentials of the members, and the administrator's certificate in the local kubeconfig. Exit code 3 says that
/// something ends soon, has ended or cannot be used; so it can be run by cron.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed certs check FEDERATION_NAME --host-cluster-context=HOST_CONTEXT [OPTIONS]",
    after_help = "Examples:\n  \
        # What ends within two weeks\n  \
        kubefed certs check fellowship --host-cluster-context=rivendell --within=336h"
)]
pub struct CertsCheckArgs {
    /// Name of the federation
    #[arg(value_name = "FEDERATION_NAME")]
    pub names: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
    /// What ends within this time ends soon
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = duration::parse)]
    pub within: Duration,
    /// Print in this format instead of a table
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Issue anew what ends soon.
///
/// The authority, whose key is in the host cluster, signs a new certificate for the API server, the controller manager
/// and, where its user is in the local kubeconfig, the administrator, if the old one has less than 30 days left or
/// cannot be used. Names and addresses stay. The API server takes its certificate over while it runs; the pods of the
/// controller manager are replaced.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed certs renew FEDERATION_NAME --host-cluster-context=HOST_CONTEXT [OPTIONS]",
    after_help = "Examples:\n  \
        # Whatever it has left\n  \
        kubefed certs renew fellowship --host-cluster-context=rivendell --all"
)]
pub struct CertsRenewArgs {
    /// Name of the federation
    #[arg(value_name = "FEDERATION_NAME")]
    pub names: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
    /// Also what is good for longer
    #[arg(long)]
    pub all: bool,
}
