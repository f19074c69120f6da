//! `init`: waiting until the control plane works, and saying what keeps it from working.

use std::time::Duration;

use federation_client::Target;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};

use crate::commands::Session;
use crate::commands::session::timeouts;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::config::{Claim, ControlPlane, Storage};
use crate::render::names::{APISERVER_MODULE, CONTROLLER_MANAGER_MODULE, Federation, INSTANCE_LABEL, MODULE_LABEL};
use crate::wait::{Look, Patience, until};

/// Waits for the claim, both Deployments and the API server's own word.
///
/// # Errors
/// What is missing and what to do about it.
pub(super) async fn wait(session: &Session, host: &Connection, plane: &ControlPlane, patience: Patience) -> Result<(), Failure> {
    let printer = &session.printer;
    if let Some(claim) = plane.storage.claim() {
        let what = if matches!(plane.storage, Storage::Embedded { .. }) { "the store's volume" } else { "etcd's volume" };
        until(printer, what, patience, async || bound(host, &plane.federation, claim).await).await?;
    }
    for (name, module) in
        [(plane.federation.apiserver(), APISERVER_MODULE), (plane.federation.controller_manager(), CONTROLLER_MANAGER_MODULE)]
    {
        until(printer, &format!("Deployment {name}"), patience, async || deployment(host, &plane.federation, &name, module).await).await?;
        if module == APISERVER_MODULE {
            until(printer, "the federation API server", patience, async || answers(session, &plane.federation.name).await).await?;
        }
    }
    Ok(())
}

async fn bound(host: &Connection, federation: &Federation, claim: &Claim) -> Result<Look<()>, Failure> {
    let (namespace, name) = (federation.namespace.as_str(), claim.name(federation));
    let Some(claim) = host.get_typed::<PersistentVolumeClaim>(namespace, &name).await? else {
        return Ok(Look::missing(format!("claim {namespace}/{name} is gone"), "repeat the command"));
    };
    let phase = claim.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_else(|| "Pending".to_owned());
    if phase == "Bound" {
        return Ok(Look::Done(()));
    }
    let class = claim.spec.as_ref().and_then(|s| s.storage_class_name.clone());
    let class_text = class
        .as_ref()
        .map_or_else(|| "no storage class and the cluster has no default one".to_owned(), |c| format!("storage class \"{c}\""));
    let why = last_event(host, namespace, "PersistentVolumeClaim", &name).await.map_or(String::new(), |e| format!(": {e}"));
    let wanted = class.map_or_else(|| "without a class".to_owned(), |c| format!("of class \"{c}\""));
    Ok(Look::missing(
        format!("claim {namespace}/{name} is {phase} ({class_text}){why}"),
        format!(
            "make a PersistentVolume {wanted} with room for it, name another class with --etcd-pv-storage-class, \
             or do without with --etcd-persistent-storage=false"
        ),
    ))
}

/// Whether all pods of a Deployment are new and ready, or what keeps them.
pub(in crate::commands) async fn deployment(
    host: &Connection,
    federation: &Federation,
    name: &str,
    module: &str,
) -> Result<Look<()>, Failure> {
    let namespace = federation.namespace.as_str();
    let Some(deployment) = host.get_typed::<Deployment>(namespace, name).await? else {
        return Ok(Look::missing(format!("Deployment {namespace}/{name} is gone"), "repeat the command"));
    };
    if is_ready(&deployment) {
        return Ok(Look::Done(()));
    }
    let labels = format!("{INSTANCE_LABEL}={},{MODULE_LABEL}={module}", federation.name);
    let pods = host.typed::<Pod>(namespace).list(&ListParams::default().labels(&labels)).await;
    let pods = pods.map_err(|e| host.failed("listing pods", &e))?;
    // The newest pod that is not going tells what is wrong now.
    let newest = pods.items.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none()).max_by_key(|p| p.creation_timestamp());
    let look = format!("kubectl --context={} -n {namespace} describe pod -l {labels}", host.context);
    let Some(pod) = newest else {
        let why = condition(&deployment).map_or(String::new(), |c| format!(": {c}"));
        return Ok(Look::missing(format!("it has no pod yet{why}"), format!("see {look}")));
    };
    let (seen, hint) = pod_trouble(host, namespace, &pod).await;
    Ok(Look::missing(format!("pod {} {seen}", pod.name_any()), hint.unwrap_or_else(|| format!("see {look}"))))
}

fn is_ready(d: &Deployment) -> bool {
    let wanted = d.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    d.status.as_ref().is_some_and(|s| {
        s.observed_generation >= d.metadata.generation
            && s.updated_replicas.unwrap_or(0) >= wanted
            && s.ready_replicas.unwrap_or(0) >= wanted
            && s.replicas.unwrap_or(0) == wanted
    })
}

