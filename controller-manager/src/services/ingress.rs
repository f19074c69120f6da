//! The annotation `federation.kubernetes.io/service-ingresses`, as Federation v1 wrote it.

use k8s_openapi::api::core::v1::LoadBalancerIngress;
use serde::{Deserialize, Serialize};

use crate::dns::Target;

/// Addresses of a Service, by cluster; sorted by cluster.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceIngresses {
    /// One entry a cluster that has a load balancer.
    #[serde(default)]
    pub items: Vec<ClusterIngress>,
}

/// Addresses in one cluster.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClusterIngress {
    /// Name of the Cluster.
    pub cluster: String,
    /// The addresses; `null` while nothing answers behind them.
    #[serde(default)]
    pub items: Option<Vec<Ingress>>,
}

/// One address of a load balancer.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Ingress {
    /// IP address, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Host name, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
}

impl Ingress {
    /// What it is to DNS; nothing where neither an address nor a name is told.
    pub fn target(&self) -> Option<Target> {
        let host = || (!self.hostname.is_empty()).then(|| Target::Host(self.hostname.clone()));
        self.ip.parse().ok().map(Target::Address).or_else(host)
    }
}

impl ServiceIngresses {
    /// Reads the annotation. It is writable by users, so anything that is not of its form counts as absent.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's value.
    pub fn render(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The entry of a cluster.
    pub fn of(&self, cluster: &str) -> Option<&ClusterIngress> {
        self.items.iter().find(|item| item.cluster == cluster)
    }
}

impl From<&LoadBalancerIngress> for Ingress {
    fn from(ingress: &LoadBalancerIngress) -> Self {
        Ingress { ip: ingress.ip.clone().unwrap_or_default(), hostname: ingress.hostname.clone().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_v1s() {
        let text =
            r#"{"items":[{"cluster":"c1","items":[{"ip":"192.0.2.1"},{"hostname":"lb.example.net"}]},{"cluster":"c2","items":null}]}"#;
        let parsed = ServiceIngresses::parse(text).unwrap();
        assert_eq!(parsed.render(), text);
        assert_eq!(parsed.of("c2").unwrap().items, None);
        assert_eq!(ServiceIngresses::parse("{\"items\": 3}"), None);
        assert_eq!(ServiceIngresses::parse("{}").unwrap().render(), r#"{"items":[]}"#);
    }

    #[test]
    fn an_address_goes_before_a_name() {
        let target = |ip: &str, hostname: &str| Ingress { ip: ip.into(), hostname: hostname.into() }.target();
        assert_eq!(target("192.0.2.1", "lb.example.net"), Some(Target::Address([192, 0, 2, 1].into())));
        assert_eq!(target("", "lb.example.net"), Some(Target::Host("lb.example.net".into())));
        assert_eq!((target("none", ""), target("", "")), (None, None));
    }
}
