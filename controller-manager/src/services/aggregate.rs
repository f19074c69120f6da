//! From a Service in all members to the federated Service's status and to its places in DNS. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::dns::{Site, Target, Worth};

use super::ingress::{ClusterIngress, Ingress, ServiceIngresses};

/// One member as the Service controller sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cluster {
    /// Whether it is ready; what is known of a member that is not is what was last seen.
    pub ready: bool,
    /// Zones; kept while it is away.
    pub zones: Vec<String>,
    /// Region; kept while it is away.
    pub region: String,
    /// What the member holds, or `None` if nothing was read of it yet.
    pub seen: Option<Seen>,
}

/// The Service in one member, as last read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Whether it is there and of type `LoadBalancer`.
    pub present: bool,
    /// Addresses of its load balancer: sorted, unique.
    pub ingress: Vec<Ingress>,
    /// Whether at least one endpoint is ready.
    pub answers: bool,
}

/// What follows for the federated Service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Aggregate {
    /// `status.loadBalancer.ingress`: sorted, unique.
    pub status: Vec<Ingress>,
    /// The annotation.
    pub ingresses: ServiceIngresses,
    /// Where the Service is.
    pub sites: Vec<Site>,
}

/// Puts the members together. `before` is the annotation as it stands: it fills in only for members that
/// are away and were not read since this process started.
pub fn aggregate(clusters: &BTreeMap<String, Cluster>, before: &ServiceIngresses) -> Aggregate {
    let mut out = Aggregate::default();
    let mut status = BTreeSet::new();
    for (name, cluster) in clusters {
        let entry = before.of(name);
        let seen = match (&cluster.seen, entry) {
            (Some(seen), _) => seen.clone(),
            (None, Some(entry)) => {
                let ingress = entry.items.clone().unwrap_or_default();
                Seen { present: true, answers: !ingress.is_empty(), ingress }
            }
            (None, None) => continue,
        };
        let live = cluster.ready && cluster.seen.is_some();
        if live && seen.present && !seen.ingress.is_empty() {
            status.extend(seen.ingress.iter().cloned());
            let items = seen.answers.then(|| seen.ingress.clone());
            out.ingresses.items.push(ClusterIngress { cluster: name.clone(), items });
        } else if let (false, Some(entry)) = (live, entry) {
            out.ingresses.items.push(entry.clone());
        }
        if seen.present {
            let worth = match (live, seen.answers) {
                (true, true) => Worth::Serving,
                (false, true) => Worth::LastKnown,
                (_, false) => Worth::Idle,
            };
            let targets: Vec<Target> = seen.ingress.iter().filter_map(Ingress::target).collect();
            out.sites.push(Site { region: cluster.region.clone(), zones: cluster.zones.clone(), targets, worth });
        }
    }
    out.status.extend(status);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(ips: &[&str]) -> Vec<Ingress> {
        ips.iter().map(|ip| Ingress { ip: (*ip).to_owned(), hostname: String::new() }).collect()
    }

    fn cluster(ready: bool, seen: Option<(&[&str], bool)>) -> Cluster {
        let seen = seen.map(|(ips, answers)| Seen { present: true, ingress: ingress(ips), answers });
        Cluster { ready, zones: vec!["z".into()], region: "r".into(), seen }
    }

    fn run(clusters: &[(&str, Cluster)], before: &str) -> Aggregate {
        let clusters = clusters.iter().map(|(name, cluster)| ((*name).to_owned(), cluster.clone())).collect();
        aggregate(&clusters, &ServiceIngresses::parse(before).unwrap_or_default())
    }

    #[test]
    fn addresses_are_published_only_where_something_answers() {
        let out = run(
            &[
                ("c2", cluster(true, Some((&["192.0.2.2"], false)))),
                ("c1", cluster(true, Some((&["192.0.2.9", "192.0.2.1"], true)))),
                ("c3", cluster(true, Some((&[], true)))),
                ("c4", Cluster { ready: true, seen: Some(Seen::default()), ..Cluster::default() }),
            ],
            "",
        );
        assert_eq!(
            out.ingresses.render(),
            r#"{"items":[{"cluster":"c1","items":[{"ip":"192.0.2.9"},{"ip":"192.0.2.1"}]},{"cluster":"c2","items":null}]}"#
        );
        assert_eq!(out.status, ingress(&["192.0.2.1", "192.0.2.2", "192.0.2.9"]));
        assert_eq!(out.sites.iter().map(|s| s.worth).collect::<Vec<_>>(), [Worth::Serving, Worth::Idle, Worth::Serving]);
    }

    #[test]
    fn a_cluster_that_is_away_keeps_its_entry_and_leaves_the_status() {
        let before = r#"{"items":[{"cluster":"away","items":[{"ip":"192.0.2.1"}]},{"cluster":"left","items":null}]}"#;
        let out =
            run(&[("away", cluster(false, Some((&["192.0.2.1"], true)))), ("here", cluster(true, Some((&["192.0.2.2"], true))))], before);
        assert_eq!(
            out.ingresses.render(),
            r#"{"items":[{"cluster":"away","items":[{"ip":"192.0.2.1"}]},{"cluster":"here","items":[{"ip":"192.0.2.2"}]}]}"#
        );
        assert_eq!(out.status, ingress(&["192.0.2.2"]));
        assert_eq!(out.sites[0].worth, Worth::LastKnown);
    }

    #[test]
    fn after_a_restart_the_annotation_stands_in_for_members_not_read_yet_and_never_for_others() {
        let before = r#"{"items":[{"cluster":"unread","items":[{"ip":"192.0.2.1"}]},{"cluster":"read","items":[{"ip":"203.0.113.66"}]}]}"#;
        let out = run(&[("unread", cluster(true, None)), ("read", cluster(true, Some((&["192.0.2.2"], true))))], before);
        assert_eq!(out.sites.len(), 2);
        assert!(out.sites.iter().all(|s| s.targets != [Target::Address([203, 0, 113, 66].into())]), "what users write is not published");
        assert_eq!(out.sites.iter().map(|s| s.worth).collect::<Vec<_>>(), [Worth::Serving, Worth::LastKnown]);
        assert_eq!(out.ingresses.of("unread").unwrap().items, Some(ingress(&["192.0.2.1"])));
    }
}
