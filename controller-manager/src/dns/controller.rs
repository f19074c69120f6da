//! Keeps a zone as it should be: one pass at a time, soon after news, and again every half minute.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daemon::{
    backoff::Policy,
    trace::{TARGET, field, follows_all},
};
use dns_providers::{Provider, Zone};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use tokio::time::Instant;

use super::diff::Brake;
use super::inbox::DnsHandle;
use super::records::Tree;
use super::report::{Report, Told};
use super::resolve::{Resolve, Resolved};
use super::site::ServiceKey;
use super::state::State;

/// What is told of a Service that was deleted without its copies.
const KEPT: &str = "members keep their copies of the Service, so its DNS names stay as they are; they go when the last copy is \
                    deleted, or when the Service is created again and deleted with its copies";

/// The paces of the controller.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// News are gathered for so long, so that a burst becomes one batch.
    pub gather: Duration,
    /// The whole zone is read and compared this often.
    pub resync: Duration,
    /// First and longest pause after a failure of the provider.
    pub retry: (Duration, Duration),
    /// For so long after the start, records of a Service stay while a load balancer's host name fails to resolve.
    pub unresolved: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Pace { gather: Duration::from_millis(100), resync: seconds(30), retry: (seconds(1), seconds(30)), unresolved: seconds(120) }
    }
}

/// The DNS controller of one zone.
pub struct DnsController {
    provider: Arc<dyn Provider>,
    zone: Zone,
    tree: Tree,
    resolver: Arc<dyn Resolve>,
    report: Arc<dyn Report>,
    pace: Pace,
    handle: DnsHandle,
    state: State,
    resolved: Resolved,
    told: Told,
    started: Instant,
    /// The provider was told once what there is, were it nothing.
    published: bool,
}

impl DnsController {
    /// A controller that publishes in one zone of a provider.
    pub fn new(provider: Arc<dyn Provider>, zone: Zone, tree: Tree, resolver: Arc<dyn Resolve>, report: Arc<dyn Report>) -> Self {
        DnsController {
            handle: DnsHandle::new(tree.clone()),
            provider,
            zone,
            tree,
            resolver,
            report,
            pace: Pace::default(),
            state: State::default(),
            resolved: Resolved::default(),
            told: Told::default(),
            started: Instant::now(),
            published: false,
        }
    }

    /// Other paces, for tests and for providers that are slow.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Where to say what should be published.
    pub fn handle(&self) -> DnsHandle {
        self.handle.clone()
    }

    /// The provider, for the addresses it answers at.
    pub fn provider(&self) -> Arc<dyn Provider> {
        self.provider.clone()
    }

