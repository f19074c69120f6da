//! A hollow member: our API server with the kinds of a cluster, and small simulators in place of
//! nodes. Deployments become ready, Services get addresses and endpoints, token secrets are filled.

mod deployments;
mod endpoints;
mod nodes;
mod services;
mod tokens;

use std::fmt::Debug;
use std::future::Future;

use futures::TryStreamExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// What a hollow member pretends to be.
#[derive(Clone, Debug)]
pub(crate) struct Appearance {
    /// Name of its node.
    pub(crate) name: String,
    /// Region of its node.
    pub(crate) region: String,
    /// Zone of its node.
    pub(crate) zone: String,
    /// First three bytes of its load balancers' addresses, from a range for documentation (RFC 5737).
    pub(crate) addresses: [u8; 3],
    /// The token its token secrets are filled with; the server knows it.
    pub(crate) token: String,
    /// Certificate of its API server, PEM.
    pub(crate) ca: Vec<u8>,
}

/// Runs the simulators of one member until `stop`.
pub(crate) async fn simulate(client: Client, appearance: Appearance, stop: CancellationToken) {
    let simulators = async {
        tokio::join!(
            nodes::run(client.clone(), &appearance),
            deployments::run(client.clone()),
            services::run(client.clone(), appearance.addresses),
            endpoints::run(client.clone()),
            tokens::run(client.clone(), &appearance),
        )
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = simulators => {}
    }
}

/// Calls `act` with every object there is and that changes, one after the other. A failed call is
/// logged; the object comes again with its next change or the next relist.
async fn for_each<K, F>(api: Api<K>, mut act: impl FnMut(K) -> F)
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
async fn set_status<K>(api: &Api<K>, name: &str, current: &Value, status: Value) -> kube::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    if *current != status {
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(serde_json::json!({ "status": status }))).await?;
    }
    Ok(())
}
