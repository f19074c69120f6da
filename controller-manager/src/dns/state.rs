//! What the DNS controller knows between two passes, indexed by Service so that a pass costs as much as changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dns_providers::{Change, DnsName, Held, Owner, RecordSet, Rejected};

use tokio::time::Instant;

use super::diff::{Brake, HeldByName, diff, held_back};
use super::inbox::{News, Object, Where};
use super::place::place;
use super::records::{Place, Tree, desired};
use super::resolve::Resolved;
use super::site::{ServiceKey, Site, Target};

/// Unexplained deletions within this time count together.
const BRAKE_WINDOW: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct State {
    pub(super) sites: BTreeMap<ServiceKey, Vec<Site>>,
    desired: BTreeMap<DnsName, Vec<RecordSet>>,
    held: HeldByName,
    /// Names a Service has or should have.
    names: BTreeMap<ServiceKey, BTreeSet<DnsName>>,
    withdrawn: BTreeSet<ServiceKey>,
    /// Missing from a list, and nobody saw them deleted.
    lost: BTreeSet<ServiceKey>,
    /// Gone from the federation, with copies left in members.
    kept: BTreeSet<ServiceKey>,
    /// Some member was not read yet.
    unread: bool,
    objects: BTreeMap<ServiceKey, Object>,
    left: BTreeSet<DnsName>,
    /// As `left`, from before the last look at everything.
    left_before: BTreeSet<DnsName>,
    /// Somebody consents to deletions that the brake holds back.
    consent: bool,
    complete: bool,
    recent: VecDeque<(Instant, usize)>,
}

/// One pass worked out: what to send, and what is kept back.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) batch: Vec<Change>,
    pub(super) held_back: BTreeSet<DnsName>,
    unexplained: usize,
}

impl State {
    /// Takes news in; returns the Services they are about.
    pub(super) fn take(&mut self, news: News) -> BTreeSet<ServiceKey> {
        let dirty = news.services.keys().chain(news.kept.keys()).cloned().collect();
        for (service, sites) in news.services {
            match sites {
                Where::At(sites) => {
                    self.lost.remove(&service);
                    self.kept.remove(&service);
                    self.withdrawn.remove(&service);
                    self.sites.insert(service, sites);
                }
                Where::Withdrawn => {
                    self.sites.remove(&service);
                    self.lost.remove(&service);
                    self.withdrawn.insert(service);
                }
                Where::Lost => {
                    self.sites.remove(&service);
                    if !self.withdrawn.contains(&service) {
                        self.lost.insert(service);
                    }
                }
            }
        }
        for (service, kept) in news.kept {
            if kept {
                self.sites.remove(&service);
                self.kept.insert(service);
            } else {
                self.kept.remove(&service);
            }
        }
        self.unread = news.unread.unwrap_or(self.unread);
        self.objects.extend(news.objects);
        self.left.extend(news.left);
        let opened = news.complete && !std::mem::replace(&mut self.complete, true);
        let consent = news.consent.unwrap_or(self.consent);
        let allowed = !std::mem::replace(&mut self.consent, consent) && consent;
        // Leftovers were spared so far: now everything is looked at.
        if opened || allowed { self.all() } else { dirty }
    }

    /// All was looked at. Twice after clusters left or moved, a name that is there still is explained by them no
    /// more; once is not enough, as news of the Services come after those of the clusters.
    pub(super) fn clusters_settled(&mut self) {
        self.left_before = std::mem::take(&mut self.left);
    }

    /// uid of a Service; empty where there is no such Service.
    pub(super) fn uid(&self, service: &ServiceKey) -> &str {
        self.objects.get(service).map_or("", |object| &object.uid)
    }

    /// uid and resourceVersion of a Service; `None` where there is no such Service.
    pub(super) fn change(&self, service: &ServiceKey) -> Option<(&str, &str)> {
        self.objects.get(service).map(|object| (object.uid.as_str(), object.resource_version.as_str()))
    }

    /// Every Service that has, had or should have names.
    pub(super) fn all(&self) -> BTreeSet<ServiceKey> {
        self.names.keys().chain(self.sites.keys()).chain(&self.withdrawn).cloned().collect()
    }

    /// Host names of load balancers of some Services.
    pub(super) fn hosts(&self, of: &BTreeSet<ServiceKey>) -> BTreeSet<String> {
        let targets = of.iter().filter_map(|s| self.sites.get(s)).flatten().flat_map(|site| &site.targets);
        let host = |target: &Target| if let Target::Host(host) = target { Some(host.clone()) } else { None };
        targets.filter_map(host).collect()
    }

    /// Replaces what the provider holds.
    pub(super) fn set_held(&mut self, tree: &Tree, held: Vec<Held>) {
        self.held.clear();
        self.names.clear();
        for one in held {
            if let Some(service) = tree.service_of(&one.set.name) {
                self.names.entry(service).or_default().insert(one.set.name.clone());
                self.held.entry(one.set.name.clone()).or_default().push(one);
            }
        }
        for name in self.desired.keys() {
            if let Some(service) = tree.service_of(name) {
                self.names.entry(service).or_default().insert(name.clone());
            }
        }
    }

