//! `unjoin`: what becomes of the federation's objects in a leaving member.

use federation_api::keys;
use federation_api::kinds::{KINDS, Kind};
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use super::fate::{Fate, managed};
use crate::commands::Session;
use crate::commands::leaving::{contents, shorten};
use crate::connection::Connection;
use crate::error::Failure;
use crate::wait::{Look, Patience, until};

/// What is left in a member.
pub(super) struct Left {
    /// The federation's objects met their fate: the stored credentials have nothing left to do.
    pub(super) settled: bool,
    /// What is still there, as half sentences; of the objects, only those handed over where they are settled.
    pub(super) remains: Vec<String>,
}

/// A way into the member.
pub(super) struct Way {
    pub(super) connection: Connection,
    /// By the federation's own account, which may neither remove itself nor look at everything.
    pub(super) as_federation: bool,
}

/// The kinds a federation propagates; namespaces last, so that what is in them goes first.
fn kinds() -> Vec<ApiResource> {
    let mut kinds: Vec<&Kind> = KINDS.iter().collect();
    kinds.sort_by_key(|kind| !kind.namespaced);
    let resource = |k: &Kind| ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(k.group, k.version, k.kind), k.resource);
    kinds.into_iter().map(resource).collect()
}

/// Namespaces every cluster has; never deleted.
fn is_kubernetes_own(name: &str) -> bool {
    name == "default" || name.starts_with("kube-")
}

/// Deletes or hands over. What could not be done is returned as half sentences.
///
/// Deletion is asynchronous, and somebody behind may write again: it ends when two looks in a row find nothing.
///
/// # Errors
/// Anything the member says to a list, and that objects do not go; single objects that fail are among what remains.
pub(super) async fn settle(session: &Session, way: &Way, federation: &str, fate: Fate, patience: Patience) -> Result<Left, Failure> {
    let member = &way.connection;
    let mut remains = Vec::new();
    if fate == Fate::Orphan {
        let mut stay = 0usize;
        for resource in kinds() {
            stay += member.list(&resource, None, &managed(federation)).await?.len();
        }
        if stay > 0 {
            session.printer.note(&format!(
                "{stay} objects of the federation stay in {}, with label {}: --delete deletes them, --handover takes the label off.",
                member.context,
                managed(federation)
            ));
        }
        return Ok(Left { settled: true, remains });
    }
    let mut quiet = false;
    until(&session.printer, "the federation's objects to go", patience, async || {
        let pass = pass(way, federation, fate).await?;
        remains.extend(pass.handed_over);
        if !pass.failed.is_empty() {
            remains.extend(pass.failed);
            return Ok(Look::Done(false));
        }
        if pass.seen.is_empty() && quiet {
            return Ok(Look::Done(true));
        }
        quiet = pass.seen.is_empty();
        Ok(Look::missing(
            format!("{} are still there", shorten(&pass.seen)),
            "finalizers may hold them; look at them with kubectl, then repeat the command",
        ))
    })
    .await
    .map(|settled| Left { settled, remains })
}

/// What one look at all kinds found and did.
#[derive(Default)]
struct Pass {
    /// Objects of the federation.
    seen: Vec<String>,
    /// Namespaces that were handed over, and why.
    handed_over: Vec<String>,
    /// What went wrong with single objects.
    failed: Vec<String>,
}

async fn pass(way: &Way, federation: &str, fate: Fate) -> Result<Pass, Failure> {
    let mut pass = Pass::default();
    for resource in kinds() {
        let objects = way.connection.list(&resource, None, &managed(federation)).await?;
        pass.seen.extend(objects.iter().map(|o| format!("{}/{}", resource.plural, o.name_any())));
        let is_going = |o: &DynamicObject| fate == Fate::Delete && o.metadata.deletion_timestamp.is_some();
        for object in objects.iter().filter(|o| !is_going(o)) {
            let done = match fate {
                Fate::Delete => delete(way, &resource, object).await,
                _ => hand_over(&way.connection, &resource, object).await.map(|()| None),
            };
            match done {
                Ok(handed_over) => pass.handed_over.extend(handed_over),
                Err(failure) => pass.failed.push(failure.message),
            }
        }
    }
    Ok(pass)
}

/// Deletes an object, or hands over the namespace it is and says why.
async fn delete(way: &Way, resource: &ApiResource, object: &DynamicObject) -> Result<Option<String>, Failure> {
    let member = &way.connection;
    if resource.kind == "Namespace" {
        let name = object.name_any();
        if is_kubernetes_own(&name) {
            return hand_over(member, resource, object).await.map(|()| None);
        }
        let rest = match contents(member, &name).await {
            Err(failure) if way.as_federation => {
                // Asking again would not help: the account may not see all kinds there are.
                hand_over(member, resource, object).await?;
                return Ok(Some(format!("namespace {name}, whose contents the federation's account cannot see ({failure})")));
            }
            rest => rest?,
        };
        if !rest.is_empty() {
            hand_over(member, resource, object).await?;
            return Ok(Some(format!("namespace {name}, which holds what is not the federation's: {}", shorten(&rest))));
        }
    }
    member.delete(resource, object).await.map(|_| None)
}

async fn hand_over(member: &Connection, resource: &ApiResource, object: &DynamicObject) -> Result<(), Failure> {
    let patch = json!({"metadata": {"labels": {keys::MANAGED_BY: null}, "annotations": {keys::SOURCE_UID: null, keys::APPLIED: null}}});
    let api = member.api(resource, object.namespace().as_deref());
    let patched = api.patch_metadata(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.map(|_| ()).map_err(|e| member.failed(&format!("handing over {}/{}", resource.plural, object.name_any()), &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_propagated_leaves_with_the_federation_and_namespaces_last() {
        let kinds: Vec<String> = kinds().into_iter().map(|k| k.plural).collect();
        assert_eq!(kinds.len(), KINDS.len());
        assert!(["deployments", "horizontalpodautoscalers", "ingresses", "secrets"].iter().all(|k| kinds.iter().any(|has| has == k)));
        assert_eq!(kinds.last().map(String::as_str), Some("namespaces"));
    }
}
