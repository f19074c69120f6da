//! `init`: from what was typed to settings, all checked before anything is contacted.

use std::net::IpAddr;
use std::path::Path;

use dns_providers::Deployment;
use federation_api::names;
use federation_apiserver::options::StorageKind;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::etcd::external;
use super::{certified, pods};
use crate::cli::{DnsArgs, EtcdArgs, InitArgs, ServiceArgs};
use crate::commands::names::one_name;
use crate::error::Failure;
use crate::render::args::{Overrides, parse_overrides};
use crate::render::config::{Claim, ControlPlane, Dns, Exposure, Storage};
use crate::render::controller_manager::POD;
use crate::render::names::Federation;
use crate::render::pods::amount;

/// Longest name of a Kubernetes Service; the federation's name is a part of ours.
const SERVICE_NAME_MAX: usize = 63;
/// User etcd runs as on a volume: directories of nodes and NFS servers belong to root, and root has no capabilities there.
const ETCD_ON_VOLUME: i64 = 0;
/// User etcd runs as without a volume.
const ETCD_ON_SCRATCH: i64 = 65532;

/// Resolves the arguments of `init`.
///
/// # Errors
/// The first thing that is wrong, v1's checks first and in v1's order.
pub fn resolve(args: &InitArgs) -> Result<ControlPlane, Failure> {
    if args.dns.dns_provider.is_empty() {
        return Err(
            Failure::usage("--dns-provider is mandatory").hint(format!("providers there are: {}", dns_providers::known().join(", ")))
        );
    }
    let federation = federation(one_name("init", &args.names)?, &args.host.federation_system_namespace)?;
    let service = exposure(&args.service)?;
    let overrides = |flag: &str, items: &[String]| -> Result<Overrides, Failure> {
        parse_overrides(items)
            .map_err(|e| Failure::usage(format!("error marshalling {flag}: {e}")).hint(format!("write {flag}=\"--first=1,--second=2\"")))
    };
    let apiserver_overrides = overrides("--apiserver-arg-overrides", &args.apiserver_arg_overrides)?;
    let controller_manager_overrides = overrides("--controllermanager-arg-overrides", &args.controllermanager_arg_overrides)?;
    let pods = pods::pods(&args.pods)?;
    let given = &args.pods;
    let apiserver_sizes = pods::sizes("apiserver", &given.apiserver_requests, &given.apiserver_limits)?;
    let controller_manager_sizes = pods::sizes("controller-manager", &given.controller_manager_requests, &given.controller_manager_limits)?;
    let service_annotations = pods::annotations("--api-server-service-annotations", &args.service.api_server_service_annotations)?;
    let endpoint = certified::endpoint(&args.service.control_plane_endpoint)?;
    let extra_names = certified::extra(&args.service.apiserver_cert_extra_sans)?;
    let policy = &args.image.image_pull_policy;
    if !["Always", "IfNotPresent", "Never"].contains(&policy.as_str()) {
        return Err(Failure::usage(format!("invalid --image-pull-policy: {policy}")).hint("it is Always, IfNotPresent or Never"));
    }
    let image_pull_secret = match args.image.image_pull_secrets.as_str() {
        "" => None,
        name => {
            names::secret_name(name)?;
            Some(name.to_owned())
        }
    };
    let (dns, storage) = (dns(&args.dns)?, storage(&args.etcd, &federation)?);
    several(args, &dns, &storage, &controller_manager_overrides)?;
    Ok(ControlPlane {
        federation,
        dns,
        image: args.image.image.clone(),
        image_pull_policy: policy.clone(),
        image_pull_secret,
        storage,
        service,
        service_annotations,
        endpoint,
        extra_names,
        apiserver_overrides,
        controller_manager_overrides,
        apiserver_replicas: args.apiserver_replicas,
        controller_manager_replicas: args.controller_manager_replicas,
        pods,
        apiserver_sizes,
        controller_manager_sizes,
        basic_auth: args.apiserver_enable_basic_auth,
        token_auth: args.apiserver_enable_token_auth,
    })
}

