//! What all simulators do with objects.

use std::fmt::Debug;
use std::future::Future;

use futures::TryStreamExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Calls `act` with every object there is and that changes, one after the other. A failed call is
/// logged; the object comes again with its next change or the next relist.
pub(super) async fn for_each<K, F>(api: Api<K>, mut act: impl FnMut(K) -> F)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
    F: Future<Output = kube::Result<()>>,
{
    loop {
        let mut events = std::pin::pin!(watcher(api.clone(), watcher::Config::default()));
        while let Ok(Some(event)) = events.try_next().await {
            if let watcher::Event::Apply(object) | watcher::Event::InitApply(object) = event
                && let Err(error) = act(object).await
            {
                tracing::debug!(%error, "a simulator could not write");
            }
        }
    }
}

/// Writes a status, unless it is there already.
pub(super) async fn set_status<K>(api: &Api<K>, name: &str, current: &Value, status: Value) -> kube::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    if *current != status {
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(serde_json::json!({ "status": status }))).await?;
    }
    Ok(())
}
