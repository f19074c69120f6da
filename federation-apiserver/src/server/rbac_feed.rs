//! Feeds roles and bindings from the store to the authorizer.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::{Inner, spawn};
use crate::auth::authz::Change;
use crate::auth::authz::object::RbacKind;
use crate::registry::Entry;
use crate::storage::StorageError;
use crate::storage::event::{EventKind, WatchEvent};
use crate::storage::store::{ListOptions, ReadAt, WatchFrom, WatchOptions};

const RETRY: Duration = Duration::from_millis(500);
const GROUP: &str = "rbac.authorization.k8s.io";

/// Starts one feed a kind.
pub(super) fn spawn_feeds(inner: &Arc<Inner>) -> Vec<AbortOnDropHandle<()>> {
    let feed = |kind: RbacKind| {
        let entry = Arc::clone(inner.registry.find(GROUP, "v1", kind.plural())?);
        Some(spawn(run(Arc::clone(inner), entry, kind)))
    };
    RbacKind::ALL.into_iter().filter_map(feed).collect()
}

async fn run(inner: Arc<Inner>, entry: Arc<Entry>, kind: RbacKind) {
    loop {
        if let Err(e) = follow(&inner, &entry, kind).await {
            tracing::debug!("{}: {e}", kind.plural());
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Lists, then watches until the watch ends.
async fn follow(inner: &Inner, entry: &Entry, kind: RbacKind) -> Result<(), StorageError> {
    let options = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
    let listing = entry.store().list(None, &options, None).await?;
    let objects = listing.items.iter().map(|o| o.value()).collect::<Result<Vec<Value>, _>>()?;
    let rbac = inner.authz.rbac();
    rbac.apply([Change::Replaced(kind, objects)]);
    let options = WatchOptions { from: WatchFrom::After(listing.revision), bookmarks: false, send_initial_events: None };
    let events = entry.store().watch(None, options, None).await?;
    rbac.follow(Box::pin(events.filter_map(|event| std::future::ready(change(kind, &event))))).await;
    Ok(())
}

fn change(kind: RbacKind, event: &WatchEvent) -> Option<Change> {
    let object = event.object()?;
    if event.kind() == EventKind::Deleted {
        let (namespace, name) = (object.head.namespace().to_owned(), object.head.name().to_owned());
        return Some(Change::Deleted { kind, namespace, name });
    }
    match object.value() {
        Ok(value) => Some(Change::Put(kind, value)),
        Err(e) => {
            tracing::error!("a role or binding cannot be read and does not count: {e}");
            None
        }
    }
}
