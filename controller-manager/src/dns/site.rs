//! What the DNS controller is told of Services, in its own words.

use std::net::IpAddr;

/// A Service of the federation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// How much the addresses of a place are worth. The best there is of a Service is published.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Worth {
    /// The cluster is ready, and nothing answers behind the addresses.
    Idle,
    /// The cluster is away; something answered when it was last seen.
    LastKnown,
    /// The cluster is ready and something answers.
    Serving,
}

/// What a load balancer is reached at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// An address.
    Address(IpAddr),
    /// A host name, which has to be resolved.
    Host(String),
}

/// A Service in one cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    /// Region of the cluster; empty if unknown.
    pub region: String,
    /// Zones of the cluster.
    pub zones: Vec<String>,
    /// What its load balancer is reached at.
    pub targets: Vec<Target>,
    /// What that is worth.
    pub worth: Worth,
}
