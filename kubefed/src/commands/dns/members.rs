//! What members themselves say of a Service's endpoints: asked with the credentials the control plane has for them.

use std::collections::BTreeSet;
use std::time::Duration;

use federation_api::cluster::ClusterSpec;
use federation_controller_manager::dns::ServiceKey;
use federation_controller_manager::members::connect::allows_insecure;
use federation_controller_manager::{HostConnector, HostCredentials, MemberConnector};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use tokio::time::timeout;

use super::wanted::Seen;
use crate::error::chain;

/// How many endpoints are ready in each of these clusters, or why nobody knows. All are asked at once.
pub(super) async fn ready(
    host: &HostCredentials,
    seen: &Seen,
    clusters: &BTreeSet<String>,
    key: &ServiceKey,
    limit: Duration,
) -> Vec<(String, Result<usize, Why>)> {
    let connector = HostConnector::new(Some(host.clone()));
    let one = |name: &String| {
        let (name, connector) = (name.clone(), &connector);
        let insecure = seen.annotations.get(&name).is_some_and(allows_insecure);
        async move {
            let Some(spec) = seen.specs.get(&name) else { return (name, Err(Why("it is no cluster of the federation".to_owned()))) };
            let asked = timeout(limit, count(connector, &name, spec, insecure, key)).await;
            let counted = asked.unwrap_or_else(|_| Err(Why(format!("no answer in {} s", limit.as_secs()))));
            (name, counted)
        }
    };
    futures::future::join_all(clusters.iter().map(one)).await
}

/// Why a member does not say it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Why(String);

async fn count(connector: &HostConnector, name: &str, spec: &ClusterSpec, insecure: bool, key: &ServiceKey) -> Result<usize, Why> {
    let connected = connector.connect(name, spec, insecure, None).await.map_err(|e| Why(e.to_string()))?;
    let client = connected.ok_or_else(|| Why("it cannot be connected to".to_owned()))?.client;
    let labels = ListParams::default().labels(&format!("kubernetes.io/service-name={}", key.name));
    let slices = Api::<EndpointSlice>::namespaced(client, &key.namespace).list(&labels).await.map_err(|e| Why(chain(&e)))?;
    let endpoints = slices.items.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    // Of one that does not say it Kubernetes takes it for ready.
    Ok(endpoints.filter(|e| e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true)).count())
}