    /// Works out the records of one Service anew. Returns names that break a rule, and load balancers
    /// whose host name has no known address.
    pub(super) fn refresh(&mut self, tree: &Tree, service: &ServiceKey, resolved: &Resolved) -> (Vec<String>, BTreeSet<String>) {
        let mut unresolved = BTreeSet::new();
        let places: Vec<Place> = self.sites.get(service).into_iter().flatten().map(|s| place(tree, s, resolved, &mut unresolved)).collect();
        let wanted = desired(tree, service, &places);
        let names = self.names.entry(service.clone()).or_default();
        for name in names.iter() {
            self.desired.remove(name);
        }
        for set in wanted.sets {
            names.insert(set.name.clone());
            self.desired.entry(set.name.clone()).or_default().push(set);
        }
        (wanted.problems, unresolved)
    }

    /// Whether we hold any record of a Service.
    pub(super) fn holds(&self, service: &ServiceKey) -> bool {
        let names = self.names.get(service).into_iter().flatten();
        names.filter_map(|name| self.held.get(name)).flatten().any(|held| held.owned())
    }

    /// Whether every Service there is was told of.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    /// Whether names stay only because the Service's copies were left in members.
    pub(super) fn keeps(&self, service: &ServiceKey) -> bool {
        self.kept.contains(service) && !self.withdrawn.contains(service) && self.holds(service)
    }

    /// How many names are ours.
    pub(super) fn owned(&self) -> usize {
        self.held.values().filter(|sets| sets.iter().any(|held| held.owned())).count()
    }

    /// What to change for some Services.
    pub(super) fn plan(&mut self, tree: &Tree, services: &BTreeSet<ServiceKey>, brake: Brake) -> Pass {
        let names: BTreeSet<&DnsName> = services.iter().filter_map(|s| self.names.get(s)).flatten().collect();
        let mut out = diff(names, &self.desired, &self.held);
        let explained = |name: &DnsName| {
            tree.service_of(name).is_some_and(|s| self.withdrawn.contains(&s))
                || self.left.iter().chain(&self.left_before).any(|level| name.is_within(level))
        };
        if !self.complete {
            out.gone.retain(|name, _| explained(name));
        }
        // Where copies are or may be, something may answer.
        let answered = |s: &ServiceKey| self.kept.contains(s) || (self.unread && !self.sites.contains_key(s));
        out.gone.retain(|name, _| explained(name) || !tree.service_of(name).is_some_and(|s| answered(&s)));
        // Consent explains what is left, but only once everything is known.
        let explained = |name: &DnsName| (self.consent && self.complete) || explained(name);
        let lost = |name: &DnsName| tree.service_of(name).is_some_and(|s| self.lost.contains(&s)) && !explained(name);
        let mut kept: BTreeSet<DnsName> = out.gone.keys().filter(|name| lost(name)).cloned().collect();
        out.gone.retain(|name, _| !kept.contains(name));
        let horizon = Instant::now().checked_sub(BRAKE_WINDOW);
        while self.recent.front().is_some_and(|(when, _)| horizon.is_some_and(|horizon| *when < horizon)) {
            self.recent.pop_front();
        }
        let before = self.recent.iter().map(|(_, count)| count).sum();
        let held_back = held_back(&out.gone, explained, before, self.owned(), brake);
        out.gone.retain(|name, _| !held_back.contains(name));
        kept.extend(held_back);
        let unexplained = out.gone.keys().filter(|name| !explained(name)).count();
        let batch = out.upserts.into_iter().chain(out.gone.into_values().flatten()).collect();
        Pass { batch, held_back: kept, unexplained }
    }

    /// The batch was applied, but for the rejected names.
    pub(super) fn applied(&mut self, pass: &Pass, rejected: &[Rejected]) {
        if pass.unexplained > 0 {
            self.recent.push_back((Instant::now(), pass.unexplained));
        }
        let refused: BTreeSet<&DnsName> = rejected.iter().map(|r| &r.name).collect();
        for name in pass.batch.iter().map(Change::name).filter(|name| !refused.contains(name)).collect::<BTreeSet<_>>() {
            let mut now: Vec<Held> = self.held.remove(name).unwrap_or_default().into_iter().filter(|h| !h.owned()).collect();
            now.extend(self.desired.get(name).into_iter().flatten().map(|set| Held { set: set.clone(), owner: Owner::Ours }));
            if !now.is_empty() {
                self.held.insert(name.clone(), now);
            }
        }
    }

    /// Forgets Services that have nothing any more.
    pub(super) fn forget(&mut self, services: &BTreeSet<ServiceKey>) {
        for service in services {
            if let Some(names) = self.names.get_mut(service) {
                names.retain(|name| self.held.contains_key(name) || self.desired.contains_key(name));
                if names.is_empty() {
                    self.names.remove(service);
                    self.withdrawn.remove(service);
                    self.lost.remove(service);
                    self.kept.remove(service);
                    self.objects.remove(service);
                }
            } else {
                self.objects.remove(service);
                self.lost.remove(service);
                self.kept.remove(service);
                self.withdrawn.remove(service);
            }
        }
    }
}
