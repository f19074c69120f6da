//! Keeps the status of federated Services, and tells DNS where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daemon::backoff::Backoff;
use federation_api::keys;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{READ, WRITE};
use crate::dns::{DnsHandle, ServiceKey};
use crate::follow::{Change, Head, Source};
use crate::kinds::{KINDS, id, path};
use crate::members::{Health, Member, MemberChange, Members, Services};

use super::aggregate::{Cluster, aggregate};
use super::ingress::ServiceIngresses;
use super::members::{is_load_balancer, seen};
use super::status::{self, Wanted};

/// News are gathered for so long.
const GATHER: Duration = Duration::from_millis(50);
/// Members are waited for so long after the start, so that the first answer is made of all of them.
const SETTLE: Duration = Duration::from_secs(15);
/// While waiting for members, this often looked whether they are there.
const SETTLE_LOOK: Duration = Duration::from_millis(100);
/// Statuses written at a time.
const WRITES: usize = 16;

/// Runs the Service controller until told to stop; `dns` is told where each Service is.
pub async fn run(client: Client, members: Members, dns: Option<DnsHandle>, stop: CancellationToken) {
    // Unbounded: the API server's rate bounds it, and it is read but while statuses are written.
    let (tell, told) = mpsc::unbounded_channel();
    let source = Source::new(client.clone(), path(&KINDS[id("Service")], "", ""), "");
    let following = source.follow(move |change| drop(tell.send(change)));
    let controller = Controller {
        client,
        members,
        dns,
        services: Services::default(),
        unreadable: BTreeSet::new(),
        listed: BTreeSet::new(),
        orphaned: BTreeSet::new(),
        unread: false,
        known: BTreeMap::new(),
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = following => {}
        () = controller.work(told) => {}
    }
}

struct Controller {
    client: Client,
    members: Members,
    dns: Option<DnsHandle>,
    services: Services,
    /// Services that are there and were never read.
    unreadable: BTreeSet<ServiceKey>,
    /// Services there were, to find those that a new list lacks.
    listed: BTreeSet<ServiceKey>,
    /// Services seen on their way out with finalizer `orphan`: members keep their copies, and DNS the names.
    orphaned: BTreeSet<ServiceKey>,
    /// Whether some member was not read when clusters last changed.
    unread: bool,
    /// Region and zones of the clusters as last seen, to tell which names may go when one leaves or moves.
    known: BTreeMap<String, (String, Vec<String>)>,
}

