//! The providers there are: the one place that names them.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Capabilities, Deployment, DnsName, Error, PodNeeds, Provider};

pub mod coredns;
pub mod embedded;
pub mod rfc2136;
pub mod route53;

/// Every provider; messages list them in this order.
pub const DRIVERS: &[&dyn Driver] = &[&coredns::Driver, &embedded::Driver, &rfc2136::Driver, &route53::Driver];

/// What is known of a provider before it is opened.
#[async_trait]
pub trait Driver: Sync {
    /// The name people choose it by.
    fn name(&self) -> &'static str;

    /// What it is, to stand behind "NAME for" in a help text.
    fn summary(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// What it needs in a pod. Its configuration is checked, and files it names are read.
    ///
    /// # Errors
    /// What would fail in the pod: [`Error::Undeployable`], or anything wrong with the configuration.
    fn deploys(&self, wanted: &Deployment<'_>) -> Result<PodNeeds, Error>;

    /// Opens the provider. Nothing is asked of a remote backend yet.
    ///
    /// # Errors
    /// Anything wrong with the configuration; for a provider that answers queries also an address in use.
    async fn open(&self, settings: &Settings) -> Result<Arc<dyn Provider>, Error>;
}

/// What a provider is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the provider, one of [`known`].
    pub provider: String,
    /// Its configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// Name of the federation, written into everything as the mark of ownership.
    pub owner: String,
    /// The zone to publish in; the embedded provider serves it when its configuration names no zones.
    pub zone: Option<DnsName>,
    /// The provider's id of it, if one was named.
    pub zone_id: Option<String>,
}

/// The names of all providers.
pub fn known() -> Vec<&'static str> {
    DRIVERS.iter().map(|driver| driver.name()).collect()
}

/// Finds a provider by its name.
///
/// # Errors
/// [`Error::UnknownProvider`].
pub fn driver(name: &str) -> Result<&'static dyn Driver, Error> {
    let found = DRIVERS.iter().find(|driver| driver.name() == name);
    found.copied().ok_or_else(|| Error::UnknownProvider { name: name.to_owned(), known: known() })
}

/// Opens a provider. Nothing is asked of a remote backend yet.
///
/// # Errors
/// Anything wrong with the name or the configuration; for `embedded` also an address in use.
pub async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    driver(&settings.provider)?.open(settings).await
}
