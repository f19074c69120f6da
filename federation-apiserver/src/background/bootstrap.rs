//! What has to be stored for a server to be usable: the first namespaces and the bootstrap roles.

use std::sync::Arc;
use std::time::Duration;

use daemon::backoff::{Backoff, Policy};
use daemon::logs::Said;
use daemon::supervise::Done;
use futures::future::try_join_all;
use machinery::status::ApiError;
use serde_json::json;
use tokio::sync::watch;

use crate::admission::IMMORTAL;
use crate::auth::authz::feed::{self, RbacStores};
use crate::auth::{MASTERS, UserInfo};
use crate::handlers::{self, Api, Write};
use crate::storage::StorageError;
use crate::storage::store::ReadAt;

/// Pauses after failures; storage may be away.
const RETRY: Policy = Policy::doubling(Duration::from_millis(250), Duration::from_secs(5));

/// Stores them, trying until it is done; `ready` becomes true when the roles count for decisions, too.
pub(crate) async fn run(api: Arc<Api>, roles: RbacStores, ready: watch::Sender<bool>) -> Done {
    let (mut retry, said) = (Backoff::new(RETRY), Said::default());
    let since = loop {
        // Together, for storage makes few commits of what comes at once.
        let namespaces = try_join_all(IMMORTAL.map(|name| namespace(&api, name)));
        let stored = tokio::join!(namespaces, feed::bootstrap(&roles));
        let why = match stored {
            (Ok(_), Ok(since)) => break since,
            (Err(e), _) => e.message,
            (_, Err(e)) => e.to_string(),
        };
        if said.changes(&why) {
            tracing::warn!("the first namespaces and roles are not stored yet, trying again: {why}");
        }
        retry.pause().await;
    };
    api.authz.rbac().reach(&since).await;
    ready.send_replace(true);
    Done
}

/// Creates a namespace unless it is there.
async fn namespace(api: &Api, name: &str) -> Result<(), ApiError> {
    let entry = api.registry.namespaces();
    if entry.store().get(None, name, ReadAt::Latest).await?.is_some() {
        return Ok(());
    }
    let user = UserInfo { name: "system:apiserver".into(), uid: String::new(), groups: vec![MASTERS.into()] };
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    handlers::prepare_create(entry, &mut object, &user, &Write::internal())?;
    match entry.store().create(None, name, &object).await {
        Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