impl Controller {
    async fn work(mut self, mut told: mpsc::UnboundedReceiver<Change<Service>>) {
        let mut changes = self.members.changes();
        let mut dirty: BTreeSet<ServiceKey> = BTreeSet::new();
        let start = Instant::now();
        let expected = self.joined().await;
        let (mut listed, mut settled) = (false, false);
        let mut next = Some(start);
        let mut retry = Backoff::new(WRITE);
        loop {
            let wake = next.unwrap_or(start);
            tokio::select! {
                change = told.recv() => {
                    let Some(change) = change else { return };
                    listed |= matches!(change, Change::Listed(_));
                    self.federated(change, &mut dirty);
                }
                change = changes.recv() => match change {
                    Ok(MemberChange::Service { namespace, name, .. } | MemberChange::Endpoints { namespace, service: name, .. }) => {
                        dirty.insert(ServiceKey { namespace, name });
                    }
                    Ok(MemberChange::Cluster(_)) | Err(RecvError::Lagged(_)) => {
                        self.clusters_changed();
                        dirty.extend(self.everything());
                    }
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep_until(wake), if next.is_some() => {
                    next = None;
                    if !settled {
                        settled = listed && (self.members_known(&expected) || start.elapsed() >= SETTLE);
                        if !settled {
                            next = Some(Instant::now() + SETTLE_LOOK);
                            continue;
                        }
                        self.clusters_changed();
                        dirty.extend(self.everything());
                    }
                    dirty = self.pass(std::mem::take(&mut dirty)).await;
                    if let Some(dns) = &self.dns {
                        dns.complete();
                    }
                    if dirty.is_empty() {
                        retry.succeeded();
                    } else {
                        next = Some(Instant::now() + retry.failed());
                    }
                    continue;
                }
            }
            if !dirty.is_empty() && settled {
                let soon = Instant::now() + GATHER;
                next = Some(next.map_or(soon, |at| at.min(soon)));
            }
        }
    }

    /// Takes in what happened in the federation.
    fn federated(&mut self, change: Change<Service>, dirty: &mut BTreeSet<ServiceKey>) {
        match &change {
            Change::Listed(listing) => listing.objects.iter().for_each(|service| self.note(service)),
            Change::Changed(service) | Change::Gone(_, Some(service)) => self.note(service),
            _ => {}
        }
        self.services.take(&change);
        match change {
            Change::Listed(listing) => {
                self.unreadable.clear();
                listing.unreadable.into_iter().for_each(|head| self.cannot_read(head));
                let now = self.all();
                for lost in std::mem::replace(&mut self.listed, now.clone()).difference(&now) {
                    if let Some(dns) = &self.dns {
                        dns.lost(lost.clone());
                    }
                }
                dirty.extend(now);
            }
            Change::Changed(service) => {
                let service = key(&service);
                self.unreadable.remove(&service);
                self.listed.insert(service.clone());
                dirty.insert(service);
            }
            Change::Gone(head, last) => {
                let service = key_of(head);
                self.listed.remove(&service);
                self.unreadable.remove(&service);
                // Of one that could not be read nobody knows whether its copies stay: they themselves tell.
                if self.orphaned.remove(&service) || last.is_none() {
                    dirty.insert(service);
                } else if let Some(dns) = &self.dns {
                    dns.withdraw(service);
                }
            }
            Change::Unreadable(head, error) => {
                tracing::warn!(name = head.name, namespace = head.namespace, error, "a Service cannot be read and stays as it is known");
                self.cannot_read(head);
            }
            Change::Failing(error) => tracing::warn!(error, "watching federated Services; trying again"),
            Change::Watching => tracing::info!("federated Services can be watched again"),
        }
    }

    /// A Service is there and cannot be read. It stays as it is known; of one that is not known the names stay, before
    /// all Services count as told.
    fn cannot_read(&mut self, head: Head) {
        let service = key_of(head);
        if self.services.get(&service.namespace, &service.name).is_none() {
            if let Some(dns) = &self.dns {
                dns.keep(service.clone());
            }
            self.unreadable.insert(service);
        }
    }

    /// Remembers a deletion that leaves the copies. Once seen it holds: the finalizer goes before the object does.
    fn note(&mut self, service: &Service) {
        if service.metadata.deletion_timestamp.is_none() {
            self.orphaned.remove(&key(service));
        } else if service.finalizers().iter().any(|f| f == keys::ORPHAN) {
            self.orphaned.insert(key(service));
            if let Some(dns) = &self.dns {
                dns.keep(key(service));
            }
        }
    }

    /// Names of the clusters that are joined now; asked until there is an answer.
    async fn joined(&self) -> BTreeSet<String> {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(keys::GROUP, keys::VERSION, "Cluster"), "clusters");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let mut retry = Backoff::new(READ);
        loop {
            match api.list_metadata(&kube::api::ListParams::default()).await {
                Ok(clusters) => return clusters.items.iter().map(ResourceExt::name_any).collect(),
                Err(error) => tracing::warn!(%error, "listing clusters; trying again"),
            }
            retry.pause().await;
        }
    }

    /// Whether enough is known of every joined member: what it holds, or that it is away.
    fn members_known(&self, expected: &BTreeSet<String>) -> bool {
        let members = self.members.current();
        let known = |member: &Member| match member.health {
            Health::Unknown => false,
            Health::Ready => member.synced(),
            Health::NotReady | Health::Offline => true,
        };
        expected.iter().all(|name| members.contains_key(name)) && members.values().all(known)
    }

