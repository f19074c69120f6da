//! Propagation: federated objects into members.
//!
//! Watches, lanes and writers do IO and send what happened to one mailbox. The brain takes it from there,
//! decides by pure functions, and hands out work; per object and cluster at most one job is under way.

use federation_api::keys;
use kube::{api::DynamicObject, core::PartialObjectMeta};

mod aggregate;
mod autoscale;
#[cfg(test)]
mod batching_tests;
pub(crate) mod brain;
pub(crate) mod brake;
mod claims;
mod conditions;
pub(crate) mod damper;
pub(crate) mod decide;
mod deletion;
pub(crate) mod desired;
pub(crate) mod entry;
mod expiry;
mod graves;
mod hold;
pub(crate) mod intake;
mod ledger;
pub(crate) mod observed;
mod outcome;
mod reconcile;
pub(crate) mod records;
#[cfg(test)]
mod rescue_tests;
#[cfg(test)]
mod safety_tests;
mod scaler;
mod schedule;
mod sight;
mod take;
pub(crate) mod writer;

use crate::{
    events::{About, Event, Events},
    follow::{Change, Source},
    kinds::{KINDS, KindId, ObjectKey, path},
};
use intake::{Intake, Mailbox};

/// Watches one federated kind in the federation and reports to the mailbox, for ever.
pub(crate) async fn watch_federated(client: kube::Client, kind: KindId, mailbox: Mailbox) {
    let source = Source::<DynamicObject>::new(client, path(&KINDS[kind], "", ""), "");
    let name = KINDS[kind].kind;
    source
        .follow(|change| {
            mailbox.send(match change {
                Change::Listed(listing) => Intake::FederatedList { kind, listing },
                Change::Changed(object) => Intake::Federated { kind, object: Box::new(object) },
                Change::Gone(head, object) => Intake::FederatedGone { kind, head, object: object.map(Box::new) },
                Change::Unreadable(head, error) => {
                    tracing::warn!(
                        kind = name,
                        name = head.name,
                        namespace = head.namespace,
                        error,
                        "the object cannot be read; its copies stay as they are"
                    );
                    return;
                }
                Change::Watching => Intake::FederatedWatching { kind },
                Change::Failing(reason) => Intake::FederatedFailing { kind, reason },
            });
        })
        .await;
}

/// Watches a federated kind whose controller is off: whoever deletes an object that has our finalizers is told why
/// it does not go.
pub(crate) async fn watch_left_alone(client: kube::Client, kind: KindId, events: Events) {
    let source = Source::<PartialObjectMeta<DynamicObject>>::new(client, path(&KINDS[kind], "", ""), "").metadata_only();
    let resource = KINDS[kind].resource;
    let look = |object: &PartialObjectMeta<DynamicObject>| {
        let metadata = &object.metadata;
        let ours = |f: &String| f == keys::DELETE_FROM_CLUSTERS || f == keys::ORPHAN;
        if metadata.deletion_timestamp.is_none() || !metadata.finalizers.iter().flatten().any(ours) {
            return;
        }
        let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
        let about = About::object(&ObjectKey { kind, namespace, name }, metadata.uid.as_deref().unwrap_or_default());
        let message = format!(
            "it is not deleted: its copies in members are, by the controller \"{resource}\", which is switched off; \
             switch it on with --controllers={resource}=true, or take the finalizers {} and {} off to leave the copies",
            keys::DELETE_FROM_CLUSTERS,
            keys::ORPHAN
        );
        events.tell(Event { about, warning: true, reason: "ControllerOff", message });
    };
    source
        .follow(|change| match change {
            Change::Listed(listing) => listing.objects.iter().for_each(look),
            Change::Changed(object) => look(&object),
            Change::Gone(..) | Change::Unreadable(..) | Change::Watching | Change::Failing(_) => {}
        })
        .await;
}
