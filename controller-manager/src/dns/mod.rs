//! Names of federated Services in DNS.
//!
//! The Service controller says where each Service is; records are worked out, compared with what the
//! provider holds, and changed in one batch.

pub mod controller;
pub mod diff;
pub mod inbox;
#[cfg(test)]
pub(crate) mod memory;
pub mod place;
pub mod records;
pub mod report;
pub mod resolve;
pub mod site;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::supervise::Done;
use dns_providers::{DnsName, InvalidDnsName, Provider, Settings, Zone, select_zone};
use program::failure::Failure;

use crate::Config;

pub use controller::{DnsController, Pace};
pub use inbox::DnsHandle;
pub use records::{TTL, Tree};
pub use site::{ServiceKey, Site, Target, Worth};

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;

/// A provider with its zone, ready to be published in.
#[derive(Clone, Debug)]
pub struct Opened {
    provider: Arc<dyn Provider>,
    zone: Zone,
    tree: Tree,
}

/// Opens the configured provider and finds its zone; `None` if no provider is configured or the controller is off.
///
/// # Errors
/// The configuration is wrong: unknown provider, bad file, no such zone, address in use. A backend that
/// is merely away is no error: the controller keeps trying.
pub async fn open(config: &Config) -> Result<Option<Opened>, OpenError> {
    if config.dns_provider.is_empty() || !config.enabled("service-dns") {
        return Ok(None);
    }
    let zone = Some(config.zone_name.as_str()).filter(|z| !z.is_empty()).map(|z| name("--zone-name", z)).transpose()?;
    let settings = Settings {
        provider: config.dns_provider.clone(),
        config: Some(&config.dns_provider_config).filter(|path| !path.is_empty()).map(Into::into),
        owner: config.federation_name.clone(),
        zone,
        zone_id: Some(config.zone_id.clone()).filter(|id| !id.is_empty()),
    };
    let provider = dns_providers::open(&settings).await?;
    Opened::new(config, provider).await.map(Some)
}

/// Why names cannot be published with this configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What the provider says.
    #[error(transparent)]
    Provider(#[from] dns_providers::Error),
    /// A flag holds something else than a DNS name.
    #[error("{flag}: {source}")]
    Name {
        /// The flag, with its dashes.
        flag: &'static str,
        /// Which rule it breaks.
        source: InvalidDnsName,
    },
    /// The suffix of all names is outside of the zone.
    #[error("--service-dns-suffix {suffix} does not lie in the zone {zone}")]
    Outside {
        /// The suffix.
        suffix: DnsName,
        /// The zone's name.
        zone: DnsName,
    },
}

/// Exit code 64 where only a change of the configuration helps.
impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let told = error.to_string();
        match error {
            OpenError::Provider(error) => {
                let failure = if error.is_configuration() { Self::usage(told) } else { Self::new(told) };
                error.hint().into_iter().fold(failure, Self::hint)
            }
            OpenError::Name { .. } => Self::usage(told).hint("for example example.com."),
            OpenError::Outside { zone, .. } => Self::usage(told).hint(format!("write a suffix that ends in {zone}")),
        }
    }
}

/// A provider that answers no more though nobody stopped it, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ProviderEnded(String);

impl Opened {
    /// Finds the configured zone in a provider that is open already.
    ///
    /// # Errors
    /// The zone is not the provider's, or the suffix is no DNS name in it.
    pub async fn new(config: &Config, provider: Arc<dyn Provider>) -> Result<Self, OpenError> {
        let zones = provider.zones().await?;
        let zone = select_zone(&zones, &config.zone_name, Some(&config.zone_id))?;
        let suffix = match config.service_dns_suffix.as_str() {
            "" => zone.name.clone(),
            suffix => name("--service-dns-suffix", suffix)?,
        };
        if !suffix.is_within(&zone.name) {
            return Err(OpenError::Outside { suffix, zone: zone.name });
        }
        let aliases_out = provider.capabilities().aliases_out;
        let tree = Tree { federation: config.federation_name.clone(), suffix, ttl: TTL, aliases_out };
        Ok(Opened { provider, zone, tree })
    }

    /// The provider.
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// The zone in it.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Where the federation's names hang in the zone.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Addresses at which the provider itself answers queries; empty if something else does.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.provider.addresses()
    }

    /// Ends with an error when the provider answers no more though nobody stopped it.
    pub fn ended(&self) -> impl Future<Output = Result<Done, ProviderEnded>> + Send + use<> {
        let provider = self.provider.clone();
        async move { Err(ProviderEnded(provider.ended().await)) }
    }

    /// The controller that publishes there.
    pub fn controller(self, report: Arc<dyn report::Report>) -> DnsController {
        DnsController::new(self.provider, self.zone, self.tree, Arc::new(resolve::System::default()), report)
    }
}

fn name(flag: &'static str, text: &str) -> Result<DnsName, OpenError> {
    DnsName::parse(text).map_err(|source| OpenError::Name { flag, source })
}
