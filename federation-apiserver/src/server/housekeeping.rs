//! What has to be stored for a server to be usable: the first namespaces, the bootstrap roles, and
//! aggregated roles as the roles they are made of change.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use machinery::status::ApiError;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Inner;
use crate::admission::IMMORTAL;
use crate::auth::authz::bootstrap;
use crate::auth::authz::object::RbacKind;
use crate::auth::{MASTERS, UserInfo};
use crate::handlers::{self, Change, DeleteOptions, Write};
use crate::registry::Entry;
use crate::storage::StorageError;
use crate::storage::store::{ListOptions, ReadAt, WatchFrom, WatchOptions};

/// Pause after a failure; storage may be away.
const RETRY: Duration = Duration::from_secs(1);
/// Changes of roles are taken together.
const SETTLE: Duration = Duration::from_millis(100);
const GROUP: &str = "rbac.authorization.k8s.io";

/// Runs for ever; `ready` becomes true when everything is stored for the first time.
pub(super) async fn run(inner: Arc<Inner>, ready: watch::Sender<bool>) {
    let mut said = String::new();
    loop {
        match keep(&inner, &ready).await {
            Ok(()) => said.clear(),
            Err(e) => {
                if e.message != said {
                    tracing::warn!("namespaces and roles could not be stored, trying again: {e}");
                    said = e.message;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn keep(inner: &Inner, ready: &watch::Sender<bool>) -> Result<(), ApiError> {
    for name in IMMORTAL {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(inner.registry.namespaces(), object).await?;
    }
    let roles = rbac(inner, RbacKind::ClusterRole)?;
    let revision = bring_up_to_date(inner).await?;
    ready.send_replace(true);
    let options = WatchOptions { from: WatchFrom::After(revision), bookmarks: false, send_initial_events: None };
    let mut changes = roles.store().watch(None, options, None).await?.ready_chunks(256);
    while changes.next().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        bring_up_to_date(inner).await?;
    }
    Ok(())
}

fn rbac(inner: &Inner, kind: RbacKind) -> Result<&Arc<Entry>, ApiError> {
    inner.registry.find(GROUP, "v1", kind.plural()).ok_or_else(|| ApiError::internal("roles are not served"))
}

/// Stores what the bootstrap policy lacks; answers the revision the roles were read at.
async fn bring_up_to_date(inner: &Inner) -> Result<u64, ApiError> {
    let (roles, revision) = all(rbac(inner, RbacKind::ClusterRole)?).await?;
    let (bindings, _) = all(rbac(inner, RbacKind::ClusterRoleBinding)?).await?;
    for write in bootstrap::plan(&roles, &bindings) {
        match write {
            bootstrap::Write::Create(kind, object) => ensure(rbac(inner, kind)?, object).await?,
            bootstrap::Write::Update(kind, object) => replace(rbac(inner, kind)?, object).await?,
            bootstrap::Write::Replace(kind, object) => {
                let entry = rbac(inner, kind)?;
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                match handlers::delete_object(entry, None, &name, &DeleteOptions::background()).await {
                    Ok(_) => ensure(entry, object).await?,
                    Err(e) if e.code == 404 => ensure(entry, object).await?,
                    Err(e) => return Err(e),
                }
            }
        }
    }
    Ok(revision)
}

async fn all(entry: &Entry) -> Result<(Vec<Value>, u64), ApiError> {
    let options = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
    let listing = entry.store().list(None, &options, None).await?;
    Ok((listing.items.iter().map(|o| o.value()).collect::<Result<_, _>>()?, listing.revision))
}

/// Creates an object unless there is one of its name.
async fn ensure(entry: &Entry, mut object: Value) -> Result<(), ApiError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if entry.store().get(None, &name, ReadAt::Latest).await?.is_some() {
        return Ok(());
    }
    let user = UserInfo { name: "system:apiserver".into(), uid: String::new(), groups: vec![MASTERS.into()] };
    handlers::prepare_create(entry, &mut object, &user, &Write::internal())?;
    match entry.store().create(None, &name, &object).await {
        Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Replaces an object that is still as it was read; somebody else's write wins.
async fn replace(entry: &Entry, object: Value) -> Result<(), ApiError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let Some(current) = entry.store().get(None, &name, ReadAt::Latest).await? else { return Ok(()) };
    let old = current.value()?;
    if old["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
        return Ok(());
    }
    match handlers::prepare_update(entry, object, &old, &Write::internal())? {
        Change::Replace(new) => match entry.store().update(None, &name, &new, current.revision).await {
            Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        },
        Change::None | Change::Remove(_) => Ok(()),
    }
}