fn condition(d: &Deployment) -> Option<String> {
    let conditions = d.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?.message.clone()
}

/// Why a pod is not ready: what its containers wait for, their last words, or the last event.
async fn pod_trouble(host: &Connection, namespace: &str, pod: &Pod) -> (String, Option<String>) {
    let name = pod.name_any();
    let statuses: &[ContainerStatus] = pod.status.as_ref().and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    for status in statuses.iter().filter(|s| !s.ready) {
        let Some((reason, message)) = trouble(status) else { continue };
        let words = last_words(host, namespace, &name, status).await;
        let detail = words.map(|w| format!("last log line: {w}")).or(message).map_or(String::new(), |d| format!(": {d}"));
        let hint = reason.contains("Image").then(|| format!("check that {} can be pulled by the host cluster's nodes", status.image));
        let hint = hint.or_else(|| Some(format!("kubectl --context={} -n {namespace} logs {name} -c {}", host.context, status.name)));
        return (format!("has container {} in {reason}{detail}", status.name), hint);
    }
    match last_event(host, namespace, "Pod", &name).await {
        Some(event) => (format!("is not ready: {event}"), None),
        None => ("is not ready".to_owned(), None),
    }
}

/// What holds a container up, unless it is merely being made.
fn trouble(status: &ContainerStatus) -> Option<(String, Option<String>)> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap_or_default();
        let starting = reason == "ContainerCreating" || reason == "PodInitializing";
        return (!starting && !reason.is_empty()).then(|| (reason, waiting.message.clone()));
    }
    let ended = state.terminated.as_ref()?;
    Some((ended.reason.clone().unwrap_or_else(|| format!("exit code {}", ended.exit_code)), ended.message.clone()))
}

async fn last_words(host: &Connection, namespace: &str, pod: &str, status: &ContainerStatus) -> Option<String> {
    for previous in [false, true] {
        let params = LogParams { container: Some(status.name.clone()), tail_lines: Some(1), previous, ..LogParams::default() };
        let logs = host.typed::<Pod>(namespace).logs(pod, &params).await.ok();
        if let Some(line) = logs.as_deref().and_then(|l| l.lines().last()).filter(|l| !l.trim().is_empty()) {
            return Some(line.trim().to_owned());
        }
    }
    None
}

async fn last_event(host: &Connection, namespace: &str, kind: &str, name: &str) -> Option<String> {
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
    let events = host.typed::<Event>(namespace).list(&ListParams::default().fields(&fields)).await.ok()?;
    let newest = events.items.into_iter().max_by_key(|e| e.last_timestamp.clone().or_else(|| e.creation_timestamp()))?;
    Some(format!("{}: {}", newest.reason.unwrap_or_default(), newest.message.unwrap_or_default()))
}

/// Asks `/readyz` through the entry just written, as the user will.
async fn answers(session: &Session, federation: &str) -> Result<Look<()>, Failure> {
    let kubeconfig = session.files().load()?;
    let target = Target { timeouts: timeouts(Duration::from_secs(5)), ..Target::context(Some(federation)) };
    let connection = Connection::open(&kubeconfig, &target).await?;
    let request = http::Request::get("/readyz").body(Vec::new()).map_err(|e| Failure::new(e.to_string()))?;
    Ok(match connection.client.request_text(request).await {
        Ok(_) => Look::Done(()),
        Err(e) => {
            let failure = connection.failed("asking /readyz", &e);
            Look::missing(
                failure.message,
                format!(
                    "its pod is ready, so check the way from here to {}: firewalls, routes, load balancer; \
                     --api-server-advertise-address names another address",
                    connection.server
                ),
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> ContainerStatus {
        let mut all = json!({"name": "apiserver", "image": "i", "imageID": "", "ready": false, "restartCount": 0});
        all["state"] = value;
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_container_that_is_being_made_is_no_trouble() {
        assert_eq!(trouble(&status(json!({"waiting": {"reason": "ContainerCreating"}}))), None);
        assert_eq!(trouble(&status(json!({"running": {}}))), None);
        assert_eq!(
            trouble(&status(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}))),
            Some(("ImagePullBackOff".into(), Some("no such image".into())))
        );
        assert_eq!(trouble(&status(json!({"terminated": {"exitCode": 3}}))).unwrap().0, "exit code 3");
    }

    #[test]
    fn a_deployment_is_ready_when_its_newest_pods_are() {
        let of = |generation: i64, status| {
            serde_json::from_value::<Deployment>(json!({"metadata": {"generation": generation},
                "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": status}))
            .unwrap()
        };
        let good = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1});
        assert!(is_ready(&of(2, good.clone())));
        assert!(!is_ready(&of(3, good)), "the controller has not seen the newest spec");
        assert!(
            !is_ready(&of(2, json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}))),
            "an old pod remains"
        );
        assert!(!is_ready(&of(2, json!({}))));
    }
}
