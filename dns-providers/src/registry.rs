//! Providers by name.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{DnsName, Error, Provider, coredns, embedded};

/// The providers there are.
pub const KNOWN: &[&str] = &[coredns::NAME, embedded::NAME];

/// What a provider is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the provider, one of [`KNOWN`].
    pub provider: String,
    /// Its configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// Name of the federation, written into everything as the mark of ownership.
    pub owner: String,
    /// The zone to publish in; the embedded provider serves it when its configuration names no zones.
    pub zone: Option<DnsName>,
}

/// Opens a provider. Nothing is asked of a remote backend yet.
///
/// # Errors
/// Anything wrong with the name or the configuration; for `embedded` also an address in use.
pub async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    match settings.provider.as_str() {
        coredns::NAME => {
            Ok(Arc::new(coredns::CoreDns::connect(coredns::Config::load(settings.config.as_deref())?, &settings.owner).await?))
        }
        embedded::NAME => {
            let config = embedded::Config::load(settings.config.as_deref(), settings.zone.clone())?;
            Ok(Arc::new(embedded::Embedded::start(config).await?))
        }
        other => Err(Error::UnknownProvider { name: other.to_owned(), known: KNOWN }),
    }
}