/// Whether several of a component can work side by side.
fn several(args: &InitArgs, dns: &Dns, storage: &Storage, manager: &Overrides) -> Result<(), Failure> {
    let (servers, managers) = (args.apiserver_replicas, args.controller_manager_replicas);
    if servers > 1 && !matches!(storage, Storage::External { .. }) {
        let what = if matches!(storage, Storage::Pod { .. }) { "an etcd in the API server's pod" } else { "--storage=embedded" };
        return Err(Failure::usage(format!("--apiserver-replicas={servers} with {what}: each would have its own data"))
            .hint("name the etcd servers that all of them use with --etcd-servers"));
    }
    if managers > 1 && dns.needs.answers {
        return Err(Failure::usage(format!(
            "--controller-manager-replicas={managers} with provider {}: only the one that works has records to answer with",
            dns.provider
        ))
        .hint("leave --controller-manager-replicas out, or choose a provider whose servers run elsewhere, such as coredns"));
    }
    if managers > 1 && manager.get("--leader-elect").is_some_and(|value| value != "true") {
        return Err(Failure::usage(format!(
            "--controller-manager-replicas={managers} without --leader-elect: all of them would work at once"
        ))
        .hint("take --leader-elect out of --controllermanager-arg-overrides"));
    }
    Ok(())
}

/// Checks a federation's name and namespace.
///
/// # Errors
/// Which rule is broken.
pub fn federation(name: &str, namespace: &str) -> Result<Federation, Failure> {
    names::federation_name(name)?;
    names::namespace_name(namespace)?;
    let federation = Federation { name: name.to_owned(), namespace: namespace.to_owned() };
    let over = federation.apiserver().len().saturating_sub(SERVICE_NAME_MAX);
    if over > 0 {
        return Err(Failure::usage(format!("invalid federation name \"{name}\": too long by {over} characters"))
            .hint("the Service is called NAME-federation-apiserver, and Service names have at most 63 characters"));
    }
    Ok(federation)
}

fn exposure(args: &ServiceArgs) -> Result<Exposure, Failure> {
    let (kind, address, port) = (args.api_server_service_type.as_str(), args.api_server_advertise_address.as_str(), args.api_server_port);
    let node_port = match kind {
        "LoadBalancer" | "ClusterIP" => false,
        "NodePort" => true,
        _ => {
            return Err(Failure::usage(format!("invalid api-server-service-type: {kind}, should be either LoadBalancer or NodePort"))
                .hint("use NodePort where the host cluster has no load balancers, ClusterIP where something of yours stands in front"));
        }
    };
    let advertise: Option<IpAddr> = match address {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            Failure::usage(format!("invalid api-server-advertise-address: {text}, should be a valid ip address"))
                .hint("for example 10.0.10.20")
        })?),
    };
    let only = |flag: &str| {
        Failure::usage(format!("{flag} should be passed only with 'api-server-service-type=NodePort'"))
            .hint(format!("add --api-server-service-type=NodePort or leave --{flag} out"))
    };
    if advertise.is_some() && !node_port {
        return Err(only("api-server-advertise-address"));
    }
    if port != 0 && !node_port {
        return Err(only("api-server-port"));
    }
    if !(0..=65535).contains(&port) {
        return Err(Failure::usage("Please provide a valid port number for api-server-port").hint("node ports usually are 30000 to 32767"));
    }
    Ok(match kind {
        "ClusterIP" => Exposure::ClusterIp,
        _ if node_port => Exposure::NodePort { advertise, port: (port != 0).then_some(port) },
        _ => Exposure::LoadBalancer,
    })
}

