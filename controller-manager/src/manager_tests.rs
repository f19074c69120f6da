//! Whatever the controller manager runs: its death is seen.

use std::{net::Ipv4Addr, sync::Arc};

use dns_providers::{Capabilities, Change, DnsName, Error, Held, Provider, Rejected, Zone, embedded};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use program::failure::{EXIT_DEFECT, Failure};

use super::*;
use crate::config::Election;

#[tokio::test(start_paused = true)]
async fn issue7_propagation_that_hangs_is_seen_and_one_that_works_or_waits_is_not() {
    let tasks = Supervisor::default();
    tasks.spawn_beating("propagation", HANGS, |heart| async move { beating(std::future::pending::<()>(), &heart).await });
    tokio::time::sleep(HANGS * 3).await;
    assert_eq!(tasks.live(), Ok(()));
    // What never comes back to the runtime cannot beat; here it is not asked at all.
    let hanging = Supervisor::default();
    hanging.spawn_beating("propagation", HANGS, |heart| async move {
        let _stuck = heart;
        std::future::pending::<()>().await;
    });
    tokio::time::sleep(HANGS + Duration::from_secs(1)).await;
    assert_eq!(hanging.live().unwrap_err().to_string(), format!("task propagation gave no sign of life for {} s", HANGS.as_secs() + 1));
}

struct Nobody;

#[async_trait::async_trait]
impl MemberConnector for Nobody {
    async fn connect(
        &self,
        _: &str,
        _: &federation_api::cluster::ClusterSpec,
        _: bool,
        _: Option<&str>,
    ) -> Result<Option<crate::Connection>, crate::ConnectError> {
        Ok(None)
    }
}

/// A provider that has a zone and nothing else.
#[derive(Debug)]
struct Empty;

#[async_trait::async_trait]
impl Provider for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn capabilities(&self) -> &'static Capabilities {
        &embedded::CAPABILITIES
    }

    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        Ok(vec![Zone { name: DnsName::parse("example.com").unwrap(), id: "1".into(), about: String::new() }])
    }

    async fn read(&self, _: &Zone, _: &DnsName) -> Result<Vec<Held>, Error> {
        Ok(Vec::new())
    }

    async fn adopt(&self, _: &Zone, _: &[Held]) -> Result<Vec<Rejected>, Error> {
        Ok(Vec::new())
    }

    async fn apply(&self, _: &Zone, _: &[Change]) -> Result<Vec<Rejected>, Error> {
        Ok(Vec::new())
    }

    async fn ended(&self) -> String {
        std::future::pending().await
    }
}

/// A federation that tells of one Cluster and otherwise says nothing, so that no task comes to an end.
fn federation() -> kube::Client {
    let service = tower::service_fn(|request: http::Request<kube::client::Body>| async move {
        let uri = request.uri();
        let lists = uri.path().ends_with("/clusters") && !uri.query().unwrap_or_default().contains("watch=");
        if !lists {
            std::future::pending::<()>().await;
        }
        let list = serde_json::json!({
            "apiVersion": "federation/v1beta1", "kind": "ClusterList", "metadata": {"resourceVersion": "1"},
            "items": [{"metadata": {"name": "gondor", "uid": "1", "resourceVersion": "1"}}],
        });
        Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::from(list.to_string().into_bytes())))
    });
    kube::Client::new(service, "default")
}

/// Made again when they end; the death of any other task ends the controller manager.
const RESTARTED: [&str; 2] = ["federation-watch", "monitor"];

/// What waits for an answer of the federation goes on without it by then.
const SETTLED: Duration = Duration::from_secs(30);

/// Everything on, with and without the election, which is never won here.
fn config(elects: bool) -> Config {
    let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
    let election = elects.then(|| Election { identity: "frodo".into(), lease_duration, renew_deadline, retry_period });
    Config { zone_name: "example.com".into(), listen: Some((Ipv4Addr::LOCALHOST, 0).into()), election, ..Config::default() }
}

/// Runs a controller manager beside `seeing`, and says what it ended with if it did so first.
async fn beside<T>(elects: bool, seeing: impl AsyncFnOnce(&Supervisor) -> T) -> Result<T, (Failure, String)> {
    let tasks = Arc::new(Supervisor::default());
    let dns = crate::dns::Opened::new(&config(elects), Arc::new(Empty)).await.expect("its zone is there");
    tokio::select! {
        ended = supervised(config(elects), federation(), Arc::new(Nobody), Some(dns), &tasks) => {
            let failure = ended.expect_err("nobody stopped it");
            // The endpoint asks the same of the supervisor.
            Err((failure.into(), tasks.live().expect_err("/livez fails").to_string()))
        }
        seen = seeing(&tasks) => Ok(seen),
    }
}

async fn names(elects: bool) -> Vec<&'static str> {
    let settled = async |tasks: &Supervisor| {
        tokio::time::sleep(SETTLED).await;
        assert!(tasks.dead().is_empty());
        tasks.names()
    };
    beside(elects, settled).await.expect("it works until it is told to stop")
}

fn counted(metrics: &PrometheusHandle, task: &str) -> bool {
    metrics.render().contains(&format!("federation_task_restarts_total{{task=\"{task}\"}} 1"))
}

/// Each task there is, by the names the supervisor knows: a new one is made to panic as well.
#[tokio::test(start_paused = true)]
async fn issue7_the_death_of_each_task_is_seen() {
    let (leading, waiting) = (names(false).await, names(true).await);
    assert_eq!(waiting, ["dns-server", "election", "endpoint", "metrics"]);
    assert_eq!(
        leading,
        [
            "clusters",
            "dns",
            "dns-server",
            "endpoint",
            "events",
            "federation-watch",
            "metrics",
            "monitor",
            "propagation",
            "records-reader",
            "records-writer",
            "services"
        ]
    );
    let operations = include_str!("../../docs/operations.md");
    let told = operations.split("\nThe controller manager ends with").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    for task in leading.iter().chain(&waiting) {
        assert!(told.contains(&format!("`{task}`")), "docs/operations.md does not name {task}");
    }
    let each = leading.into_iter().map(|task| (task, false)).chain(waiting.into_iter().map(|task| (task, true)));
    for (task, elects) in each {
        // All tasks run in this thread.
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let outcome = beside(elects, async |tasks| {
            // Heeded by the first task of that name, when it starts.
            tasks.fault(task);
            let restarted = async {
                while !counted(&metrics, task) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let seen = tokio::time::timeout(SETTLED, restarted).await;
            (seen.is_ok(), tasks.live())
        })
        .await;
        if RESTARTED.contains(&task) {
            assert!(matches!(outcome, Ok((true, Ok(())))), "{task}: {outcome:?}");
            continue;
        }
        let (failure, dead) = outcome.expect_err(task);
        let death = format!("task {task} panicked: a test asked for it");
        assert_eq!(dead, death);
        assert!(failure.code == EXIT_DEFECT && failure.message.starts_with(&death), "{failure}");
    }
}
