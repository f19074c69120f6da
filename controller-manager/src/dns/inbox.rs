//! What the Service controller hands over to the DNS controller, in memory; newer news replace older.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use dns_providers::DnsName;
use tokio::sync::Notify;

use super::records::Tree;
use super::site::{ServiceKey, Site};

/// News since they were last taken.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Services and where they are.
    pub(super) services: BTreeMap<ServiceKey, Where>,
    /// Services that are no more, and whether their copies in members were left in place.
    pub(super) kept: BTreeMap<ServiceKey, bool>,
    /// Whether some joined member was not read yet, where that changed.
    pub(super) unread: Option<bool>,
    /// Which objects the Services are, and as of when.
    pub(super) objects: BTreeMap<ServiceKey, Object>,
    /// Domains of the regions and zones that clusters left.
    pub(super) left: BTreeSet<DnsName>,
    /// Whether somebody consents to deletions that the brake holds back, where that changed.
    pub(super) consent: Option<bool>,
    /// All Services there are were told at least once.
    pub(super) complete: bool,
}

/// Where a Service is.
#[derive(Debug)]
pub(super) enum Where {
    /// In these places.
    At(Vec<Site>),
    /// Nowhere: it was seen deleted, or is no longer of type `LoadBalancer`.
    Withdrawn,
    /// Nowhere: it is missing from a list, and nobody saw it deleted.
    Lost,
}

/// The object of a Service.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    pub(super) uid: String,
    /// As acted upon.
    pub(super) resource_version: String,
}

/// Where the Service controller says what it knows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DnsHandle {
    news: Arc<Mutex<News>>,
    wake: Arc<Notify>,
    tree: Tree,
}

impl DnsHandle {
    pub(super) fn new(tree: Tree) -> Self {
        DnsHandle { news: Arc::default(), wake: Arc::default(), tree }
    }

    /// The Service is in these places.
    pub fn publish(&self, service: ServiceKey, sites: Vec<Site>) {
        self.tell(|news| {
            news.kept.remove(&service);
            news.services.insert(service, Where::At(sites));
        });
    }

    /// The Service has this uid, by which its Events are found, and with the resourceVersion acted upon its traces. The
    /// first version since news were taken counts: later ones are our own writes of its status.
    pub fn identify(&self, service: &ServiceKey, uid: &str, resource_version: &str) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let told = news.objects.entry(service.clone()).or_default();
        if told.uid != uid {
            *told = Object { uid: uid.to_owned(), resource_version: resource_version.to_owned() };
        }
    }

    /// The Service was deleted, or is no longer of type `LoadBalancer`: its names shall go.
    pub fn withdraw(&self, service: ServiceKey) {
        self.tell(|news| drop(news.services.insert(service, Where::Withdrawn)));
    }

    /// The Service is not in a complete list, though nobody saw it deleted: its names stay.
    pub fn lost(&self, service: ServiceKey) {
        self.tell(|news| drop(news.services.insert(service, Where::Lost)));
    }

    /// The Service is no more or about to go, and members keep their copies: its names stay as they are.
    pub fn keep(&self, service: ServiceKey) {
        self.tell(|news| {
            news.kept.insert(service, true);
        });
    }

    /// The Service is no more, and no member has a copy: what is left of its names is a leftover.
    pub fn release(&self, service: ServiceKey) {
        self.tell(|news| {
            news.kept.insert(service, false);
        });
    }

    /// Whether a joined member was not read yet: it may have copies of any Service, so there are no leftovers.
    pub fn unread(&self, unread: bool) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).unread = Some(unread);
    }

    /// A cluster was unjoined: names of its zones and region may go.
    pub fn cluster_left(&self, region: &str, zones: &[String]) {
        let levels = self.levels(region, zones);
        self.tell(|news| news.left.extend(levels));
    }

    /// A cluster has another region or other zones than before: names of what it is no longer in may go. One that
    /// merely lost its labels did not move.
    pub fn cluster_moved(&self, from: (&str, &[String]), to: (&str, &[String])) {
        if to.0.is_empty() || (to.1.is_empty() && !from.1.is_empty()) {
            return;
        }
        let still = self.levels(to.0, to.1);
        let levels: Vec<DnsName> = self.levels(from.0, from.1).into_iter().filter(|level| !still.contains(level)).collect();
        self.tell(|news| news.left.extend(levels));
    }

    /// Whether somebody consents to deletions that the brake holds back.
    pub fn consent(&self, consent: bool) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).consent = Some(consent);
        if consent {
            self.wake.notify_one();
        }
    }

    fn levels(&self, region: &str, zones: &[String]) -> BTreeSet<DnsName> {
        let levels = std::iter::once(None).chain(zones.iter().map(|z| Some(z.as_str())));
        levels.filter(|_| !region.is_empty()).filter_map(|zone| self.tree.level(region, zone)).collect()
    }

    /// Every Service there is was told: from now on names of no Service are leftovers.
    pub fn complete(&self) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut news.complete, true) {
            self.wake.notify_one();
        }
    }

    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take(&self) -> News {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = news.complete;
        std::mem::replace(&mut *news, News { complete, ..News::default() })
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }
}
