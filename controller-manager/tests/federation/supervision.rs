//! Nothing dies silently: each task is made to panic.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use async_trait::async_trait;
use dns_providers::{Capabilities, Change, DnsName, Error, Held, Provider, Rejected, Zone, embedded};
use federation_controller_manager::{Config, RunError, dns::Opened, run_with_dns};
use http::{Method, Request};
use kube::client::Body;
use program::failure::{EXIT_DEFECT, Failure};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::bed::*;

/// A client of the federation in whose requests something panics: all that fit, or only the first.
#[derive(Clone)]
struct Faulty<S> {
    inner: S,
    fits: fn(&Method, &str) -> bool,
    once: bool,
    hit: Arc<AtomicBool>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Faulty<S>
where
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fits = (self.fits)(request.method(), request.uri().path());
        let before = fits && self.hit.swap(true, Ordering::SeqCst);
        let panics = fits && !(self.once && before);
        let answer = self.inner.call(request);
        // In the future, which belongs to the task that asked.
        Box::pin(async move {
            assert!(!panics, "a panic for a test");
            answer.await
        })
    }
}

fn faulty(bed: &Bed, once: bool, fits: fn(&Method, &str) -> bool) -> (kube::Client, Arc<AtomicBool>) {
    let hit = Arc::new(AtomicBool::new(false));
    let service = Faulty { inner: bed.federation.server().admin_service(), fits, once, hit: hit.clone() };
    (kube::Client::new(service, "default"), hit)
}

fn elected() -> Config {
    let seconds = std::time::Duration::from_secs;
    let election = federation_controller_manager::config::Election {
        identity: "frodo".into(),
        lease_duration: seconds(15),
        renew_deadline: seconds(10),
        retry_period: seconds(1),
    };
    Config { election: Some(election), ..config() }
}

/// The name of the task that is said to have died.
fn dead(ended: Result<(), RunError>) -> String {
    let failure = Failure::from(ended.unwrap_err());
    assert_eq!(failure.code, EXIT_DEFECT, "{}", failure.message);
    failure.message.strip_prefix("task ").and_then(|m| m.split(' ').next()).unwrap().to_owned()
}

#[tokio::test]
async fn issue7_a_task_that_panics_ends_the_controller_manager_and_is_named() {
    type Case = (&'static str, fn(&Method, &str) -> bool);
    let cases: [Case; 6] = [
        ("clusters", |method, path| method == Method::GET && path == CLUSTERS),
        ("records-reader", |method, path| method == Method::GET && path == RECORDS),
        ("records-writer", |method, path| method != Method::GET && path.starts_with(RECORDS)),
        ("events", |method, path| method == Method::POST && path.ends_with("/events")),
        ("services", |method, path| method == Method::GET && path == "/api/v1/services"),
        ("election", |_, path| path.contains("/leases")),
    ];
    for (task, fits) in cases {
        let mut bed = Bed::new(if task == "election" { elected() } else { config() }).await;
        let (client, _) = faulty(&bed, false, fits);
        bed.run_through(client);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}});
        bed.federation.create("/api/v1/namespaces", namespace).await;
        assert_eq!(dead(bed.ended().await), task);
    }
}

/// What the controller of federated objects counts, panics.
struct Poison;

impl metrics::Recorder for Poison {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        assert!(key.name() != "federation_records_written_total", "a panic for a test");
        metrics::Counter::noop()
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[tokio::test]
async fn issue7_a_propagation_controller_that_panics_ends_the_controller_manager() {
    // All tasks run in this thread.
    let _poisoned = metrics::set_default_local_recorder(&Poison);
    let mut bed = Bed::new(config()).await;
    bed.run();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}});
    bed.federation.create("/api/v1/namespaces", namespace).await;
    assert_eq!(dead(bed.ended().await), "propagation");
}

#[tokio::test]
async fn issue7_a_watch_of_the_federation_that_panics_is_started_again() {
    let mut bed = Bed::new(config()).await;
    let (client, hit) = faulty(&bed, true, |method, path| method == Method::GET && path == "/api/v1/configmaps");
    bed.run_through(client);
    bed.namespace().await;
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&format!("{MAPS}/ring")).await;
    assert!(hit.load(Ordering::SeqCst));
}

#[tokio::test]
async fn issue7_a_monitor_whose_watch_panics_is_started_again_and_nothing_is_deleted() {
    let bed = Bed::start().await;
    bed.namespace().await;
    bed.federation.create(MAPS, config_map("ring")).await;
    bed.gondor.until_there(&format!("{MAPS}/ring")).await;
    bed.gondor.link.panics.store(1, Ordering::SeqCst);
    // The watch begins again with the next session.
    bed.gondor.cut(true);
    bed.until_cluster("gondor", "Offline").await;
    bed.gondor.cut(false);
    bed.until_cluster("gondor", "Ready").await;
    bed.federation.create(MAPS, config_map("sword")).await;
    bed.gondor.until_there(&format!("{MAPS}/sword")).await;
    assert_eq!(bed.gondor.link.panics.load(Ordering::SeqCst), 0, "it panicked");
    assert!(bed.gondor.get(&format!("{MAPS}/ring")).await.is_some());
    // Drift shows that the new watch sees the member.
    bed.gondor.merge(&format!("{MAPS}/ring"), json!({"data": {"ring": "another"}})).await;
    bed.gondor.until(&format!("{MAPS}/ring"), |m| m.is_some_and(|m| m["data"]["ring"] == "one")).await;
}

/// A provider with one zone that breaks.
#[derive(Debug)]
struct Broken {
    ends: bool,
}

#[async_trait]
impl Provider for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn capabilities(&self) -> &'static Capabilities {
        &embedded::CAPABILITIES
    }

    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        Ok(vec![Zone { name: DnsName::parse("example.com").unwrap(), id: "1".into(), about: String::new() }])
    }

    async fn read(&self, _: &Zone, _: &DnsName) -> Result<Vec<Held>, Error> {
        assert!(self.ends, "a panic for a test");
        Ok(Vec::new())
    }

    async fn apply(&self, _: &Zone, _: &[Change]) -> Result<Vec<Rejected>, Error> {
        Ok(Vec::new())
    }

    async fn adopt(&self, _: &Zone, _: &[Held]) -> Result<Vec<Rejected>, Error> {
        Ok(Vec::new())
    }

    async fn ended(&self) -> String {
        if !self.ends {
            std::future::pending::<()>().await;
        }
        "panicked".into()
    }
}

struct Nobody;

#[async_trait]
impl federation_controller_manager::MemberConnector for Nobody {
    async fn connect(
        &self,
        _: &str,
        _: &federation_api::cluster::ClusterSpec,
        _: bool,
        _: Option<&str>,
    ) -> Result<Option<federation_controller_manager::Connection>, federation_controller_manager::ConnectError> {
        Ok(None)
    }
}

#[tokio::test]
async fn issue7_dns_that_dies_ends_the_controller_manager() {
    for (ends, task) in [(false, "dns"), (true, "dns-server")] {
        let bed = Bed::new(config()).await;
        let config = Config { zone_name: "example.com".into(), ..config() };
        let dns = Opened::new(&config, Arc::new(Broken { ends })).await.unwrap();
        let running = run_with_dns(config, bed.federation.client.clone(), Arc::new(Nobody), Some(dns), CancellationToken::new());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), running).await.unwrap();
        assert_eq!(dead(ended), task);
    }
}
