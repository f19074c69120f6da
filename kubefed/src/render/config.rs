//! Settings of a control plane, resolved and checked; what the manifests are made from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use dns_providers::PodNeeds;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::render::args::Overrides;
use crate::render::names::Federation;

/// Everything `kubefed init` decided before it contacted the host.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// Name and namespace.
    pub federation: Federation,
    /// Where names of federated Services are published.
    pub dns: Dns,
    /// Image of both components.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Secret for pulling images.
    pub image_pull_secret: Option<String>,
    /// Where the API server stores.
    pub storage: Storage,
    /// How the API server is reached.
    pub service: Exposure,
    /// Annotations of the API server's Service.
    pub service_annotations: BTreeMap<String, String>,
    /// What stands in front of the API servers.
    pub endpoint: Option<Endpoint>,
    /// What its certificate names besides.
    pub extra_names: Names,
    /// Arguments of the API server that differ from ours.
    pub apiserver_overrides: Overrides,
    /// Arguments of the controller manager that differ from ours.
    pub controller_manager_overrides: Overrides,
    /// How many API servers run; more than one only over [`Storage::External`].
    pub apiserver_replicas: i32,
    /// How many controller managers run; one of them works.
    pub controller_manager_replicas: i32,
    /// Where pods run, and what they are marked with.
    pub pods: Pods,
    /// What the API server's container asks for.
    pub apiserver_sizes: Sizes,
    /// What the controller manager's container asks for.
    pub controller_manager_sizes: Sizes,
    /// Password authentication is wanted.
    pub basic_auth: bool,
    /// Token authentication is wanted.
    pub token_auth: bool,
}

/// Where pods run, and what they are marked with.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    /// Nodes they may run on.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not keep them away.
    pub tolerations: Vec<Toleration>,
    /// Priority class.
    pub priority_class: Option<String>,
    /// Annotations, beside our own.
    pub annotations: BTreeMap<String, String>,
    /// Labels, beside our own.
    pub labels: BTreeMap<String, String>,
}

/// What a container asks for, by resource; it counts more than our defaults.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// Requests.
    pub requests: BTreeMap<String, Quantity>,
    /// Limits.
    pub limits: BTreeMap<String, Quantity>,
}

/// A load balancer, a virtual address or a DNS name in front of the API servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Name or IP address.
    pub host: String,
    /// Port; that of the Service where there is none.
    pub port: Option<u16>,
}

/// What a certificate names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
}

impl Names {
    /// Adds a name or an address.
    pub fn add(&mut self, text: &str) {
        match text.parse() {
            Ok(ip) => self.ips.push(ip),
            Err(_) => self.dns.push(text.to_owned()),
        }
    }
}

/// The DNS side of a federation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dns {
    /// Provider name.
    pub provider: String,
    /// Zone as given; names are published below it.
    pub zone: String,
    /// What the provider needs in the controller manager's pod.
    pub needs: PodNeeds,
}

impl Dns {
    /// The zone without dots at the end, as v1's annotations have it.
    pub fn bare_zone(&self) -> &str {
        self.zone.trim_end_matches('.')
    }
}

/// A file of the machine `init` runs on that pods read.
pub use dns_providers::File as Mounted;

/// Where the API server stores.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// Servers that run elsewhere.
    External {
        /// Their URLs, separated by commas.
        servers: String,
        /// Files for TLS towards them, each with the API server's flag for it.
        files: Vec<(&'static str, Mounted)>,
    },
    /// A container beside the API server.
    Pod {
        /// Its image.
        image: String,
        /// Its volume; none is the pod's own scratch space.
        claim: Option<Claim>,
        /// User it runs as.
        user: i64,
    },
    /// A file of the API server's own.
    Embedded {
        /// Its volume; none is the pod's own scratch space.
        claim: Option<Claim>,
    },
}

impl Storage {
    /// The claim the data lies on.
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Pod { claim, .. } | Self::Embedded { claim } => claim.as_ref(),
            Self::External { .. } => None,
        }
    }
}

