//! `kubefed init`.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use federation_apiserver::options::StorageKind;

use super::global::HostArgs;
use super::values::{DryRun, Format, boolean};

/// Image of both components when none is named.
pub(super) const DEFAULT_IMAGE: &str = concat!("ghcr.io/kubefed/fcp:v", env!("CARGO_PKG_VERSION"));
/// More of one component help nobody: what they do is bounded by etcd, and by the one that leads.
const MAX_REPLICAS: i64 = 9;
/// etcd's image when none is named.
pub(super) const DEFAULT_ETCD_IMAGE: &str = "registry.k8s.io/etcd:3.6.8-0";

/// Initialise a federation control plane in a host cluster.
///
/// The control plane is a federation API server and a controller manager in a namespace of the host cluster.
/// The federation's name becomes the prefix of what is made there, a part of every federated DNS name, and
/// the name of a cluster, a user and a context in the local kubeconfig. The current context stays.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed init FEDERATION_NAME --host-cluster-context=HOST_CONTEXT --dns-provider=PROVIDER --dns-zone-name=ZONE [OPTIONS]",
    after_help = "Examples:\n  \
        # A federation whose API server is reached by a load balancer\n  \
        kubefed init fellowship --host-cluster-context=rivendell --dns-provider=coredns \\\n      \
        --dns-provider-config=coredns.conf --dns-zone-name=example.com.\n\n  \
        # On premises, without load balancers\n  \
        kubefed init fellowship --host-cluster-context=rivendell --dns-provider=embedded \\\n      \
        --dns-zone-name=example.com. --api-server-service-type=NodePort \\\n      \
        --api-server-advertise-address=10.0.10.20\n\n  \
        # Small: one pod without etcd, reached by a name of yours\n  \
        kubefed init fellowship --host-cluster-context=rivendell --dns-provider=embedded \\\n      \
        --dns-zone-name=example.com. --storage=embedded --control-plane-endpoint=fed.example.com\n\n  \
        # Two of each over an etcd cluster of your own\n  \
        kubefed init fellowship --host-cluster-context=rivendell --dns-provider=coredns \\\n      \
        --dns-provider-config=coredns.conf --dns-zone-name=example.com. \\\n      \
        --etcd-servers=https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379 \\\n      \
        --etcd-cafile=ca.pem --apiserver-replicas=2 --controller-manager-replicas=2"
)]
pub struct InitArgs {
    /// Name of the federation
    #[arg(value_name = "FEDERATION_NAME")]
    pub names: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
    /// Names.
    #[command(flatten)]
    pub dns: DnsArgs,
    /// Images.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Storage.
    #[command(flatten)]
    pub etcd: EtcdArgs,
    /// Address.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Let the administrator authenticate with a password too
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub apiserver_enable_basic_auth: bool,
    /// Let the administrator authenticate with a token too
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub apiserver_enable_token_auth: bool,
    /// How many API servers run, spread over nodes; more than one needs --etcd-servers
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=MAX_REPLICAS))]
    pub apiserver_replicas: i32,
    /// How many controller managers run, spread over nodes; one works, the others stand by
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=MAX_REPLICAS))]
    pub controller_manager_replicas: i32,
    /// Arguments of the API server, as --a=1,--b=2; a value with commas in double quotes; can be repeated
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub apiserver_arg_overrides: Vec<String>,
    /// Arguments of the controller manager, likewise
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub controllermanager_arg_overrides: Vec<String>,
    /// Pods.
    #[command(flatten)]
    pub pods: PodArgs,
    /// Print what would be sent, in order, and send nothing
    #[arg(long, value_enum, value_name = "WHAT", default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: DryRun,
    /// Format of what --dry-run prints
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT", default_value = "yaml")]
    pub output: Format,
}

/// Where federated names are published.
#[derive(Args, Debug)]
#[command(next_help_heading = "DNS")]
pub struct DnsArgs {
    /// DNS provider; the help lists those there are.
    #[arg(long, value_name = "PROVIDER", default_value = "", hide_default_value = true, help = providers())]
    pub dns_provider: String,
    /// Zone under which names are published, for example example.com.
    #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true)]
    pub dns_zone_name: String,
    /// Configuration file of the DNS provider
    #[arg(long, value_name = "FILE")]
    pub dns_provider_config: Option<PathBuf>,
}

fn providers() -> String {
    let each = dns_providers::DRIVERS.iter().map(|driver| format!("{} for {}", driver.name, driver.summary));
    format!("DNS provider: {}", each.collect::<Vec<_>>().join(", "))
}

/// What runs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Images")]
pub struct ImageArgs {
    /// Image of both components
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE)]
    pub image: String,
    /// When it is pulled: Always, IfNotPresent or Never
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: String,
    /// Secret for pulling images
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    pub image_pull_secrets: String,
}

