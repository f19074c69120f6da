//! `kubefed join`.

use std::time::Duration;

use clap::{ArgAction, Args};
use federation_api::duration;

use super::global::HostArgs;
use super::values::{DryRun, NamedFormat, boolean};

/// Join a cluster to a federation.
///
/// Makes an account for the federation in the member cluster, stores its credentials in the host cluster and
/// creates the Cluster in the federation. The current context may be any; contexts are found by name.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed join CLUSTER_NAME --host-cluster-context=HOST_CONTEXT [OPTIONS]",
    after_help = "Examples:\n  \
        # Join the cluster of context gondor to the federation in rivendell\n  \
        kubefed join gondor --host-cluster-context=rivendell\n\n  \
        # Another token, and none of the earlier ones\n  \
        kubefed join gondor --host-cluster-context=rivendell --rotate\n\n  \
        # A context whose name cannot be a cluster's\n  \
        kubefed join gondor --host-cluster-context=rivendell --cluster-context=gondor_needs-no_king"
)]
pub struct JoinArgs {
    /// Name of the cluster in the federation, an RFC 1035 label
    #[arg(value_name = "CLUSTER_NAME")]
    pub names: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
    /// Context of the joining cluster; CLUSTER_NAME if not given
    #[arg(long, value_name = "CONTEXT", default_value = "", hide_default_value = true)]
    pub cluster_context: String,
    /// Secret in the host cluster for the member's credentials, an RFC 1123 subdomain; CLUSTER_NAME if not given
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    pub secret_name: String,
    /// URL under which the federation reaches the member, where it differs from the kubeconfig's
    #[arg(long, value_name = "URL")]
    pub cluster_server: Option<String>,
    /// Point an existing Cluster of this name to another API server
    #[arg(long)]
    pub replace: bool,
    /// How long the federation's token in the member holds, 10 minutes at least; it is renewed at half of it. What is stored, or
    /// 720h, if not given
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub token_life: Option<Duration>,
    /// Make a new token in the member, and take the earlier ones back once the new one is in use
    #[arg(long)]
    pub rotate: bool,
    /// Wait until the federation says the cluster is ready
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub wait: bool,
    /// Print what would be sent, in order, and send nothing
    #[arg(long, value_enum, value_name = "WHAT", default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: DryRun,
    /// Print the Cluster in this format
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<NamedFormat>,
    /// v1's flags without a meaning here.
    #[command(flatten)]
    pub ignored: IgnoredJoin,
}

/// kubectl's flags that v1's join accepted without effect.
#[derive(Args, Clone, Debug, Default)]
pub struct IgnoredJoin {
    #[arg(long, hide = true)]
    generator: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    validate: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    save_config: Option<String>,
    #[arg(long, hide = true)]
    output_version: Option<String>,
    #[arg(long, hide = true)]
    sort_by: Option<String>,
    #[arg(long, short = 'a', hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    show_all: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    show_labels: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_headers: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_missing_template_keys: Option<String>,
}