/// A claim for the volume the data lies on.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// One that `init` makes.
    Made {
        /// Size.
        capacity: Quantity,
        /// Storage class; the cluster's default where there is none.
        class: Option<String>,
    },
    /// One that is there, by its name. It is never deleted.
    Existing(String),
}

impl Claim {
    /// Its name.
    pub fn name(&self, federation: &Federation) -> String {
        match self {
            Self::Made { .. } => federation.etcd_claim(),
            Self::Existing(name) => name.clone(),
        }
    }
}

/// How the API server is reached from outside the host cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Exposure {
    /// A load balancer of the host cluster.
    LoadBalancer,
    /// An address inside the host cluster.
    ClusterIp,
    /// A port of every node.
    NodePort {
        /// Address to tell clients; the nodes' own where there is none.
        advertise: Option<IpAddr>,
        /// The port; chosen by the host where there is none.
        port: Option<i32>,
    },
}

impl Exposure {
    /// The type of the Service.
    pub fn word(&self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::ClusterIp => "ClusterIP",
            Self::NodePort { .. } => "NodePort",
        }
    }
}

/// Where the API server turned out to be reachable.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// IP addresses, best first.
    pub ips: Vec<IpAddr>,
    /// Host names, as some load balancers give.
    pub hostnames: Vec<String>,
    /// Port other than 443.
    pub port: Option<i32>,
    /// What stands in front, which clients are told instead.
    pub endpoint: Option<Endpoint>,
}

impl Addresses {
    /// URL for kubeconfigs; none while no address is known.
    pub fn url(&self) -> Option<String> {
        if let Some(endpoint) = &self.endpoint {
            return Some(format!("https://{endpoint}"));
        }
        let host = self.ips.first().map(bracket).or_else(|| self.hostnames.first().cloned())?;
        Some(self.port.map_or_else(|| format!("https://{host}"), |port| format!("https://{host}:{port}")))
    }

    /// What v1 printed at the end: every address, or the first with its port.
    pub fn summary(&self) -> String {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.to_string();
        }
        match (self.port, self.ips.as_slice()) {
            (Some(port), [first]) => format!("{}:{port}", bracket(first)),
            (Some(port), [first, ..]) => format!("{}:{port}, ...", bracket(first)),
            _ => self.ips.iter().map(ToString::to_string).chain(self.hostnames.iter().cloned()).collect::<Vec<_>>().join(", "),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.parse().map_or_else(|_| self.host.clone(), |ip| bracket(&ip));
        match self.port {
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(&host),
        }
    }
}

fn bracket(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|s| s.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_are_told_as_v1_told_them() {
        let lb = Addresses { ips: ips(&["198.18.0.1", "fd00::1"]), hostnames: vec!["lb.example.com".into()], ..Addresses::default() };
        assert_eq!(lb.url().as_deref(), Some("https://198.18.0.1"));
        assert_eq!(lb.summary(), "198.18.0.1, fd00::1, lb.example.com");
        let name_only = Addresses { hostnames: vec!["lb.example.com".into()], ..Addresses::default() };
        assert_eq!(name_only.url().as_deref(), Some("https://lb.example.com"));
        let nodes = Addresses { ips: ips(&["fd00::1", "198.18.0.1"]), port: Some(31000), ..Addresses::default() };
        assert_eq!(nodes.url().as_deref(), Some("https://[fd00::1]:31000"));
        assert_eq!(nodes.summary(), "[fd00::1]:31000, ...");
        assert_eq!(Addresses::default().url(), None);
        let before = |host: &str, port| Addresses { endpoint: Some(Endpoint { host: host.into(), port }), ..nodes.clone() };
        assert_eq!(before("fed.example.com", None).url().as_deref(), Some("https://fed.example.com"));
        assert_eq!(before("fd00::2", Some(6443)).url().as_deref(), Some("https://[fd00::2]:6443"));
        assert_eq!(before("fd00::2", Some(6443)).summary(), "[fd00::2]:6443");
    }
}