/// Where the API server stores.
#[derive(Args, Debug)]
#[command(next_help_heading = "Storage")]
pub struct EtcdArgs {
    /// etcd, or embedded for a store in the API server itself, on the same volume: one small pod, and never several
    #[arg(long, value_enum, value_name = "KIND", default_value_t = StorageKind::Etcd)]
    pub storage: StorageKind,
    /// Use these etcd servers instead of one beside the API server
    #[arg(long, value_name = "URLS", default_value = "", hide_default_value = true)]
    pub etcd_servers: String,
    /// PEM file of the authority that signed the certificate of these servers; needed for https
    #[arg(long, value_name = "FILE")]
    pub etcd_cafile: Option<PathBuf>,
    /// PEM file with the client certificate for these servers, if they ask for one
    #[arg(long, value_name = "FILE")]
    pub etcd_certfile: Option<PathBuf>,
    /// PEM file with the key of --etcd-certfile
    #[arg(long, value_name = "FILE")]
    pub etcd_keyfile: Option<PathBuf>,
    /// Image of etcd
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_ETCD_IMAGE)]
    pub etcd_image: String,
    /// Keep etcd's data on a persistent volume; without one it is lost when the pod goes
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub etcd_persistent_storage: bool,
    /// Size of the volume
    #[arg(long, value_name = "QUANTITY", default_value = "10Gi")]
    pub etcd_pv_capacity: String,
    /// Storage class of the volume; the cluster's default if not given
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    pub etcd_pv_storage_class: String,
    /// Keep the data on this claim, which is there, instead of one of our own; it is never deleted
    #[arg(long, value_name = "CLAIM", default_value = "", hide_default_value = true)]
    pub etcd_pvc: String,
    /// User id etcd runs as. With a volume 0, but without any capability, because directories of a node
    /// and of NFS servers belong to root; without a volume 65532
    #[arg(long, value_name = "UID")]
    pub etcd_run_as_user: Option<i64>,
}

/// Where the pods of both components run, and what they get.
#[derive(Args, Debug)]
#[command(next_help_heading = "Pods")]
pub struct PodArgs {
    /// Nodes the control plane may run on, as key=value,key=value
    #[arg(long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    pub node_selector: String,
    /// Taints of nodes it may run on all the same, as key=value:Effect,key:Effect,key
    #[arg(long, value_name = "TAINTS", value_delimiter = ',')]
    pub tolerations: Vec<String>,
    /// Priority class of the pods
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    pub priority_class: String,
    /// Annotations of the pods, as key=value,key=value
    #[arg(long, value_name = "ANNOTATIONS", default_value = "", hide_default_value = true)]
    pub pod_annotations: String,
    /// Labels of the pods, likewise; those that select them stay ours
    #[arg(long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    pub pod_labels: String,
    /// Resources the API server asks for, as cpu=500m,memory=1Gi
    #[arg(long, value_name = "RESOURCES", default_value = "", hide_default_value = true)]
    pub apiserver_requests: String,
    /// Limits of the API server, likewise; without one 2Gi of memory
    #[arg(long, value_name = "RESOURCES", default_value = "", hide_default_value = true)]
    pub apiserver_limits: String,
    /// Resources the controller manager asks for
    #[arg(long, value_name = "RESOURCES", default_value = "", hide_default_value = true)]
    pub controller_manager_requests: String,
    /// Limits of the controller manager; without one 1Gi of memory
    #[arg(long, value_name = "RESOURCES", default_value = "", hide_default_value = true)]
    pub controller_manager_limits: String,
}

/// How the API server is reached.
#[derive(Args, Debug)]
#[command(next_help_heading = "Address of the API server")]
pub struct ServiceArgs {
    /// LoadBalancer, NodePort, or ClusterIP for one that is reached from the host cluster or through --control-plane-endpoint
    #[arg(long, value_name = "TYPE", default_value = "LoadBalancer")]
    pub api_server_service_type: String,
    /// Annotations of its Service, as key=value,key=value; many load balancers are told by them what to do
    #[arg(long, value_name = "ANNOTATIONS", default_value = "", hide_default_value = true)]
    pub api_server_service_annotations: String,
    /// Name or address, and port, of what stands in front of the API servers: a load balancer, a virtual address, a
    /// DNS name; port 443 if none is given. It goes into certificate and kubeconfigs
    #[arg(long, value_name = "HOST[:PORT]", default_value = "", hide_default_value = true)]
    pub control_plane_endpoint: String,
    /// More names and addresses for its certificate
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub apiserver_cert_extra_sans: Vec<String>,
    /// IP address to tell clients; only with NodePort
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    pub api_server_advertise_address: String,
    /// Node port; only with NodePort; 0 lets the host choose
    #[arg(long, value_name = "PORT", default_value_t = 0, allow_negative_numbers = true)]
    pub api_server_port: i32,
}
