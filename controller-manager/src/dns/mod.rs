//! Names of federated Services in DNS.
//!
//! The Service controller says where each Service is; records are worked out, compared with what the
//! provider holds, and changed in one batch.

pub mod controller;
pub mod diff;
pub mod inbox;
pub mod records;
pub mod report;
pub mod resolve;
mod state;

use std::sync::Arc;

use anyhow::Context;
use dns_providers::{DnsName, Settings, select_zone};

use crate::Config;

pub use controller::{DnsController, Pace};
pub use inbox::DnsHandle;
pub use records::{ServiceKey, TTL, Tree};

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;

/// Opens the configured provider and finds its zone; `None` if no provider is configured.
///
/// # Errors
/// The configuration is wrong: unknown provider, bad file, no such zone, address in use. A backend that
/// is merely away is no error: the controller keeps trying.
pub async fn open(config: &Config, report: Arc<dyn report::Report>) -> anyhow::Result<Option<DnsController>> {
    if config.dns_provider.is_empty() {
        return Ok(None);
    }
    let zone = Some(config.zone_name.as_str()).filter(|z| !z.is_empty()).map(DnsName::parse).transpose().context("--zone-name")?;
    let settings = Settings {
        provider: config.dns_provider.clone(),
        config: Some(&config.dns_provider_config).filter(|path| !path.is_empty()).map(Into::into),
        owner: config.federation_name.clone(),
        zone,
    };
    let provider = dns_providers::open(&settings).await.map_err(with_hint)?;
    open_with(config, provider, report).await.map(Some)
}

/// As [`open`], with a provider that is open already.
///
/// # Errors
/// The zone is not the provider's, or the suffix is no DNS name in it.
pub async fn open_with(
    config: &Config,
    provider: Arc<dyn dns_providers::Provider>,
    report: Arc<dyn report::Report>,
) -> anyhow::Result<DnsController> {
    let zones = provider.zones().await.map_err(with_hint)?;
    let zone = select_zone(&zones, &config.zone_name, Some(&config.zone_id)).map_err(with_hint)?;
    let suffix = match config.service_dns_suffix.as_str() {
        "" => zone.name.clone(),
        suffix => DnsName::parse(suffix).context("--service-dns-suffix")?,
    };
    anyhow::ensure!(suffix.is_within(&zone.name), "--service-dns-suffix {suffix} does not lie in the zone {}", zone.name);
    let tree = Tree { federation: config.federation_name.clone(), suffix, ttl: TTL };
    Ok(DnsController::new(provider, zone, tree, Arc::new(resolve::System::default()), report))
}

/// The error's line, with the hint on the next.
fn with_hint(error: dns_providers::Error) -> anyhow::Error {
    match error.hint() {
        Some(hint) => anyhow::anyhow!("{error}\nhint: {hint}"),
        None => error.into(),
    }
}