    /// Works until told to stop. A provider that fails is tried again, ever more slowly; it never ends this.
    pub async fn run(mut self, stop: CancellationToken) {
        let handle = self.handle();
        // The first pass waits for news: before any, nothing is known of what should be.
        let (mut full, mut failures) = (true, 0);
        let mut next = Instant::now() + self.pace.resync;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = handle.wait(), if failures == 0 => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(self.pace.gather) => {}
                    }
                }
                () = tokio::time::sleep_until(next) => full = true,
            }
            let news = handle.take();
            let dirty = self.state.take(news);
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.pass(dirty, full) => result,
            };
            match result {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(zone = %self.zone.name, "the DNS provider works again");
                    }
                    failures = 0;
                    if full {
                        next = Instant::now() + self.pace.resync;
                    }
                    full = false;
                    metrics::counter!("federation_dns_passes_total", "result" => "ok").increment(1);
                }
                Err(error) => {
                    let pause = Policy::doubling(self.pace.retry.0, self.pace.retry.1).spread(failures);
                    let pause = pause.max(error.throttled().unwrap_or_default());
                    let (hint, retry_in_ms) = (error.hint(), pause.as_millis());
                    tracing::warn!(zone = %self.zone.name, %error, hint, retry_in_ms, "the DNS zone was not brought up to date");
                    failures += 1;
                    full = true;
                    next = Instant::now() + pause;
                    metrics::counter!("federation_dns_passes_total", "result" => "error").increment(1);
                }
            }
        }
    }

    /// One pass over some Services, or over all after reading the zone.
    async fn pass(&mut self, mut services: BTreeSet<ServiceKey>, full: bool) -> Result<(), dns_providers::Error> {
        if full {
            let held = self.provider.read(&self.zone, &self.tree.suffix).await?;
            self.state.set_held(&self.tree, held);
            services = self.state.all();
        }
        let hosts = self.state.hosts(&services);
        let failures = match full {
            true => self.resolved.refresh(&*self.resolver, &hosts).await,
            false => self.resolved.add(&*self.resolver, &hosts).await,
        };
        let mut waiting = BTreeSet::new();
        for service in &services {
            let (problems, unresolved) = self.state.refresh(&self.tree, service, &self.resolved);
            let problems = (!problems.is_empty()).then(|| problems.join("; "));
            self.told.set(&*self.report, service, self.state.uid(service), "InvalidDNSName", problems);
            let kept = self.state.keeps(service).then(|| KEPT.to_owned());
            self.told.set(&*self.report, service, self.state.uid(service), "DNSNamesKept", kept);
            let reason =
                |host: &String| format!("{host}: {}", failures.get(host).map_or_else(|| "not resolved".to_owned(), ToString::to_string));
            let message = (!unresolved.is_empty()).then(|| unresolved.iter().map(reason).collect::<Vec<_>>().join("; "));
            self.told.set(&*self.report, service, self.state.uid(service), "LoadBalancerNotResolved", message);
            if !unresolved.is_empty() && self.state.holds(service) && self.started.elapsed() < self.pace.unresolved {
                waiting.insert(service.clone());
            }
        }
        services.retain(|service| !waiting.contains(service));
        let pass = self.state.plan(&self.tree, &services, Brake::default());
        if full || !pass.held_back.is_empty() {
            self.tell_held_back(&pass.held_back);
        }
        // Once everything is known the provider hears of it even if nothing changes: `embedded` waits for that to say "no such name".
        let first = self.state.complete() && !self.published;
        if first || !pass.batch.is_empty() {
            let start = Instant::now();
            let services: BTreeSet<_> = pass.batch.iter().filter_map(|change| self.tree.service_of(change.name())).collect();
            let uids: Vec<&str> = services.iter().map(|service| self.state.uid(service)).collect();
            let span = tracing::info_span!(
                target: TARGET, "dns batch", zone = %self.zone.name, changes = pass.batch.len(), uid = uids.join(" "),
                outcome = tracing::field::Empty
            );
            follows_all(&span, services.iter().filter_map(|service| self.state.change(service)));
            let result = self.provider.apply(&self.zone, &pass.batch).instrument(span.clone()).await;
            span.record(field::OUTCOME, result.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned()));
            let rejected = result?;
            metrics::histogram!("federation_dns_apply_seconds").record(start.elapsed());
            metrics::counter!("federation_dns_changes_total").increment(pass.batch.len() as u64);
            metrics::counter!("federation_dns_rejected_total").increment(rejected.len() as u64);
            tracing::info!(zone = %self.zone.name, changes = pass.batch.len(), rejected = rejected.len(), "DNS records were changed");
            for service in services {
                let mine = rejected.iter().filter(|r| self.tree.service_of(&r.name).as_ref() == Some(&service));
                let reasons: Vec<String> = mine.map(|r| format!("{}: {}", r.name, r.reason)).collect();
                let reasons = (!reasons.is_empty()).then(|| reasons.join("; "));
                self.told.set(&*self.report, &service, self.state.uid(&service), "DNSRecordRejected", reasons);
            }
            self.state.applied(&pass, &rejected);
            self.published |= first;
        }
        self.state.forget(&services);
        if full {
            self.state.clusters_settled();
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge of names")]
        metrics::gauge!("federation_dns_names").set(self.state.owned() as f64);
        Ok(())
    }

    fn tell_held_back(&mut self, names: &BTreeSet<dns_providers::DnsName>) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of names")]
        metrics::gauge!("federation_dns_held_back").set(names.len() as f64);
        let Some(service) = names.first().and_then(|name| self.tree.service_of(name)) else {
            self.told.over("DNSDeletionHeldBack");
            return;
        };
        let message = format!(
            "{} DNS names would be deleted although no Service was seen deleted and no cluster left or moved; they are kept until a Cluster \
             has annotation {}=allow, the first is {}",
            names.len(),
            federation_api::keys::DNS_DELETION,
            names.first().map_or("", |n| n.as_str())
        );
        self.told.set(&*self.report, &service, self.state.uid(&service), "DNSDeletionHeldBack", Some(message));
    }
}
