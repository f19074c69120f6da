//! Simulators in place of controllers and nodes: Deployments become ready, Services get addresses and
//! endpoints, token secrets are filled.

mod deployments;
mod endpoints;
mod member;
mod nodes;
mod objects;
mod services;
mod tokens;

use kube::Client;
use tokio_util::sync::CancellationToken;

pub use member::Appearance;
pub(crate) use member::Identity;

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
