//! What the server answers requests from.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::health::Health;
use super::inflight::Inflight;
use crate::audit::Audit;
use crate::config::Config;
use crate::discovery::Discovery;
use crate::handlers::Api;
use crate::openapi::{OpenApi, Source};
use crate::registry::Catalog;

/// What the pipeline and the paths that are no resources need.
pub(super) struct Served {
    pub(super) api: Arc<Api>,
    pub(super) config: Config,
    pub(super) audit: Option<Audit>,
    pub(super) inflight: Inflight,
    pub(super) published: ArcSwap<Published>,
    pub(super) health: Health,
}

/// What is told about the resources that are served.
pub(super) struct Published {
    catalog: Arc<Catalog>,
    pub(super) discovery: Discovery,
    pub(super) openapi: OpenApi,
}

impl Published {
    /// `address` (`host:port`) is where clients reach the server.
    pub(super) fn of(catalog: Arc<Catalog>, address: &str) -> Self {
        let discovery = Discovery::new(catalog.entries().iter().map(|e| &e.resource), address);
        Self { discovery, openapi: OpenApi::new(Box::new(Source::new(Arc::clone(&catalog)))), catalog }
    }
}

impl Served {
    /// The documents about what is served now, made anew where that has changed.
    pub(super) fn published(&self) -> Arc<Published> {
        let now = self.api.registry.catalog();
        let known = self.published.load_full();
        if Arc::ptr_eq(&known.catalog, &now) {
            return known;
        }
        let made = Arc::new(Published::of(now, &self.config.advertised()));
        self.published.store(Arc::clone(&made));
        made
    }
}