    fn clusters_changed(&mut self) {
        let members = self.members.current();
        self.unread = !members.values().all(Member::synced);
        let now = members.iter().map(|(name, m)| (name.clone(), (m.region.clone(), m.zones.clone()))).collect();
        let before = std::mem::replace(&mut self.known, now);
        let Some(dns) = &self.dns else { return };
        dns.consent(members.values().any(|m| m.annotations.get(keys::DNS_DELETION).is_some_and(|v| v == "allow")));
        for (name, (region, zones)) in &before {
            match self.known.get(name) {
                None => dns.cluster_left(region, zones),
                Some(now) if (&now.0, &now.1) != (region, zones) => dns.cluster_moved((region, zones), (&now.0, &now.1)),
                Some(_) => {}
            }
        }
    }

    fn all(&self) -> BTreeSet<ServiceKey> {
        names(&self.services).chain(self.unreadable.iter().cloned()).collect()
    }

    /// Every Service in the federation, and those only members have.
    fn everything(&self) -> BTreeSet<ServiceKey> {
        let mut all = self.all();
        for member in self.members.current().values() {
            all.extend(names(&member.services));
        }
        all
    }

    /// Works out some Services anew; returns those whose status could not be written.
    async fn pass(&self, dirty: BTreeSet<ServiceKey>) -> BTreeSet<ServiceKey> {
        let members = self.members.current();
        let mut writes = Vec::new();
        for service_key in dirty {
            let ServiceKey { namespace, name } = &service_key;
            let Some(service) = self.services.get(namespace, name) else {
                if let Some(dns) = &self.dns {
                    let copy = |member: &Member| member.services.get(namespace, name).is_some_and(|copy| is_load_balancer(&copy));
                    if self.unreadable.contains(&service_key) || members.values().any(copy) {
                        dns.keep(service_key)
                    } else {
                        dns.release(service_key)
                    }
                }
                continue;
            };
            let mut wanted = Wanted::default();
            if is_load_balancer(&service) && service.metadata.deletion_timestamp.is_none() {
                let before = service.annotations().get(keys::SERVICE_INGRESSES).and_then(|text| ServiceIngresses::parse(text));
                let cluster = |(cluster, member): (&String, &Member)| {
                    let answers = member.endpoints.answer(namespace, name);
                    let seen = member.synced().then(|| seen(member.services.get(namespace, name).as_deref(), answers));
                    let ready = member.health == Health::Ready;
                    (cluster.clone(), Cluster { ready, zones: member.zones.clone(), region: member.region.clone(), seen })
                };
                let out = aggregate(&members.iter().map(cluster).collect(), &before.unwrap_or_default());
                wanted = Wanted { status: out.status, ingresses: Some(out.ingresses) };
                if let Some(dns) = &self.dns {
                    let metadata = &service.metadata;
                    let (uid, version) = (metadata.uid.as_deref(), metadata.resource_version.as_deref());
                    dns.identify(&service_key, uid.unwrap_or_default(), version.unwrap_or_default());
                    dns.publish(service_key.clone(), out.sites);
                }
            } else if let (Some(dns), false) = (&self.dns, self.orphaned.contains(&service_key)) {
                dns.withdraw(service_key.clone());
            }
            // A Service on its way out keeps its status: nobody needs it, and its deletion is not disturbed.
            if let (None, Some(patch)) = (&service.metadata.deletion_timestamp, status::patch(&service, &wanted)) {
                writes.push((service_key, service, patch));
            }
        }
        if let Some(dns) = &self.dns {
            dns.unread(self.unread);
        }
        let write = |(service_key, service, patch)| async move {
            let service: std::sync::Arc<Service> = service;
            let result = status::write(self.client.clone(), &service, patch).await;
            result.err().map(|error| {
                tracing::warn!(service = %service_key, %error, "the status of a federated Service was not written");
                service_key
            })
        };
        let failed: Vec<Option<ServiceKey>> = futures::stream::iter(writes).map(write).buffer_unordered(WRITES).collect().await;
        failed.into_iter().flatten().collect()
    }
}

fn names(services: &Services) -> impl Iterator<Item = ServiceKey> + use<> {
    services.names().into_iter().map(|(namespace, name)| ServiceKey { namespace, name })
}

fn key_of(head: Head) -> ServiceKey {
    ServiceKey { namespace: head.namespace, name: head.name }
}

fn key(service: &Service) -> ServiceKey {
    ServiceKey { namespace: service.namespace().unwrap_or_default(), name: service.name_any() }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
