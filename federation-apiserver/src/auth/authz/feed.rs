//! Roles and bindings from the store into [`Rbac`], and the bootstrap objects into the store.

use std::sync::Arc;
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use futures::StreamExt as _;
use futures::future::join_all;
use serde_json::Value;
use thiserror::Error;

use super::aggregate;
use super::bootstrap::{self, Write};
use super::object::{GROUP, RbacKind};
use super::rbac::{Change, Rbac, Revisions};
use crate::storage::event::{EventKind, WatchEvent};
use crate::storage::object::Object;
use crate::storage::store::{ListOptions, ReadAt, ResourceStore, Store, WatchFrom, WatchOptions};
use crate::storage::{ROOT, StorageError};

/// Pauses after failed reads; the last good roles stay in force meanwhile.
const RETRY: Policy = Policy::doubling(Duration::from_millis(250), Duration::from_secs(2));
/// Pauses after a watch that ended.
const WATCH_AGAIN: Policy = Policy::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// Other servers bootstrap at the same time; each conflict means one of them got further.
const ATTEMPTS: usize = 10;

/// Why the bootstrap objects are not in the store.
#[derive(Debug, Error)]
#[error("bootstrap roles cannot be {action}: {source}")]
pub struct BootstrapError {
    action: &'static str,
    #[source]
    source: StorageError,
}

/// The stored objects of the four RBAC resources.
#[derive(Clone)]
pub struct RbacStores {
    stores: [Arc<ResourceStore>; 4],
}

impl std::fmt::Debug for RbacStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RbacStores")
    }
}

impl RbacStores {
    /// The RBAC part of a store.
    pub fn of(store: &Store) -> Self {
        let open = |kind: RbacKind| store.resource(&format!("{ROOT}{}/{}/", GROUP, kind.plural()), &[], None);
        Self { stores: RbacKind::ALL.map(open) }
    }

    fn get(&self, kind: RbacKind) -> &ResourceStore {
        &self.stores[kind as usize]
    }
}

/// Follows the stored roles and bindings for ever, and keeps the rules of aggregated roles written
/// back; to be spawned once. Where the store is away, the last good roles stay in force.
pub async fn follow(rbac: Arc<Rbac>, stores: RbacStores) {
    join_all(RbacKind::ALL.map(|kind| follow_kind(&rbac, &stores, kind))).await;
}

async fn follow_kind(rbac: &Rbac, stores: &RbacStores, kind: RbacKind) {
    let mut retry = Backoff::new(RETRY);
    let mut said = String::new();
    loop {
        if let Err(e) = list_and_watch(rbac, stores, kind).await {
            let problem = e.to_string();
            if problem != said {
                tracing::warn!("{} are not followed, the last known stay in force: {problem}", kind.plural());
                said = problem;
            }
        }
        retry.pause().await;
    }
}

async fn list_and_watch(rbac: &Rbac, stores: &RbacStores, kind: RbacKind) -> Result<(), StorageError> {
    let store = stores.get(kind);
    let (mut damage, mut again) = (store.watch_damage(), Backoff::new(WATCH_AGAIN));
    let mut seen = replace(rbac, store, kind).await?;
    loop {
        if kind == RbacKind::ClusterRole {
            write_aggregated(store).await;
        }
        let options = WatchOptions { from: WatchFrom::After(seen), bookmarks: false, send_initial_events: Some(false) };
        let mut batches = store.watch(None, options, None).await?.ready_chunks(256);
        loop {
            let events = tokio::select! {
                events = batches.next() => events,
                // Of what cannot be read any more there is no event, and it grants nothing: lists leave it out.
                changed = damage.changed() => {
                    changed.map_err(|_| StorageError::Unavailable("the store is closed".into()))?;
                    seen = replace(rbac, store, kind).await?;
                    None
                }
            };
            let Some(events) = events else { break };
            seen = events.iter().map(WatchEvent::revision).max().unwrap_or(seen);
            rbac.apply(events.iter().filter_map(|e| change(kind, e)));
            rbac.followed_to(kind, seen);
            if kind == RbacKind::ClusterRole {
                write_aggregated(store).await;
            }
        }
        again.pause().await;
    }
}

/// Takes all that is stored of a kind in place of what is known; answers the revision.
async fn replace(rbac: &Rbac, store: &ResourceStore, kind: RbacKind) -> Result<u64, StorageError> {
    let (all, revision) = list(store, kind, ReadAt::Latest).await?;
    rbac.apply([Change::Replaced(kind, all)]);
    rbac.followed_to(kind, revision);
    Ok(revision)
}

/// An object that cannot be decoded grants nothing, whatever it granted before, and keeps no other from being followed.
fn change(kind: RbacKind, event: &WatchEvent) -> Option<Change> {
    let object = event.object()?;
    let there = if event.kind() == EventKind::Deleted { None } else { object.readable(kind.plural()) };
    Some(match there {
        Some(value) => Change::Put(kind, value),
        None => Change::Deleted { kind, namespace: object.head.namespace().to_owned(), name: object.head.name().to_owned() },
    })
}

