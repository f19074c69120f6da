//! Looks at a federation and its host.

use federation_api::cluster::ClusterStatus;
use federation_api::keys;
use federation_api::record::PropagationRecordSpec;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::report::{Component, Leader, Problem, Seen, Server, Tally, Warning};
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::federated;
use crate::render::names::Federation;

/// Warnings that are told, at most.
const WARNINGS: usize = 10;
/// Older warnings are not told.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// What is seen of a federation. What cannot be read is a problem like others, unless nothing can.
pub(super) async fn federation(at: &Connection, now: Timestamp) -> Result<Seen, Failure> {
    let version = at.client.apiserver_version().await.map_err(|e| at.failed("asking for the server's version", &e))?;
    let mut seen = Seen { federation: at.context.clone(), ..Seen::default() };
    seen.server = Server { url: at.server.clone(), version: version.git_version, unready: unready(at).await };
    let Seen { leader, clusters, records, warnings, found, .. } = &mut seen;
    note(found, self::leader(at).await.map(|read| *leader = read));
    note(found, self::clusters(at, |name, status| drop(clusters.insert(name, status))).await);
    note(found, self::records(at, records).await);
    note(found, self::warnings(at, now).await.map(|read| *warnings = read));
    Ok(seen)
}

/// Pods of the control plane in its host; that there are none is a failure.
pub(super) async fn components(host: &Connection, federation: &Federation) -> Result<Vec<Component>, Failure> {
    let labels = format!("app={}", keys::APP);
    let list = host.typed::<Deployment>(&federation.namespace).list(&ListParams::default().labels(&labels)).await;
    let list = list.map_err(|e| host.failed("listing deployments", &e))?;
    let its = |deployment: &&Deployment| deployment.annotations().get(keys::FEDERATION_NAME) == Some(&federation.name);
    let found: Vec<Component> = list.items.iter().filter(its).map(component).collect();
    if found.is_empty() {
        let Federation { name, namespace } = federation;
        return Err(Failure::new(format!(
            "there is nothing of federation \"{name}\" in namespace {namespace} of context {}",
            host.context
        ))
        .hint("name its host with --host-cluster-context, and its namespace with --federation-system-namespace"));
    }
    Ok(found)
}

fn component(deployment: &Deployment) -> Component {
    let spec = deployment.spec.as_ref();
    let containers = spec.and_then(|spec| spec.template.spec.as_ref()).map(|pod| pod.containers.as_slice());
    Component {
        name: deployment.name_any(),
        ready: deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default(),
        wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
        image: containers.and_then(|all| all.first()).and_then(|first| first.image.clone()).unwrap_or_default(),
    }
}

/// A look that failed is a problem.
pub(super) fn note(found: &mut Vec<Problem>, look: Result<(), Failure>) {
    found.extend(look.err().map(|failure| Problem { what: failure.message, mend: failure.hint.unwrap_or_default() }));
}

/// Why the API server says that it is not ready; empty when it is.
async fn unready(at: &Connection) -> String {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return String::new() };
    match at.client.request_text(request).await {
        Ok(_) => String::new(),
        Err(error) => at.failed("asking whether it is ready", &error).message,
    }
}

async fn leader(at: &Connection) -> Result<Option<Leader>, Failure> {
    let lease = at.get_typed::<Lease>(keys::LEADER_LEASE_NAMESPACE, keys::LEADER_LEASE).await?;
    Ok(lease.and_then(|lease| lease.spec).and_then(|spec| {
        let identity = spec.holder_identity.filter(|holder| !holder.is_empty())?;
        Some(Leader { identity, renewed: spec.renew_time?.0 })
    }))
}

async fn clusters(at: &Connection, mut each: impl FnMut(String, ClusterStatus)) -> Result<(), Failure> {
    at.pages(&at.api(&federated::resource(), None), "listing clusters", &ListParams::default(), |object| {
        each(object.name_any(), part(&object.data, "status"));
    })
    .await
}

async fn records(at: &Connection, tally: &mut Tally) -> Result<(), Failure> {
    let kind = GroupVersionKind::gvk(keys::GROUP, keys::VERSION, "PropagationRecord");
    let resource = ApiResource::from_gvk_with_plural(&kind, "propagationrecords");
    let add = |object: kube::api::DynamicObject| tally.add(&part::<PropagationRecordSpec>(&object.data, "spec"));
    at.pages(&at.api(&resource, None), "listing propagationrecords", &ListParams::default(), add).await
}

async fn warnings(at: &Connection, now: Timestamp) -> Result<Vec<Warning>, Failure> {
    let (mut all, params) = (Vec::new(), ListParams::default().fields("type=Warning"));
    at.pages(&Api::<Event>::all(at.client.clone()), "listing events", &params, |event| all.extend(warning(event))).await?;
    all.retain(|warning| now.duration_since(warning.seen) < RECENT);
    all.sort_by(|a, b| b.seen.cmp(&a.seen).then_with(|| a.object.cmp(&b.object)));
    all.truncate(WARNINGS);
    Ok(all)
}

fn warning(event: Event) -> Option<Warning> {
    let seen = event.last_timestamp.map(|t| t.0).or(event.event_time.map(|t| t.0)).or(event.metadata.creation_timestamp.map(|t| t.0))?;
    let about = event.involved_object;
    let namespace = about.namespace.filter(|namespace| !namespace.is_empty()).map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let object = format!("{} {namespace}{}", about.kind.unwrap_or_default(), about.name.unwrap_or_default());
    Some(Warning { seen, reason: event.reason.unwrap_or_default(), object, message: event.message.unwrap_or_default() })
}

/// A part of an object; what it is without anything where it is missing or not readable.
fn part<T: Default + DeserializeOwned>(data: &Value, name: &str) -> T {
    T::deserialize(&data[name]).unwrap_or_default()
}