fn dns(args: &DnsArgs) -> Result<Dns, Failure> {
    let driver = dns_providers::driver(&args.dns_provider).map_err(|e| provider_failure(&e))?;
    if args.dns_zone_name.is_empty() {
        return Err(
            Failure::usage("--dns-zone-name is mandatory").hint("the zone federated names are published in, for example example.com.")
        );
    }
    names::zone_name(&args.dns_zone_name)?;
    let text = args.dns_provider_config.as_deref().map(|path| read(path).map(|text| (path, text))).transpose()?;
    let config = text.as_ref().map(|(path, text)| (*path, text.as_str()));
    let wanted = Deployment { zone: &args.dns_zone_name, config, pod: POD };
    let needs = driver.deploys(&wanted).map_err(|e| provider_failure(&e))?;
    Ok(Dns { provider: driver.name.to_owned(), zone: args.dns_zone_name.clone(), needs })
}

fn provider_failure(error: &dns_providers::Error) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| {
        Failure::usage(format!("error reading file provided to --dns-provider-config flag, err: {}: {e}", path.display()))
            .hint("name a readable text file")
    })
}

fn storage(args: &EtcdArgs, federation: &Federation) -> Result<Storage, Failure> {
    let embedded = args.storage == StorageKind::Embedded;
    let elsewhere = external(args)?;
    if !args.etcd_pvc.is_empty() && (elsewhere.is_some() || !args.etcd_persistent_storage) {
        let with = if elsewhere.is_some() { "--etcd-servers" } else { "--etcd-persistent-storage=false" };
        return Err(Failure::usage(format!("--etcd-pvc is given with {with}")).hint("leave one of the two out"));
    }
    match (elsewhere, embedded) {
        (Some(elsewhere), false) => return Ok(elsewhere),
        (Some(_), true) => {
            return Err(Failure::usage("--etcd-servers is given, but --storage is embedded").hint("leave one of the two out"));
        }
        (None, _) => {}
    }
    let claim = if args.etcd_persistent_storage { Some(claim(args, federation)?) } else { None };
    if embedded {
        return match args.etcd_run_as_user {
            Some(_) => Err(Failure::usage("--etcd-run-as-user is given, but there is no etcd: --storage is embedded")
                .hint("the API server runs as user and group 65532, to whom the volume is given")),
            None => Ok(Storage::Embedded { claim }),
        };
    }
    let default_user = if claim.is_some() { ETCD_ON_VOLUME } else { ETCD_ON_SCRATCH };
    let user = args.etcd_run_as_user.unwrap_or(default_user);
    if user < 0 {
        return Err(Failure::usage(format!("invalid --etcd-run-as-user: {user}")).hint("user ids start at 0"));
    }
    Ok(Storage::Pod { image: args.etcd_image.clone(), claim, user })
}

fn claim(args: &EtcdArgs, federation: &Federation) -> Result<Claim, Failure> {
    match args.etcd_pvc.as_str() {
        "" => {}
        name if name == federation.etcd_claim() => {
            return Err(Failure::usage(format!("invalid --etcd-pvc: \"{name}\" is what init calls the claim it makes itself"))
                .hint("leave --etcd-pvc out, and the claim is used as it is"));
        }
        name if names::is_rfc1123_subdomain(name) => return Ok(Claim::Existing(name.to_owned())),
        name => {
            return Err(Failure::usage(format!("invalid --etcd-pvc: \"{name}\" is not a name"))
                .hint("kubectl get pvc in the namespace of the control plane lists them"));
        }
    }
    if args.etcd_pv_capacity.ends_with('m') || amount(&args.etcd_pv_capacity).is_none() {
        return Err(
            Failure::usage(format!("invalid --etcd-pv-capacity: \"{}\" is not a size", args.etcd_pv_capacity)).hint("for example 10Gi")
        );
    }
    let class = match args.etcd_pv_storage_class.as_str() {
        "" => None,
        class if names::is_rfc1123_subdomain(class) => Some(class.to_owned()),
        class => {
            return Err(Failure::usage(format!("invalid --etcd-pv-storage-class: \"{class}\" is not a name"))
                .hint("kubectl get storageclass lists them"));
        }
    };
    Ok(Claim::Made { capacity: Quantity(args.etcd_pv_capacity.clone()), class })
}