async fn list(store: &ResourceStore, kind: RbacKind, at: ReadAt) -> Result<(Vec<Value>, u64), StorageError> {
    let listing = store.list(None, &ListOptions { at, limit: 0, continue_token: None }, None).await?;
    let values = listing.items.iter().filter_map(|o: &Arc<Object>| o.readable(kind.plural())).collect();
    Ok((values, listing.revision))
}

/// What people read in an aggregated role is what it grants. Failing is no harm: decisions do not
/// depend on it, and the next change tries again.
async fn write_aggregated(store: &ResourceStore) {
    let outdated = match list(store, RbacKind::ClusterRole, ReadAt::Any).await {
        Ok((all, _)) => aggregate::outdated(&all),
        Err(_) => return,
    };
    for role in outdated {
        if let Err(e) = update(store, &role).await {
            tracing::debug!("rules of aggregated role {} not written: {e}", name(&role));
        }
    }
}

/// Brings the bootstrap roles and bindings into the store. To be called at start, before requests
/// are let in; repeating it changes nothing. Answers since which revisions they are stored, for
/// [`Rbac::reach`].
///
/// # Errors
/// The store is away or refuses; try again.
pub async fn bootstrap(stores: &RbacStores) -> Result<Revisions, BootstrapError> {
    let read = |source| BootstrapError { action: "read", source };
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let all = |kind| list(stores.get(kind), kind, ReadAt::Latest);
        let roles = all(RbacKind::ClusterRole).await.map_err(read)?.0;
        let bindings = all(RbacKind::ClusterRoleBinding).await.map_err(read)?.0;
        match carry_out(stores, bootstrap::plan(&roles, &bindings)).await {
            Ok(()) => return stored_since(stores).await.map_err(read),
            Err(e @ StorageError::Conflict { .. }) => last = Some(e),
            Err(source) => return Err(BootstrapError { action: "written", source }),
        }
    }
    let source = last.unwrap_or(StorageError::Conflict { current: None });
    Err(BootstrapError { action: "written", source })
}

/// The revision of the latest object of each kind: that of the list would be one which no event need bring.
async fn stored_since(stores: &RbacStores) -> Result<Revisions, StorageError> {
    let mut revisions = Revisions::default();
    for kind in RbacKind::ALL {
        let all = stores.get(kind).list(None, &ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None }, None).await?;
        revisions[kind as usize] = all.items.iter().map(|object| object.revision).max().unwrap_or(0);
    }
    Ok(revisions)
}

async fn carry_out(stores: &RbacStores, writes: Vec<Write>) -> Result<(), StorageError> {
    // Objects do not depend on each other, and storage makes one batch of what comes together.
    join_all(writes.into_iter().map(|write| one(stores, write))).await.into_iter().collect()
}

async fn one(stores: &RbacStores, write: Write) -> Result<(), StorageError> {
    match write {
        Write::Create(kind, object) => {
            let store = stores.get(kind);
            let created = create(store, object.clone()).await;
            match &created {
                // One that cannot be read back is as good as none, and would be in the way for ever.
                Err(StorageError::Conflict { .. }) if store.delete_unreadable(None, name(&object)).await.is_ok() => {
                    create(store, object).await
                }
                _ => created,
            }
        }
        Write::Update(kind, object) => update(stores.get(kind), &object).await,
        Write::Replace(kind, object) => {
            let store = stores.get(kind);
            if let Some(old) = store.get(None, name(&object), ReadAt::Latest).await? {
                store.delete(None, name(&object), old.revision).await?;
            }
            create(store, object).await
        }
    }
}

async fn create(store: &ResourceStore, mut object: Value) -> Result<(), StorageError> {
    object["metadata"]["uid"] = uuid::Uuid::new_v4().to_string().into();
    object["metadata"]["creationTimestamp"] = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    store.create(None, name(&object), &object).await.map(drop)
}

