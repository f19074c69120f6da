//! Propagation: federated objects into members.
//!
//! Watches, lanes and writers do IO and send what happened to one mailbox. The controller takes it from there,
//! decides by pure functions, and hands out work; per object and cluster at most one job is under way.

use kube::api::DynamicObject;

mod aggregate;
mod autoscale;
#[cfg(test)]
mod batching_tests;
pub(crate) mod brake;
pub(crate) mod controller;
pub(crate) mod copies;
pub(crate) mod damper;
pub(crate) mod decide;
mod deletion;
pub(crate) mod desired;
mod effect;
pub(crate) mod entry;
mod expiry;
mod grace;
pub(crate) mod intake;
mod ledger;
mod left_alone;
mod member;
mod object;
mod objects;
mod observe;
mod outcome;
pub(crate) mod per_cluster;
mod receive;
mod reconcile;
#[cfg(test)]
mod reconcile_tests;
pub(crate) mod record;
pub(crate) mod records;
#[cfg(test)]
mod rescue_tests;
#[cfg(test)]
mod safety_tests;
mod schedule;
pub(crate) mod settings;
mod step;
mod timers;
mod tombstones;
pub(crate) mod writer;

use crate::{
    follow::{Change, Source},
    kinds::{KINDS, KindId, path},
};
use intake::{Intake, Mailbox};
pub(crate) use left_alone::watch_left_alone;

/// Watches one federated kind in the federation and reports to the mailbox, for ever.
pub(crate) async fn watch_federated(client: kube::Client, kind: KindId, mailbox: Mailbox) {
    // Who owns which fields is more than all the rest of most objects.
    let source = Source::<DynamicObject>::reading(client, path(&KINDS[kind], "", ""), "", |text| {
        let mut object: DynamicObject = serde_json::from_str(text)?;
        object.metadata.managed_fields = None;
        Ok(object)
    });
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
