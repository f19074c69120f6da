//! Flags of every command, kubectl's names.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use federation_api::duration;

use super::access::AccessArgs;
use super::values::request_timeout;

/// Flags of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global Options")]
pub struct Global {
    /// Kubeconfig file to read, and for init and deinit to write; instead of KUBECONFIG and ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the federation API server; by default the one named after the federation
    #[arg(long, visible_alias = "federation-context", global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// How the federation API server is reached.
    #[command(flatten)]
    pub access: AccessArgs,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
    pub impersonate: Option<String>,
    /// Group to act as; can be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", hide_short_help = true)]
    pub impersonate_groups: Vec<String>,
    /// How long a server may be silent within one request; 0 means 30s
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = request_timeout)]
    pub request_timeout: Duration,
    /// Log level on stderr: 0 nothing but warnings, 2 steps, 4 details, 6 requests
    #[arg(short = 'v', long = "v", global = true, value_name = "LEVEL", default_value_t = 0)]
    pub verbosity: u8,
    /// Flags of v1 without a meaning here.
    #[command(flatten)]
    pub ignored: Ignored,
}

/// kubectl's and glog's flags that v1 accepted; read and not used, so that old scripts go on working.
#[derive(Args, Clone, Debug, Default)]
pub struct Ignored {
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    alsologtostderr: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    logtostderr: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    match_server_version: Option<String>,
    #[arg(long, global = true, hide = true)]
    log_backtrace_at: Option<String>,
    #[arg(long, global = true, hide = true)]
    log_dir: Option<String>,
    #[arg(long, global = true, hide = true)]
    log_flush_frequency: Option<String>,
    #[arg(long, global = true, hide = true)]
    stderrthreshold: Option<String>,
    #[arg(long, global = true, hide = true)]
    vmodule: Option<String>,
    #[arg(long, global = true, hide = true)]
    cache_dir: Option<String>,
    #[arg(long, short = 'n', global = true, hide = true)]
    namespace: Option<String>,
}

/// Where the control plane is.
#[derive(Args, Clone, Debug)]
pub struct HostArgs {
    /// Context of the host cluster; the current context if not given
    #[arg(long, value_name = "CONTEXT")]
    pub host_cluster_context: Option<String>,
    /// Namespace of the host cluster the control plane is in
    #[arg(long, value_name = "NAMESPACE", default_value = federation_api::keys::DEFAULT_SYSTEM_NAMESPACE)]
    pub federation_system_namespace: String,
    /// Another kubeconfig file to reach the host and member clusters with; contexts are looked up in it by the same names
    #[arg(long, value_name = "FILE")]
    pub credentials_kubeconfig: Option<PathBuf>,
    /// How long each wait may take
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
}
