//! `kubefed unjoin`.

use clap::Args;

use super::global::HostArgs;

/// Take a cluster out of a federation.
///
/// Removes the Cluster from the federation, its credentials from the host and the federation's account from the
/// member. A member that cannot be reached does not stop this; what remains in it is listed, and the
/// exit code is 3 instead of 0.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed unjoin CLUSTER_NAME --host-cluster-context=HOST_CONTEXT [--orphan | --delete | --handover] [OPTIONS]",
    after_help = "Examples:\n  \
        # Take gondor out and leave what runs there running\n  \
        kubefed unjoin gondor --host-cluster-context=rivendell\n\n  \
        # Take gondor out and delete everything the federation put there\n  \
        kubefed unjoin gondor --host-cluster-context=rivendell --delete"
)]
pub struct UnjoinArgs {
    /// Name of the cluster in the federation
    #[arg(value_name = "CLUSTER_NAME")]
    pub names: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
    /// Context of the leaving cluster; CLUSTER_NAME if not given
    #[arg(long, value_name = "CONTEXT", default_value = "", hide_default_value = true)]
    pub cluster_context: String,
    /// Leave the federation's objects in the member as they are, marked so that a later join finds them (default)
    #[arg(long, group = "objects")]
    pub orphan: bool,
    /// Delete the federation's objects from the member
    #[arg(long, group = "objects")]
    pub delete: bool,
    /// Leave the federation's objects and take the federation's marks off them: they are the member's own
    #[arg(long, group = "objects")]
    pub handover: bool,
}
