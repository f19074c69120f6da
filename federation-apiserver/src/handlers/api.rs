//! What handlers know of the server.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::auth::authn::Authentication;
use crate::auth::authz::Authorization;
use crate::registry::Registry;
use crate::storage::store::Store;

/// What requests and background work are carried out with.
pub(crate) struct Api {
    pub(crate) store: Arc<Store>,
    pub(crate) registry: Registry,
    pub(crate) authn: Arc<Authentication>,
    pub(crate) authz: Arc<Authorization>,
    /// Whether new objects of federated kinds get the federation's finalizers.
    pub(crate) finalizers: bool,
    /// Ends watches.
    pub(crate) stopping: CancellationToken,
}
