//! `join`: waiting until the federation reaches the member.

use federation_api::cluster::ClusterStatus;
use kube::api::DynamicObject;

use crate::commands::Session;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::federated;
use crate::wait::{Look, Patience, until};

/// Waits until the Cluster is ready.
///
/// # Errors
/// What the federation last said about it.
pub(super) async fn wait(session: &Session, federation: &Connection, name: &str, server: &str, patience: Patience) -> Result<(), Failure> {
    until(&session.printer, &format!("cluster {name} to be ready"), patience, async || {
        let cluster = federation.get(&federated::resource(), None, name).await?;
        Ok(look(cluster.as_ref(), server))
    })
    .await
}

fn look(cluster: Option<&DynamicObject>, server: &str) -> Look<()> {
    let Some(cluster) = cluster else {
        return Look::missing("it was removed from the federation", "repeat the command");
    };
    let status: ClusterStatus = serde_json::from_value(cluster.data["status"].clone()).unwrap_or_default();
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
        match look(Some(&cluster), "https://gondor") {
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
}
