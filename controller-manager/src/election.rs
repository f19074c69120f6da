//! Leader election by a Lease in the federation, as Kubernetes' own components do it.

use std::time::Duration;

use daemon::backoff::Policy;
use federation_api::keys::{LEADER_LEASE as LEASE, LEADER_LEASE_NAMESPACE as NAMESPACE};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{
    config::Election,
    request::{Call, JSON, RequestError},
    time::micros,
};

/// How the lead was lost.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LeadLost {
    /// The lease has another holder.
    #[error("another controller manager took the lease {NAMESPACE}/{LEASE}")]
    Taken,
    /// It could not be renewed before others may take it.
    #[error("the lease {NAMESPACE}/{LEASE} could not be renewed: {problem}")]
    NotRenewed {
        /// What the last try ended with, half a sentence.
        problem: String,
    },
}

/// Takes part in the election.
pub(crate) struct Elector {
    client: kube::Client,
    settings: Election,
    /// The Lease as last seen, and when that was: rivals' clocks are not trusted.
    seen: Option<(String, Instant)>,
}

impl Elector {
    /// A candidate.
    pub(crate) fn new(client: kube::Client, settings: Election) -> Self {
        Self { client, settings, seen: None }
    }

    /// Waits until this process is the leader. After each try that did not win `stands_by` hears whether the lease could
    /// be read, and so be taken when it is free.
    pub(crate) async fn win(&mut self, stands_by: impl Fn(bool)) {
        // Rivals do not ask all at once.
        let pause = Policy::steady(self.settings.retry_period);
        loop {
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(identity = self.settings.identity, "leading");
                    return;
                }
                Ok(false) => {
                    tracing::debug!("another controller manager leads");
                    stands_by(true);
                }
                Err(error) => {
                    tracing::warn!(%error, "the lease cannot be got");
                    stands_by(false);
                }
            }
            sleep(pause.spread(0)).await;
        }
    }

    /// Keeps the lease until it is lost.
    pub(crate) async fn keep(&mut self) -> LeadLost {
        let mut renewed = Instant::now();
        loop {
            sleep(self.settings.retry_period).await;
            let left = self.settings.renew_deadline.saturating_sub(renewed.elapsed());
            let problem = match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => {
                    renewed = Instant::now();
                    continue;
                }
                Ok(Ok(false)) => return LeadLost::Taken,
                Ok(Err(problem)) => problem.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if renewed.elapsed() >= self.settings.renew_deadline {
                return LeadLost::NotRenewed { problem };
            }
            tracing::warn!(error = problem, "the lease was not renewed and is tried again");
        }
    }

    /// Gives the lease back, so that the next leader need not wait.
    pub(crate) async fn resign(&mut self) {
        let _ = self.exchange(true).await;
    }

    async fn attempt(&mut self) -> Result<bool, RequestError> {
        self.exchange(false).await
    }

    async fn exchange(&mut self, resign: bool) -> Result<bool, RequestError> {
        let collection = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
        let path = format!("{collection}/{LEASE}");
        let reply = Call::get(&path).send(&self.client, self.settings.renew_deadline).await?;
        let (method, target, current) = match reply.status {
            StatusCode::OK => (Method::PUT, &path, serde_json::from_slice(&reply.body)?),
            _ if reply.is_not_found() => (Method::POST, &collection, Value::Null),
            _ => return Err(reply.into()),
        };
        let version = current["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
        let since = self.seen.as_ref().map_or(Duration::ZERO, |(_, at)| at.elapsed());
        let Some(lease) = claim(&current, &self.settings, since, crate::time::now(), resign) else { return Ok(false) };
        let call = Call { method, path: target, content_type: JSON, body: lease.to_string().into() };
        let reply = call.send(&self.client, self.settings.renew_deadline).await?;
        match reply.status {
            StatusCode::OK | StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => Err(reply.into()),
        }
    }
}

/// The lease to write, or nothing when somebody else holds it. `since` is how long it has not changed.
fn claim(current: &Value, settings: &Election, since: Duration, now: Timestamp, resign: bool) -> Option<Value> {
    let spec = &current["spec"];
    let holder = spec["holderIdentity"].as_str().unwrap_or_default();
    let ours = holder == settings.identity;
    let duration = Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or(0));
    if !ours && (resign || (!holder.is_empty() && since < duration)) {
        return None;
    }
    let transitions = spec["leaseTransitions"].as_i64().unwrap_or(0) + i64::from(!ours && !holder.is_empty());
    let acquired = if ours { spec["acquireTime"].clone() } else { micros(now).into() };
    Some(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": NAMESPACE, "resourceVersion": current["metadata"]["resourceVersion"]},
        "spec": {
            "holderIdentity": if resign { "" } else { &settings.identity },
            "leaseDurationSeconds": if resign { 1 } else { settings.lease_duration.as_secs() },
            "acquireTime": acquired, "renewTime": micros(now), "leaseTransitions": transitions,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Election {
        Election {
            identity: "frodo".into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    fn held_by(holder: &str) -> Value {
        json!({"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "acquireTime": "t", "leaseTransitions": 2}})
    }

    #[test]
    fn a_lease_is_taken_when_free_ours_or_expired() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let claim = |current: &Value, since| claim(current, &settings(), Duration::from_secs(since), now, false);
        assert!(claim(&Value::Null, 0).is_some());
        assert!(claim(&held_by("sam"), 14).is_none());
        let taken = claim(&held_by("sam"), 15).unwrap();
        assert_eq!((&taken["spec"]["holderIdentity"], &taken["spec"]["leaseTransitions"]), (&json!("frodo"), &json!(3)));
        let renewed = claim(&held_by("frodo"), 1).unwrap();
        assert_eq!((&renewed["spec"]["acquireTime"], &renewed["spec"]["leaseTransitions"]), (&json!("t"), &json!(2)));
        assert_eq!(renewed["spec"]["renewTime"], "2026-01-01T00:00:00.000000Z");
        assert_eq!(renewed["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn only_the_holder_resigns() {
        assert!(claim(&held_by("sam"), &settings(), Duration::ZERO, Timestamp::UNIX_EPOCH, true).is_none());
        let free = claim(&held_by("frodo"), &settings(), Duration::ZERO, Timestamp::UNIX_EPOCH, true).unwrap();
        assert_eq!(free["spec"]["holderIdentity"], "");
    }
}
