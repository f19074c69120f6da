//! What the server answers requests from.

use std::sync::Arc;

use super::health::Health;
use super::inflight::Inflight;
use crate::audit::Audit;
use crate::config::Config;
use crate::discovery::Discovery;
use crate::handlers::Api;
use crate::openapi::OpenApi;

/// What the pipeline and the paths that are no resources need.
pub(super) struct Served {
    pub(super) api: Arc<Api>,
    pub(super) config: Config,
    pub(super) audit: Option<Audit>,
    pub(super) inflight: Inflight,
    pub(super) discovery: Discovery,
    pub(super) openapi: OpenApi,
    pub(super) health: Health,
}