async fn update(store: &ResourceStore, object: &Value) -> Result<(), StorageError> {
    let revision = object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).unwrap_or(0);
    store.update(None, name(object), object, revision).await.map(drop)
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::authz::{Authorization, Mode};
    use crate::auth::{Attributes, UserInfo};
    use crate::storage::Expect;
    use crate::storage::embedded::Embedded;

    fn may_list_secrets(rbac: &Arc<Rbac>, group: &str) -> bool {
        let user = UserInfo { name: "u".into(), groups: vec![group.into()], ..UserInfo::default() };
        let wanted = Attributes { verb: "list".into(), version: "v1".into(), resource: "secrets".into(), ..Attributes::default() };
        Authorization::new(vec![Mode::Rbac], rbac.clone()).allows(&user, &wanted)
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 5 s: {what}");
    }

    #[tokio::test]
    async fn decisions_follow_the_store() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let stores = RbacStores::of(&store);
        bootstrap(&stores).await.unwrap();
        let rbac = Rbac::new();
        let following = tokio::spawn(follow(rbac.clone(), stores.clone()));
        until("all kinds are listed", || rbac.synced()).await;
        assert!(!may_list_secrets(&rbac, "auditors"));
        let binding = serde_json::json!({"metadata": {"name": "auditors"}, "roleRef": {"kind": "ClusterRole", "name": "edit"},
            "subjects": [{"kind": "Group", "name": "auditors"}]});
        create(stores.get(RbacKind::ClusterRoleBinding), binding).await.unwrap();
        until("the new binding grants", || may_list_secrets(&rbac, "auditors")).await;
        let bindings = stores.get(RbacKind::ClusterRoleBinding);
        let revision = bindings.get(None, "auditors", ReadAt::Latest).await.unwrap().unwrap().revision;
        bindings.delete(None, "auditors", revision).await.unwrap();
        until("the binding is gone", || !may_list_secrets(&rbac, "auditors")).await;
        following.abort();
    }

    /// A server is ready when what it stored at first counts, not a moment before (d6_… saw a 403 then).
    #[tokio::test]
    async fn issue7_bootstrap_roles_count_once_they_are_reached() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let stores = RbacStores::of(&store);
        let revisions = bootstrap(&stores).await.unwrap();
        let rbac = Rbac::new();
        for kind in [RbacKind::Role, RbacKind::RoleBinding, RbacKind::ClusterRole] {
            replace(&rbac, stores.get(kind), kind).await.unwrap();
        }
        rbac.apply([Change::Replaced(RbacKind::ClusterRoleBinding, Vec::new())]);
        assert!(rbac.synced(), "all kinds were listed, bindings before they were stored");
        let mut reached = std::pin::pin!(rbac.reach(&revisions));
        assert!(futures::poll!(&mut reached).is_pending());
        replace(&rbac, stores.get(RbacKind::ClusterRoleBinding), RbacKind::ClusterRoleBinding).await.unwrap();
        assert!(futures::poll!(&mut reached).is_ready());
        assert_eq!(bootstrap(&stores).await.unwrap(), revisions, "a second start stores nothing");
    }

    /// As for a server that starts then.
    #[tokio::test]
    async fn a_role_that_becomes_unreadable_grants_nothing() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let stores = RbacStores::of(&store);
        bootstrap(&stores).await.unwrap();
        let binding = serde_json::json!({"metadata": {"name": "auditors"}, "roleRef": {"kind": "ClusterRole", "name": "auditor"},
            "subjects": [{"kind": "Group", "name": "auditors"}]});
        create(stores.get(RbacKind::ClusterRoleBinding), binding).await.unwrap();
        let role = serde_json::json!({"metadata": {"name": "auditor"},
            "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}]});
        create(stores.get(RbacKind::ClusterRole), role).await.unwrap();
        let rbac = Rbac::new();
        let following = tokio::spawn(follow(rbac.clone(), stores.clone()));
        until("the role grants", || may_list_secrets(&rbac, "auditors")).await;
        let key = format!("{ROOT}{GROUP}/clusterroles/auditor");
        for _ in 0..2 {
            let sound = store.backend().get(&key).await.unwrap().0.unwrap();
            let now = Expect::Revision(sound.revision);
            let bad = store.backend().put(&key, "no object".into(), now, None).await.unwrap();
            until("what cannot be read grants nothing", || !may_list_secrets(&rbac, "auditors")).await;
            store.backend().put(&key, sound.value, Expect::Revision(bad), None).await.unwrap();
            until("it grants again when it can be read", || may_list_secrets(&rbac, "auditors")).await;
        }
        following.abort();
    }

    #[tokio::test]
    async fn bootstrap_is_repeatable_and_rules_of_aggregated_roles_are_written_back() {
        let store = Store::open(Arc::new(Embedded::in_memory()));
        let stores = RbacStores::of(&store);
        let (one, other) = tokio::join!(bootstrap(&stores), bootstrap(&stores));
        one.unwrap();
        other.unwrap();
        let before = store.latest().await.unwrap();
        bootstrap(&stores).await.unwrap();
        assert_eq!(store.latest().await.unwrap(), before, "a second start writes nothing");
        let following = tokio::spawn(follow(Rbac::new(), stores.clone()));
        let roles = stores.get(RbacKind::ClusterRole);
        let part = serde_json::json!({"metadata": {"name": "mine", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
            "rules": [{"verbs": ["get"], "apiGroups": ["mine"], "resources": ["things"]}]});
        create(roles, part).await.unwrap();
        let mut admin = Value::Null;
        for _ in 0..500 {
            admin = roles.get(None, "admin", ReadAt::Any).await.unwrap().unwrap().value().unwrap();
            if admin["rules"].to_string().contains("things") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(admin["rules"].to_string().contains("things"), "view is part of edit, edit of admin: {}", admin["rules"]);
        assert!(admin["metadata"]["uid"].is_string());
        following.abort();
    }
}
