//! Simulators in place of controllers and nodes: Deployments become ready, Services get addresses and
//! endpoints, token secrets are filled.

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
pub struct Appearance {
    /// Region of its node.
    pub region: String,
    /// Zone of its node.
    pub zone: String,
    /// First three bytes of its load balancers' addresses, from a range for documentation (RFC 5737).
    pub addresses: [u8; 3],
}

/// What its server knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Name of the member and of its node.
    pub(crate) name: String,
    /// The token its token secrets are filled with.
    pub(crate) token: String,
    /// Certificate of its API server, PEM.
    pub(crate) ca: Vec<u8>,
}

/// Runs the simulators of one member until `stop`.
pub(crate) async fn simulate(client: Client, identity: Identity, appearance: Appearance, stop: CancellationToken) {
    let simulators = async {
        tokio::join!(
            nodes::run(client.clone(), &identity.name, &appearance),
            deployments::run(client.clone()),
            services::run(client.clone(), appearance.addresses),
            endpoints::run(client.clone()),
            tokens::run(client.clone(), &identity),
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
