//! Settings of a control plane, resolved and checked; what the manifests are made from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dns_providers::PodNeeds;
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
    pub etcd: Etcd,
    /// How the API server is reached.
    pub service: Exposure,
    /// Arguments of the API server that differ from ours.
    pub apiserver_overrides: Overrides,
    /// Arguments of the controller manager that differ from ours.
    pub controller_manager_overrides: Overrides,
    /// How many API servers run; more than one only over [`Etcd::External`].
    pub apiserver_replicas: i32,
    /// How many controller managers run; one of them works.
    pub controller_manager_replicas: i32,
    /// Nodes both Deployments may run on.
    pub node_selector: BTreeMap<String, String>,
    /// Password authentication is wanted.
    pub basic_auth: bool,
    /// Token authentication is wanted.
    pub token_auth: bool,
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
pub enum Etcd {
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
}

/// A claim for etcd's volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Size.
    pub capacity: Quantity,
    /// Storage class; the cluster's default where there is none.
    pub class: Option<String>,
}

/// How the API server is reached from outside the host cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Exposure {
    /// A load balancer of the host cluster.
    LoadBalancer,
    /// A port of every node.
    NodePort {
        /// Address to tell clients; the nodes' own where there is none.
        advertise: Option<IpAddr>,
        /// The port; chosen by the host where there is none.
        port: Option<i32>,
    },
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
}

impl Addresses {
    /// URL for kubeconfigs; none while no address is known.
    pub fn url(&self) -> Option<String> {
        let host = self.ips.first().map(bracket).or_else(|| self.hostnames.first().cloned())?;
        Some(self.port.map_or_else(|| format!("https://{host}"), |port| format!("https://{host}:{port}")))
    }

    /// What v1 printed at the end: every address, or the first with its port.
    pub fn summary(&self) -> String {
        match (self.port, self.ips.as_slice()) {
            (Some(port), [first]) => format!("{}:{port}", bracket(first)),
            (Some(port), [first, ..]) => format!("{}:{port}, ...", bracket(first)),
            _ => self.ips.iter().map(ToString::to_string).chain(self.hostnames.iter().cloned()).collect::<Vec<_>>().join(", "),
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
        let lb = Addresses { ips: ips(&["198.18.0.1", "fd00::1"]), hostnames: vec!["lb.example.com".into()], port: None };
        assert_eq!(lb.url().as_deref(), Some("https://198.18.0.1"));
        assert_eq!(lb.summary(), "198.18.0.1, fd00::1, lb.example.com");
        let name_only = Addresses { hostnames: vec!["lb.example.com".into()], ..Addresses::default() };
        assert_eq!(name_only.url().as_deref(), Some("https://lb.example.com"));
        let nodes = Addresses { ips: ips(&["fd00::1", "198.18.0.1"]), hostnames: vec![], port: Some(31000) };
        assert_eq!(nodes.url().as_deref(), Some("https://[fd00::1]:31000"));
        assert_eq!(nodes.summary(), "[fd00::1]:31000, ...");
        assert_eq!(Addresses::default().url(), None);
    }
}
