//! From what the federation's API tells of a Service to where it is: what its controllers know from the members, as far as
//! they wrote it down. For programs that cannot ask the controllers. Pure.

use std::collections::{BTreeMap, BTreeSet};

use federation_api::cluster::ClusterStatus;
use federation_api::keys;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;

use crate::dns::{Site, Target, Worth};

use super::ingress::{Ingress, ServiceIngresses};
use super::members::{addresses, is_load_balancer};

/// Where a Service is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Told {
    /// In these places.
    pub sites: Vec<Site>,
    /// Nothing answers anywhere, so addresses behind which nothing answers are published, and the API does not tell which
    /// cluster they are of: what is published cannot be told.
    pub unsure: bool,
}

/// Whether a Service has names: it is of type `LoadBalancer`, and not on its way out.
pub fn has_names(service: &Service) -> bool {
    is_load_balancer(service) && service.metadata.deletion_timestamp.is_none()
}

/// Where a Service that has names is. `holders` are the clusters that have a copy of it, by its propagation record.
pub fn told(service: &Service, clusters: &BTreeMap<String, ClusterStatus>, holders: &BTreeSet<String>) -> Told {
    let annotation = service.annotations().get(keys::SERVICE_INGRESSES);
    let ingresses = annotation.and_then(|text| ServiceIngresses::parse(text)).unwrap_or_default();
    let mut out = Told::default();
    // Clusters with a load balancer behind which nothing answers: their addresses are in the status only.
    let mut idle: Vec<(usize, bool)> = Vec::new();
    for (name, cluster) in clusters {
        let items = match ingresses.of(name) {
            Some(entry) => entry.items.as_deref(),
            None if holders.contains(name) => Some(&[][..]),
            None => continue,
        };
        if items.is_none() {
            idle.push((out.sites.len(), cluster.is_ready()));
        }
        let targets: Vec<Target> = items.unwrap_or_default().iter().filter_map(Ingress::target).collect();
        let worth = match (targets.is_empty(), cluster.is_ready()) {
            (true, _) => Worth::Idle,
            (false, true) => Worth::Serving,
            (false, false) => Worth::LastKnown,
        };
        out.sites.push(Site { region: cluster.region.clone(), zones: cluster.zones.clone(), targets, worth });
    }
    if out.sites.iter().all(|site| site.worth == Worth::Idle) {
        match idle.as_slice() {
            [] => {}
            // It is ready, so the status has its addresses, and those of no other.
            [(only, true)] => out.sites[*only].targets = addresses(service).iter().filter_map(Ingress::target).collect(),
            _ => out.unsure = true,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use dns_providers::DnsName;
    use federation_api::cluster::ClusterCondition;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::dns::place::place;
    use crate::dns::records::{Desired, desired};
    use crate::dns::resolve::Resolved;
    use crate::dns::{ServiceKey, TTL, Tree};
    use crate::services::aggregate::{Aggregate, Cluster, Seen, aggregate};

    fn cluster(nth: usize, ready: bool) -> ClusterStatus {
        let condition =
            ClusterCondition { type_: "Ready".into(), status: if ready { "True" } else { "False" }.into(), ..ClusterCondition::default() };
        ClusterStatus { conditions: vec![condition], region: format!("r{}", nth / 2), zones: vec![format!("z{nth}")] }
    }

    fn service(of: &Aggregate) -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shire", "annotations": {keys::SERVICE_INGRESSES: of.ingresses.render()}},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": of.status}}
        }))
        .unwrap()
    }

    fn wanted(sites: &[Site]) -> Desired {
        let suffix = DnsName::parse("example.com").unwrap();
        let tree = Tree { federation: "f".into(), suffix, ttl: TTL, aliases_out: false };
        let places: Vec<_> = sites.iter().map(|site| place(&tree, site, &Resolved::default(), &mut BTreeSet::new())).collect();
        desired(&tree, &ServiceKey { namespace: "shire".into(), name: "web".into() }, &places)
    }

    /// What clusters hold: whether the Service is there, its addresses, whether something answers, and whether the cluster
    /// is lost after it was told.
    fn member() -> impl Strategy<Value = (bool, BTreeSet<u8>, bool, bool)> {
        (any::<bool>(), prop::collection::btree_set(1u8..5, 0..3), any::<bool>(), any::<bool>())
    }

    proptest! {
        #[test]
        fn what_is_told_publishes_what_the_controllers_publish(members in prop::collection::vec(member(), 0..5)) {
            let (mut known, mut statuses, mut holders) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
            for (nth, (present, ips, answers, _)) in members.iter().enumerate() {
                let ingress = ips.iter().map(|ip| Ingress { ip: format!("192.0.{nth}.{ip}"), hostname: String::new() }).collect();
                let seen = if *present { Seen { present: true, ingress, answers: *answers } } else { Seen::default() };
                let ClusterStatus { region, zones, .. } = cluster(nth, true);
                known.insert(format!("c{nth}"), Cluster { ready: true, zones, region, seen: Some(seen) });
                if *present {
                    holders.insert(format!("c{nth}"));
                }
            }
            let before = aggregate(&known, &ServiceIngresses::default());
            for (nth, (.., lost)) in members.iter().enumerate() {
                known.entry(format!("c{nth}")).and_modify(|cluster| cluster.ready = !lost);
                statuses.insert(format!("c{nth}"), cluster(nth, !lost));
            }
            let now = aggregate(&known, &before.ingresses);
            let told = told(&service(&now), &statuses, &holders);
            if told.unsure {
                prop_assert!(now.sites.iter().all(|site| site.worth == Worth::Idle || site.targets.is_empty()), "{:?}", now.sites);
            } else {
                prop_assert_eq!(wanted(&told.sites), wanted(&now.sites));
            }
        }
    }

    #[test]
    fn only_services_that_stay_and_have_load_balancers_have_names() {
        let mut web = service(&Aggregate::default());
        assert!(has_names(&web));
        web.metadata.deletion_timestamp = serde_json::from_value(json!("2027-06-01T10:00:00Z")).unwrap();
        assert!(!has_names(&web));
        web = Service::default();
        assert!(!has_names(&web));
    }
}
