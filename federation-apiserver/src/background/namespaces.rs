//! Empties namespaces that are being deleted, and lets them go when they are empty.
//!
//! The server does this itself, so that it also works where no controllers run. A namespace that
//! was deleted without asking for its dependents keeps its contents' copies in the members: the
//! `orphan` finalizer of each object stays and is honoured by whoever owns it.

mod conditions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use daemon::logs::Said;
use futures::StreamExt;
use machinery::status::ApiError;
use serde_json::Value;
use tokio::task::{Id, JoinSet};

use self::conditions::Remaining;
use crate::handlers::{self, Api, DeleteOptions, Write};
use crate::registry::{Entry, KUBERNETES};
use crate::storage::StorageError;
use crate::storage::event::EventKind;
use crate::storage::head::Head;
use crate::storage::object::Object;
use crate::storage::store::{ListOptions, ReadAt, WatchFrom, WatchOptions};

/// Pauses between looks at contents that wait for finalizers.
const LOOKS: Policy = Policy::doubling(Duration::from_millis(50), Duration::from_secs(5));
/// Pauses after storage failed.
const RETRY: Policy = Policy::doubling(Duration::from_millis(250), Duration::from_secs(5));
/// Pause after a panic.
const SHOCK: Duration = Duration::from_secs(1);

/// Pause before the first look: creations that were admitted before the mark have arrived by then.
const GRACE: Duration = Duration::from_millis(250);

/// A namespace that is being emptied.
struct Cleaning {
    name: String,
    uid: String,
    /// It changed meanwhile.
    again: bool,
}

/// Runs for ever.
pub(crate) async fn run(api: Arc<Api>) {
    let mut retry = Backoff::new(RETRY);
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut running: HashMap<Id, Cleaning> = HashMap::new();
    loop {
        let options = WatchOptions { from: WatchFrom::Latest, bookmarks: false, send_initial_events: Some(true) };
        let dying: crate::storage::store::Filter = Arc::new(Head::deleting);
        let mut events = match api.registry.namespaces().store().watch(None, options, Some(dying)).await {
            Ok(events) => events,
            Err(_) => {
                retry.pause().await;
                continue;
            }
        };
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { break };
                    let Some(object) = event.object().filter(|_| event.kind() != EventKind::Deleted) else { continue };
                    let (name, uid) = (object.head.name().to_owned(), object.head.uid().to_owned());
                    // A namespace made anew is another one.
                    match running.values_mut().find(|c| c.uid == uid && c.name == name) {
                        Some(cleaning) => cleaning.again = true,
                        None => start(&mut tasks, &mut running, &api, GRACE, name, uid),
                    }
                }
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, failed) = match ended {
                        Ok((id, ())) => (id, false),
                        Err(e) => (e.id(), true),
                    };
                    let Some(Cleaning { name, uid, again }) = running.remove(&id) else { continue };
                    if failed {
                        tracing::error!("emptying namespace {name} panicked; this is a defect; trying again");
                    }
                    if again || failed {
                        start(&mut tasks, &mut running, &api, if failed { SHOCK } else { Duration::ZERO }, name, uid);
                    }
                }
            }
        }
    }
}

fn start(tasks: &mut JoinSet<()>, running: &mut HashMap<Id, Cleaning>, api: &Arc<Api>, rest: Duration, name: String, uid: String) {
    let task = tasks.spawn(clean(Arc::clone(api), rest, name.clone(), uid.clone()));
    running.insert(task.id(), Cleaning { name, uid, again: false });
}

/// Works on one namespace until nothing is left to do.
async fn clean(api: Arc<Api>, rest: Duration, name: String, uid: String) {
    tokio::time::sleep(rest).await;
    let (mut looks, said) = (Backoff::new(LOOKS), Said::default());
    loop {
        match step(&api, &name, &uid).await {
            Ok(Step::Done) => return,
            Ok(Step::Waiting) => {}
            Err(e) if said.changes(&e.message) => tracing::warn!("namespace {name} is not empty yet, trying again: {e}"),
            Err(_) => {}
        }
        looks.pause().await;
    }
}

enum Step {
    Done,
    Waiting,
}

/// The namespace as it is, if it is still the one meant and being deleted.
async fn dying(api: &Api, name: &str, uid: &str) -> Result<Option<Arc<Object>>, ApiError> {
    let found = api.registry.namespaces().store().get(None, name, ReadAt::Latest).await?;
    Ok(found.filter(|n| n.head.uid() == uid && n.head.deleting()))
}

async fn step(api: &Api, name: &str, uid: &str) -> Result<Step, ApiError> {
    let Some(namespace) = dying(api, name, uid).await? else { return Ok(Step::Done) };
    let keeps = handlers::keeps_copies(&namespace.value()?);
    let wanted = if keeps { DeleteOptions::default() } else { DeleteOptions::background() };
    let (mut remaining, mut failed) = (Remaining::default(), None);
    for (entry, objects) in contents(api, name).await? {
        for Content { name: object, uid } in objects {
            let wanted = uid.map_or_else(|| wanted.clone(), |uid| wanted.of_uid(&uid));
            match handlers::delete_object(&entry, Some(name), &object, &wanted).await {
                Ok(handlers::Deleted::Gone(_) | handlers::Deleted::Unreadable) => {}
                Err(e) if e.code == 404 => {}
                Ok(handlers::Deleted::Pending(waiting)) => {
                    remaining.add(&entry.resource);
                    waiting.value().iter().for_each(|object| remaining.waits_for(object));
                }
                // 409: another object of that name by now; the next look finds it.
                Ok(handlers::Deleted::DryRun(_)) => remaining.add(&entry.resource),
                Err(e) if e.code == 409 => remaining.add(&entry.resource),
                // Whatever is wrong with one object, the others go.
                Err(e) => {
                    remaining.add(&entry.resource);
                    remaining.fails(&e.message);
                    failed.get_or_insert(e);
                }
            }
        }
    }
    tell(api, name, uid, &remaining).await?;
    if let Some(e) = failed {
        return Err(e);
    }
    // Something may have come while the rest was deleted.
    if remaining.is_empty() && contents(api, name).await?.is_empty() { release(api, name, uid).await } else { Ok(Step::Waiting) }
}

