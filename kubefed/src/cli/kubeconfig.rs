//! `kubefed kubeconfig`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use federation_api::duration;

/// Give others access to the federation
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct KubeconfigArgs {
    /// The command.
    #[command(subcommand)]
    pub command: KubeconfigCommand,
}

/// The commands of `kubefed kubeconfig`.
#[derive(Debug, Subcommand)]
pub enum KubeconfigCommand {
    /// Make a kubeconfig with a certificate for a user
    Issue(Box<IssueArgs>),
}

/// Make a kubeconfig with a certificate for a user
///
/// The key is made here and does not leave the kubeconfig. The federation's API server signs the certificate, which you
/// approve: you need the right to that for signer kubernetes.io/kube-apiserver-client. What the user may do is said by roles
/// and bindings as always; a certificate cannot be taken back, so a short life is best.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        # For frodo, who may be in two groups until tonight\n  \
        kubefed kubeconfig issue frodo --group=hobbits --group=ring-bearers --output=frodo.kubeconfig\n\n  \
        # For ten minutes, by the address that is reached from outside\n  \
        kubefed kubeconfig issue sam --ttl=10m --endpoint=https://federation.example.com > sam.kubeconfig")]
pub struct IssueArgs {
    /// Name of the user
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Group of the user; can be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// How long the certificate is good for, at least 10m; the API server may make it shorter
    #[arg(long, value_name = "DURATION", default_value = "8h", value_parser = duration::parse)]
    pub ttl: Duration,
    /// Server of the new kubeconfig; the one it is made by if not given
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Namespace that commands with the new kubeconfig are about
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// File to write, readable by you alone, which may not be there yet; standard output if not given
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Let the user's name, or a group, begin with system:
    #[arg(long)]
    pub allow_system: bool,
    /// How long to wait for the API server to sign
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub timeout: Duration,
}
