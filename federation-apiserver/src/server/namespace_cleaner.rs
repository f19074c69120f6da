//! Empties namespaces that are being deleted, and lets them go when they are empty.
//!
//! The server does this itself, so that it also works where no controllers run. A namespace that
//! was deleted without asking for its dependents keeps its contents' copies in the members: the
//! `orphan` finalizer of each object stays and is honoured by whoever owns it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use machinery::status::ApiError;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Inner;
use crate::handlers::{self, DeleteOptions};
use crate::registry::KUBERNETES;
use crate::storage::StorageError;
use crate::storage::head::Head;
use crate::storage::store::{ListOptions, ReadAt, WatchFrom, WatchOptions};

/// Pause between looks at contents that wait for finalizers: from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Pause after storage failed.
const RETRY: Duration = Duration::from_secs(1);

/// Runs for ever.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut cleaning: JoinSet<String> = JoinSet::new();
    let mut running: HashMap<String, ()> = HashMap::new();
    loop {
        let options = WatchOptions { from: WatchFrom::Latest, bookmarks: false, send_initial_events: Some(true) };
        let dying: crate::storage::store::Filter = Arc::new(Head::deleting);
        let mut events = match inner.registry.namespaces().store().watch(None, options, Some(dying)).await {
            Ok(events) => events,
            Err(_) => {
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { break };
                    let Some(object) = event.object() else { continue };
                    let name = object.head.name().to_owned();
                    if running.insert(name.clone(), ()).is_none() {
                        cleaning.spawn(clean(Arc::clone(&inner), name));
                    }
                }
                Some(done) = cleaning.join_next() => {
                    if let Ok(name) = done {
                        running.remove(&name);
                    }
                }
            }
        }
    }
}

/// Works on one namespace until nothing is left to do.
async fn clean(inner: Arc<Inner>, name: String) -> String {
    let mut pause = FIRST_PAUSE;
    loop {
        match step(&inner, &name).await {
            Ok(Step::Done) => return name,
            Ok(Step::Waiting) => {}
            Err(e) => tracing::warn!("namespace {name} is not empty yet, trying again: {e}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

enum Step {
    Done,
    Waiting,
}

async fn step(inner: &Inner, name: &str) -> Result<Step, ApiError> {
    let namespaces = inner.registry.namespaces();
    let Some(namespace) = namespaces.store().get(None, name, ReadAt::Latest).await? else { return Ok(Step::Done) };
    if !namespace.head.deleting() {
        return Ok(Step::Done);
    }
    let wanted = if handlers::keeps_copies(&namespace.value()?) { DeleteOptions::default() } else { DeleteOptions::background() };
    let mut left = 0;
    for entry in inner.registry.entries().iter().filter(|e| e.resource.namespaced && e.resource.stored()) {
        let options = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
        for object in entry.store().list(Some(name), &options, None).await?.items {
            match handlers::delete_object(entry, Some(name), object.head.name(), &wanted).await {
                Ok(handlers::Deleted::Gone(_)) => {}
                Ok(_) => left += 1,
                Err(e) if e.code == 404 => {}
                Err(e) => return Err(e),
            }
        }
    }
    if left > 0 { Ok(Step::Waiting) } else { release(inner, name).await }
}

/// Takes our finalizer off, and the namespace away when it was the last of all.
async fn release(inner: &Inner, name: &str) -> Result<Step, ApiError> {
    let store = inner.registry.namespaces().store();
    let Some(current) = store.get(None, name, ReadAt::Latest).await? else { return Ok(Step::Done) };
    let mut namespace = current.value()?;
    let finalizers = namespace["spec"].get_mut("finalizers").and_then(Value::as_array_mut);
    let had = finalizers.is_some_and(|list| {
        let before = list.len();
        list.retain(|f| f != KUBERNETES);
        list.len() < before
    });
    let outcome = if handlers::waits(&namespace) {
        if !had {
            // Others have to finish; whoever takes the last finalizer off removes the namespace.
            return Ok(Step::Done);
        }
        store.update(None, name, &namespace, current.revision).await
    } else {
        store.delete(None, name, current.revision).await
    };
    match outcome {
        Ok(_) => Ok(Step::Done),
        Err(StorageError::Conflict { .. }) => Ok(Step::Waiting),
        Err(e) => Err(e.into()),
    }
}
