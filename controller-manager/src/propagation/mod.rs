//! Propagation: federated objects into members (design D5 to D7, D9).
//!
//! Watches, lanes and writers do IO and send what happened to one mailbox. The brain takes it from there,
//! decides by pure functions, and hands out work; per object and cluster at most one job is under way.

use futures::StreamExt;
use kube::{
    Api,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};

mod aggregate;
pub(crate) mod brain;
pub(crate) mod brake;
mod conditions;
pub(crate) mod decide;
mod deletion;
pub(crate) mod desired;
pub(crate) mod entry;
mod expiry;
mod hold;
pub(crate) mod intake;
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

use crate::kinds::{KINDS, KindId};
use intake::{Intake, Mailbox};

/// Watches one federated kind in the federation and reports to the mailbox, for ever.
pub(crate) async fn watch_federated(client: kube::Client, kind: KindId, mailbox: Mailbox) {
    let api = Api::<DynamicObject>::all_with(client, &KINDS[kind].api_resource());
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut listing = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply(object)) => listing.push(object),
            Ok(Event::InitDone) => mailbox.send(Intake::FederatedList { kind, objects: std::mem::take(&mut listing) }),
            Ok(Event::Apply(object)) => mailbox.send(Intake::Federated { kind, object: Box::new(object) }),
            Ok(Event::Delete(object)) => mailbox.send(Intake::FederatedGone { kind, object: Box::new(object) }),
            Err(error) => {
                tracing::warn!(kind = KINDS[kind].kind, error = %crate::members::request::chain(&error), "the federation cannot be watched; what is known stays");
            }
        }
    }
}
