//! What a federation wants in DNS: from its Services and Clusters, as its API tells them, by the functions the controller
//! manager itself decides with.

use std::collections::{BTreeMap, BTreeSet};

use dns_providers::{DnsName, RecordSet};
use federation_api::cluster::{ClusterSpec, ClusterStatus};
use federation_api::keys;
use federation_api::record::PropagationRecordSpec;
use federation_controller_manager::dns::place::place;
use federation_controller_manager::dns::records::{Desired, Place, desired};
use federation_controller_manager::dns::resolve::{Resolved, System};
use federation_controller_manager::dns::{ServiceKey, Target, Tree};
use federation_controller_manager::services::told::{Told, has_names, told};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;

use crate::connection::Connection;
use crate::error::Failure;
use crate::render::federated;

/// What a federation wants.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// By name.
    pub(super) sets: BTreeMap<DnsName, Vec<RecordSet>>,
    /// All Services there are, and whether they have names.
    pub(super) services: BTreeMap<ServiceKey, bool>,
    /// Services whose names cannot be told, each with the reason. Nothing is wanted of them, and nothing unwanted.
    pub(super) untold: BTreeMap<ServiceKey, String>,
    /// Names that break a rule of DNS, by Service.
    pub(super) problems: BTreeMap<ServiceKey, Vec<String>>,
}

/// What the federation's API says.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) services: BTreeMap<ServiceKey, Service>,
    pub(super) clusters: BTreeMap<String, ClusterStatus>,
    pub(super) specs: BTreeMap<String, ClusterSpec>,
    /// Annotations of the clusters.
    pub(super) annotations: BTreeMap<String, BTreeMap<String, String>>,
    /// Clusters that have a copy of a Service.
    pub(super) holders: BTreeMap<ServiceKey, BTreeSet<String>>,
}

impl Seen {
    /// Reads all of it.
    ///
    /// # Errors
    /// Anything that cannot be read: what is not known is never taken for what is not there.
    pub(super) async fn read(at: &Connection) -> Result<Self, Failure> {
        let mut seen = Seen::default();
        let params = ListParams::default();
        at.pages(&at.api(&federated::resource(), None), "listing clusters", &params, |object: DynamicObject| {
            let name = object.name_any();
            seen.clusters.insert(name.clone(), ClusterStatus::deserialize(&object.data["status"]).unwrap_or_default());
            seen.specs.insert(name.clone(), ClusterSpec::deserialize(&object.data["spec"]).unwrap_or_default());
            seen.annotations.insert(name, object.annotations().clone());
        })
        .await?;
        let kind = GroupVersionKind::gvk(keys::GROUP, keys::VERSION, "PropagationRecord");
        let records = ApiResource::from_gvk_with_plural(&kind, "propagationrecords");
        at.pages(&at.api(&records, None), "listing propagationrecords", &params, |object: DynamicObject| {
            let Ok(record) = PropagationRecordSpec::deserialize(&object.data["spec"]) else { return };
            if record.deleted.is_none() && (record.object.group.as_str(), record.object.resource.as_str()) == ("", "services") {
                let key = ServiceKey { namespace: record.object.namespace, name: record.object.name };
                let has = record.clusters.into_iter().filter(|(_, copy)| !copy.applied.is_empty()).map(|(cluster, _)| cluster);
                seen.holders.entry(key).or_default().extend(has);
            }
        })
        .await?;
        at.pages(&Api::<Service>::all(at.client.clone()), "listing services", &params, |service| {
            let key = ServiceKey { namespace: service.namespace().unwrap_or_default(), name: service.name_any() };
            seen.services.insert(key, service);
        })
        .await?;
        Ok(seen)
    }

    /// Where a Service that has names is.
    pub(super) fn told(&self, key: &ServiceKey) -> Option<Told> {
        let service = self.services.get(key).filter(|service| has_names(service))?;
        Some(told(service, &self.clusters, self.holders.get(key).unwrap_or(&BTreeSet::new())))
    }

    /// Works out what is wanted. Host names of load balancers are resolved here.
    pub(super) async fn wanted(&self, tree: &Tree) -> Wanted {
        let told: BTreeMap<&ServiceKey, Told> = self.services.keys().filter_map(|key| Some((key, self.told(key)?))).collect();
        let targets = told.values().flat_map(|told| &told.sites).flat_map(|site| &site.targets);
        let hosts: BTreeSet<String> = targets.filter_map(|t| if let Target::Host(host) = t { Some(host.clone()) } else { None }).collect();
        let mut resolved = Resolved::default();
        let failures = match hosts.is_empty() {
            true => BTreeMap::new(),
            false => resolved.refresh(&System::default(), &hosts).await,
        };
        let mut out =
            Wanted { services: self.services.keys().map(|key| (key.clone(), told.contains_key(key))).collect(), ..Wanted::default() };
        for (key, told) in told {
            if told.unsure {
                let reason = "nothing answers behind it in any cluster, and the federation does not tell which address is whose";
                out.untold.insert(key.clone(), reason.to_owned());
                continue;
            }
            let (mut places, mut unknown): (Vec<Place>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
            for site in &told.sites {
                let mut unresolved = BTreeSet::new();
                let place = place(tree, site, &resolved, &mut unresolved);
                if place.host.is_none() {
                    unknown.extend(unresolved);
                }
                places.push(place);
            }
            if let Some(host) = unknown.first() {
                let why = failures.get(host).map_or_else(|| "not resolved".to_owned(), ToString::to_string);
                out.untold.insert(key.clone(), format!("its load balancer {host} is not resolved here: {why}"));
                continue;
            }
            let Desired { sets, problems } = desired(tree, key, &places);
            for set in sets {
                out.sets.entry(set.name.clone()).or_default().push(set);
            }
            if !problems.is_empty() {
                out.problems.insert(key.clone(), problems);
            }
        }
        out
    }
}
