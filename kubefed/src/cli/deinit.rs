//! `kubefed deinit`.

use clap::Args;

use super::global::HostArgs;

/// Remove a federation control plane from its host cluster.
///
/// Refuses while clusters are joined. Removes only what kubefed made: its objects in the host cluster, its
/// namespace if kubefed made it and nothing else is in it, and its entries in the local kubeconfig. The claim
/// with the federation's data is kept unless --delete-data is given.
#[derive(Args, Debug)]
#[command(override_usage = "kubefed deinit FEDERATION_NAME --host-cluster-context=HOST_CONTEXT [OPTIONS]")]
pub struct DeinitArgs {
    /// Name of the federation
    #[arg(value_name = "FEDERATION_NAME")]
    pub names: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
    /// Delete the claim with the federation's data too
    #[arg(long)]
    pub delete_data: bool,
    /// Go on although clusters are joined or the federation cannot be asked
    #[arg(long)]
    pub force: bool,
}
