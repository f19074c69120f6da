//! Propagation: federated objects into members (design D5 to D7, D9).
//!
//! Watches, lanes and writers do IO and send what happened to one mailbox. The brain takes it from there,
//! decides by pure functions, and hands out work; per object and cluster at most one job is under way.

use kube::api::DynamicObject;

mod aggregate;
pub(crate) mod brain;
pub(crate) mod brake;
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
mod safety_tests;
mod schedule;
mod sight;
mod take;
pub(crate) mod writer;

use crate::{
    follow::{Change, Source},
    kinds::{KINDS, KindId},
};
use intake::{Intake, Mailbox};

/// Watches one federated kind in the federation and reports to the mailbox, for ever.
pub(crate) async fn watch_federated(client: kube::Client, kind: KindId, mailbox: Mailbox) {
    let source = Source::<DynamicObject>::new(client, KINDS[kind].path("", ""), "");
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