/// Says in the status what is left.
async fn tell(api: &Api, name: &str, uid: &str, remaining: &Remaining) -> Result<(), ApiError> {
    let Some(current) = dying(api, name, uid).await? else { return Ok(()) };
    let mut namespace = current.value()?;
    if !remaining.tell(&mut namespace, &Write::internal().now) {
        return Ok(());
    }
    match api.registry.namespaces().store().update(None, name, &namespace, current.revision).await {
        // The next look says it.
        Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// An object in a namespace; without a uid when it cannot be read back.
struct Content {
    name: String,
    uid: Option<String>,
}

/// What is in a namespace now, by resource, what cannot be read back included; resources without objects are left out.
async fn contents(api: &Api, namespace: &str) -> Result<Vec<(Arc<Entry>, Vec<Content>)>, ApiError> {
    let mut all = Vec::new();
    for entry in api.registry.catalog().stores().filter(|e| e.resource.namespaced) {
        let options = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
        let listed = entry.store().list(Some(namespace), &options, None).await?.items;
        let readable = listed.iter().map(|o| Content { name: o.head.name().to_owned(), uid: Some(o.head.uid().to_owned()) });
        let unreadable = entry.store().unreadable(namespace)?.into_iter().map(|name| Content { name, uid: None });
        let contents: Vec<Content> = readable.chain(unreadable).collect();
        if !contents.is_empty() {
            all.push((Arc::clone(entry), contents));
        }
    }
    Ok(all)
}

/// Takes our finalizer off, and the namespace away when it was the last of all.
async fn release(api: &Api, name: &str, uid: &str) -> Result<Step, ApiError> {
    let store = api.registry.namespaces().store();
    let Some(current) = dying(api, name, uid).await? else { return Ok(Step::Done) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use crate::{Config, Profile};

    #[tokio::test]
    async fn only_the_namespace_meant_is_emptied_and_let_go() {
        let server = Server::start(Config::in_memory(Profile::Member)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let api = server.api();
        let make = async |plural: &str, namespace: Option<&str>, object: Value| {
            let entry = api.registry.find("", "v1", plural).unwrap();
            entry.store().create(namespace, object["metadata"]["name"].as_str().unwrap(), &object).await.unwrap()
        };
        let namespace = |name: &str| serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": "new"}, "spec": {"finalizers": ["kubernetes"]}});
        make("namespaces", None, namespace("alive")).await;
        let content =
            serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "alive", "uid": "u"}});
        make("configmaps", Some("alive"), content).await;
        // Deleted and made again since somebody began to empty it.
        for uid in ["old", "new"] {
            assert!(matches!(step(api, "alive", uid).await, Ok(Step::Done)));
            assert!(matches!(release(api, "alive", uid).await, Ok(Step::Done)));
        }
        assert_eq!(contents(api, "alive").await.unwrap().len(), 1);
        let store = api.registry.namespaces().store();
        let kept = store.get(None, "alive", ReadAt::Latest).await.unwrap().unwrap();
        assert_eq!(kept.value().unwrap()["spec"]["finalizers"], serde_json::json!(["kubernetes"]));
        let mut dying = kept.value().unwrap();
        dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        store.update(None, "alive", &dying, kept.revision).await.unwrap();
        assert!(matches!(release(api, "alive", "old").await, Ok(Step::Done)));
        assert!(store.get(None, "alive", ReadAt::Latest).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn d32_nothing_is_stored_in_a_namespace_that_went_since_it_was_admitted() {
        let server = Server::start(Config::in_memory(Profile::Member)).await.unwrap();
        server.wait_ready(Duration::from_secs(30)).await.unwrap();
        let api = server.api();
        let dying = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dying", "uid": "d",
            "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"finalizers": ["example.com/others"]}});
        let namespaces = api.registry.namespaces().store();
        namespaces.create(None, "dying", &dying).await.unwrap();
        // Whether it is there nobody can say.
        let broken = format!("{}namespaces/broken", crate::storage::ROOT);
        api.store.backend().put(&broken, "no object".into(), crate::storage::Expect::Absent, None).await.unwrap();
        let entry = api.registry.find("", "v1", "configmaps").unwrap();
        for (namespace, answer) in [("default", None), ("gone", Some(404)), ("dying", Some(403)), ("broken", Some(500))] {
            let admitted = crate::admission::create(&api.registry, &entry.resource, namespace).await;
            assert_eq!(admitted.map_err(|e| e.code).err(), answer, "{namespace}");
        }
        // Admitted, and marked, or gone, before it is stored.
        let object =
            serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": "late", "uid": "u"}});
        let mut late = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late", "uid": "l"}});
        let admitted = namespaces.create(None, "late", &late).await.unwrap();
        late["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let marked = namespaces.update(None, "late", &late, admitted.revision).await.unwrap();
        let store = async || entry.store().create_while(Some("late"), "late", &object, (namespaces, &admitted)).await;
        assert!(matches!(store().await, Err(crate::storage::StorageError::Changed)));
        namespaces.delete(None, "late", marked.revision).await.unwrap();
        assert!(matches!(store().await, Err(crate::storage::StorageError::Changed)));
        assert!(entry.store().get(Some("late"), "late", ReadAt::Latest).await.unwrap().is_none());
    }
}
