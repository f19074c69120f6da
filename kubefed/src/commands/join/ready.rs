//! `join`: waiting until the federation reaches the member.

use federation_api::cluster::ClusterStatus;
use kube::api::DynamicObject;

use crate::commands::Session;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::federated;
use crate::wait::{Look, Patience, until};

/// When the federation last said how the cluster is, as it wrote it.
///
/// # Errors
/// Anything the federation says.
pub(super) async fn last_told(federation: &Connection, name: &str) -> Result<Option<String>, Failure> {
    let cluster = federation.get(&federated::resource(), None, name).await?;
    Ok(cluster.and_then(|c| told(&status(&c))))
}

fn told(status: &ClusterStatus) -> Option<String> {
    status.conditions.iter().find(|c| c.type_ == "Ready").and_then(|c| c.last_probe_time.clone())
}

fn status(cluster: &DynamicObject) -> ClusterStatus {
    serde_json::from_value(cluster.data["status"].clone()).unwrap_or_default()
}

/// Waits until the Cluster is ready, as told at another time than `before`.
///
/// # Errors
/// What the federation last said about it.
pub(super) async fn wait(
    session: &Session,
    federation: &Connection,
    name: &str,
    server: &str,
    before: Option<&str>,
    patience: Patience,
) -> Result<(), Failure> {
    until(&session.printer, &format!("cluster {name} to be ready"), patience, async || {
        let cluster = federation.get(&federated::resource(), None, name).await?;
        Ok(look(cluster.as_ref(), server, before))
    })
    .await
}

fn look(cluster: Option<&DynamicObject>, server: &str, before: Option<&str>) -> Look<()> {
    let Some(cluster) = cluster else {
        return Look::missing("it was removed from the federation", "repeat the command");
    };
    let status = status(cluster);
    if before.is_some() && told(&status).as_deref() == before {
        return Look::missing(
            "the controller manager has not tried the new credentials yet",
            "check that the controller manager runs in the host cluster, then repeat the command",
        );
    }
    if status.is_ready() {
        return Look::Done(());
    }
    let bad = status.conditions.iter().find(|c| c.type_ == "Offline" && c.status == "True");
    match bad.or_else(|| status.conditions.iter().find(|c| c.type_ == "Ready")) {
        None => Look::missing(
            "the controller manager has not looked at it yet",
            "check that the controller manager runs in the host cluster, then repeat the command",
        ),
        Some(c) => Look::missing(
            format!("it is {} ({}: {})", if c.type_ == "Offline" { "offline" } else { "not ready" }, c.reason, c.message),
            format!("check that pods of the host cluster reach {server}; --cluster-server names another address"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(status: &serde_json::Value) -> Option<String> {
        let cluster = serde_json::from_value(json!({"metadata": {"name": "gondor"}, "status": status})).unwrap();
        match look(Some(&cluster), "https://gondor", None) {
            Look::Done(()) => None,
            Look::Missing { seen, .. } => Some(seen),
        }
    }

    #[test]
    fn the_last_condition_is_told() {
        assert_eq!(seen(&json!({"conditions": [{"type": "Ready", "status": "True"}]})), None);
        assert_eq!(seen(&json!(null)).as_deref(), Some("the controller manager has not looked at it yet"));
        let offline = json!({"conditions": [
            {"type": "Ready", "status": "Unknown", "reason": "r", "message": "m"},
            {"type": "Offline", "status": "True", "reason": "ClusterNotReachable", "message": "no route"}]});
        assert_eq!(seen(&offline).as_deref(), Some("it is offline (ClusterNotReachable: no route)"));
    }

    #[test]
    fn issue7_case_10_ready_is_believed_only_when_it_is_newer_than_the_credentials() {
        let cluster = |time: &str| {
            let conditions = json!([{"type": "Ready", "status": "True", "lastProbeTime": time}]);
            serde_json::from_value::<DynamicObject>(json!({"metadata": {"name": "gondor"}, "status": {"conditions": conditions}})).unwrap()
        };
        let old = "2026-01-01T00:00:00Z";
        assert!(matches!(look(Some(&cluster(old)), "https://gondor", Some(old)), Look::Missing { .. }));
        assert!(matches!(look(Some(&cluster("2026-01-01T00:00:02Z")), "https://gondor", Some(old)), Look::Done(())));
        assert!(matches!(look(Some(&cluster(old)), "https://gondor", None), Look::Done(())));
    }
}
