//! `join` and `unjoin`: the member's own DNS.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::commands::Session;
use crate::commands::session::Installed;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::controller_manager::{DNS_ZONE_NAME, FEDERATIONS, NAMESERVER};
use crate::render::kube_dns::{self, Changes, NAME, NAMESPACE, Names, Unreadable};

/// What the control plane's annotations say about names.
pub fn names(installed: &Installed) -> Option<Names> {
    from_annotations(&installed.annotations)
}

fn from_annotations(annotations: &BTreeMap<String, String>) -> Option<Names> {
    let value = |key: &str| annotations.get(key).cloned().filter(|v| !v.is_empty());
    let servers: Vec<String> =
        value(NAMESERVER).iter().flat_map(|list| list.split(',')).map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect();
    Some(Names { item: value(FEDERATIONS)?, stub: value(DNS_ZONE_NAME).filter(|_| !servers.is_empty()).map(|zone| (zone, servers)) })
}

/// What a person can do for a member without kube-dns' ConfigMap.
fn advice(cluster: &str, zone: &str, servers: &[String]) -> String {
    format!(
        "{cluster} has no ConfigMap {NAMESPACE}/{NAME}: to resolve federated names in its pods, forward zone {zone} to {} in its DNS \
         (CoreDNS: `{zone}:53 {{ forward . {} }}`).",
        servers.join(" and "),
        servers.join(" ")
    )
}

/// Tells a member's kube-dns about the federation; where there is none, says what a person can do.
///
/// # Errors
/// Anything the member says; a ConfigMap that cannot be understood is left alone with a warning.
pub async fn join(session: &Session, member: &Connection, installed: &Installed, cluster: &str) -> Result<(), Failure> {
    let Some(names) = names(installed) else { return Ok(()) };
    let Some(map) = member.get_typed::<ConfigMap>(NAMESPACE, NAME).await? else {
        if let Some((zone, servers)) = &names.stub {
            session.printer.note(&advice(cluster, zone, servers));
        }
        return Ok(());
    };
    change(session, member, map, |data| kube_dns::add(data, &names)).await
}

/// Takes the federation out of a member's kube-dns.
///
/// # Errors
/// Anything the member says.
pub async fn leave(session: &Session, member: &Connection, installed: &Installed) -> Result<(), Failure> {
    let Some(names) = names(installed) else { return Ok(()) };
    let Some(map) = member.get_typed::<ConfigMap>(NAMESPACE, NAME).await? else { return Ok(()) };
    change(session, member, map, |data| kube_dns::remove(data, &names)).await
}

async fn change(
    session: &Session,
    member: &Connection,
    map: ConfigMap,
    edit: impl FnOnce(&BTreeMap<String, String>) -> Result<Changes, Unreadable>,
) -> Result<(), Failure> {
    let changes = match edit(&map.data.unwrap_or_default()) {
        Ok(changes) => changes,
        Err(why) => {
            session.printer.warn(&format!("ConfigMap {NAMESPACE}/{NAME} of context {} was left alone: {why}", member.context));
            return Ok(());
        }
    };
    if changes.is_empty() {
        return Ok(());
    }
    let patch = json!({"metadata": {"resourceVersion": map.metadata.resource_version}, "data": changes});
    let patched = member.typed::<ConfigMap>(NAMESPACE).patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.map(|_| ()).map_err(|e| member.failed(&format!("changing configmaps/{NAME}"), &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::names::map;

    #[test]
    fn several_name_servers_are_several_in_every_notation() {
        let annotations = map([(FEDERATIONS, "f=example.com"), (DNS_ZONE_NAME, "example.com"), (NAMESERVER, "10.0.0.10:53, 10.0.0.11")]);
        let (zone, servers) = from_annotations(&annotations).unwrap().stub.unwrap();
        assert_eq!(servers, ["10.0.0.10:53", "10.0.0.11"]);
        assert!(advice("gondor", &zone, &servers).ends_with("(CoreDNS: `example.com:53 { forward . 10.0.0.10:53 10.0.0.11 }`)."));
        let none = map([(FEDERATIONS, "f=example.com"), (DNS_ZONE_NAME, "example.com"), (NAMESERVER, "")]);
        assert_eq!(from_annotations(&none).unwrap().stub, None);
    }
}
