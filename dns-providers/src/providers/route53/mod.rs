//! The `aws-route53` provider: a hosted zone of Amazon Route 53, public or private.
//!
//! Route 53 counts requests and not records, so the zone is read as a whole now and then only, and known from memory between.
//! Each change carries what it replaces, and is refused where that is no longer so.

mod adopt;
mod api;
mod client;
mod config;
mod driver;
mod failure;
mod name;
mod pace;
mod plan;
mod reader;
mod view;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_route53::types::HostedZone;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Capabilities, Change, DnsName, Error, Held, MAX_TTL, Marks, Provider, Rejected, Settings, Zone, batch, select_zone};

use api::Api;
pub use config::{Config, Role, Visibility};
pub(super) use driver::{deploys, open};
pub use name::NAME;
use view::View;
use writer::Writer;

/// What the provider can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    together: "1,000 values of 32,000 characters",
    guarded: true,
    marks: Marks::Text,
    ttl: 0..=MAX_TTL,
    values: Some(400),
    aliases_out: true,
    remembers: Duration::from_secs(600),
};

/// Hosted zones for one federation.
#[derive(Debug)]
pub struct Route53 {
    api: Api,
    owner: String,
    /// The zone to publish in, where it was named, and its id.
    zone: Option<DnsName>,
    zone_id: Option<String>,
    /// What is known of each zone. Held while a batch is written, so batches follow each other.
    known: Mutex<BTreeMap<Zone, Known>>,
}

/// A zone as it was when it was read, and with what was written since.
#[derive(Debug)]
struct Known {
    id: String,
    view: View,
    /// From then on it is read anew.
    stale: Instant,
}

impl Route53 {
    /// Nothing is asked of Route 53 yet, so it may be away now.
    pub fn new(config: Config, settings: &Settings) -> Self {
        let zone_id = settings.zone_id.as_deref().filter(|id| !id.is_empty()).map(|id| bare(id).to_owned());
        Route53 { api: Api::new(config), owner: settings.owner.clone(), zone: settings.zone.clone(), zone_id, known: Mutex::default() }
    }

    /// The id of a zone, asked for by its name if need be.
    async fn id(&self, zone: &Zone) -> Result<String, Error> {
        if !zone.id.is_empty() {
            return Ok(zone.id.clone());
        }
        let found = self.api.zones_from(zone.name.as_str()).await.map_err(|e| self.api.error(e))?;
        let zones: Vec<Zone> = self.zones_of(found).into_iter().filter(|one| one.name == zone.name).collect();
        if zones.is_empty() {
            let message = format!("the account has no hosted zone {}", zone.name);
            let hint = "make the zone, or give credentials of the account that has it; zone-type may leave it out";
            return Err(Error::Zone { message, hint: hint.to_owned() });
        }
        Ok(select_zone(&zones, zone.name.as_str(), None)?.id)
    }

    fn zones_of(&self, found: Vec<HostedZone>) -> Vec<Zone> {
        let visibility = |zone: &HostedZone| match zone.config.as_ref().is_some_and(|config| config.private_zone) {
            true => Visibility::Private,
            false => Visibility::Public,
        };
        let meant = |zone: &HostedZone| self.api.config().visibility.is_none_or(|wanted| wanted == visibility(zone));
        let ours = |zone: HostedZone| {
            let about = match visibility(&zone) {
                Visibility::Public => "public",
                Visibility::Private => "private",
            };
            let about = format!("{about}, {} record sets", zone.resource_record_set_count.unwrap_or_default());
            Some(Zone { name: DnsName::parse(&zone.name).ok()?, id: bare(&zone.id).to_owned(), about })
        };
        found.into_iter().filter(meant).filter_map(ours).collect()
    }

    /// Reads a zone, as far as it lies below a name.
    async fn look(&self, zone: &Zone, under: &DnsName) -> Result<Known, Error> {
        let id = self.id(zone).await?;
        let view = reader::below(&self.api, &id, under).await.map_err(|e| self.api.error(e))?;
        // Not all that run look at the same time.
        let until = CAPABILITIES.remembers.mul_f64(0.8 + fastrand::f64() / 5.0);
        Ok(Known { id, view, stale: Instant::now() + until })
    }
}

#[async_trait]
impl Provider for Route53 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    /// With a zone named nothing is asked: whether it is there is found with the first reading.
    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        if let Some(name) = &self.zone {
            return Ok(vec![Zone { name: name.clone(), id: self.zone_id.clone().unwrap_or_default(), about: String::new() }]);
        }
        let found = match &self.zone_id {
            Some(id) => self.api.zone(id).await.map(|zone| vec![zone]),
            None => self.api.all_zones().await,
        };
        Ok(self.zones_of(found.map_err(|e| self.api.error(e))?))
    }

    async fn read(&self, zone: &Zone, under: &DnsName) -> Result<Vec<Held>, Error> {
        let mut all = self.known.lock().await;
        let fresh = |known: &&Known| Instant::now() < known.stale && under.is_within(&known.view.under);
        if let Some(known) = all.get(zone).filter(fresh) {
            return Ok(known.view.held(under, &self.owner));
        }
        let known = self.look(zone, under).await?;
        let held = known.view.held(under, &self.owner);
        all.insert(zone.clone(), known);
        Ok(held)
    }

    async fn apply(&self, zone: &Zone, batch: &[Change]) -> Result<Vec<Rejected>, Error> {
        let (by_name, rejected) = batch::group(batch, &zone.name, &CAPABILITIES);
        let plan = |group: &batch::NameChanges<'_>, view: &View| plan::step(group, view, &zone.name, &self.owner);
        self.write(zone, by_name, |group| group.name, plan, rejected).await
    }

    async fn adopt(&self, zone: &Zone, sets: &[Held]) -> Result<Vec<Rejected>, Error> {
        let plan = |name: &batch::Adoption<'_>, view: &View| adopt::step(name, view, &self.owner);
        self.write(zone, batch::adoptions(sets), |name| name.name, plan, Vec::new()).await
    }
}

impl Route53 {
    /// Makes names as a plan says.
    async fn write<G: Sync + Send>(
        &self,
        zone: &Zone,
        groups: Vec<G>,
        name: impl Fn(&G) -> &DnsName + Send + Sync,
        plan: impl Fn(&G, &View) -> Result<Option<plan::Step>, batch::LeftAlone> + Send + Sync,
        mut rejected: Vec<Rejected>,
    ) -> Result<Vec<Rejected>, Error> {
        if groups.is_empty() {
            return Ok(rejected);
        }
        let mut all = self.known.lock().await;
        // It may be old: what is not as it was is refused there.
        let mut known = match all.remove(zone).filter(|known| groups.iter().all(|group| name(group).is_within(&known.view.under))) {
            Some(known) => known,
            None => self.look(zone, &zone.name).await?,
        };
        let mut writer = Writer { api: &self.api, id: &known.id, view: &mut known.view };
        let written = writer.write(groups, name, plan, &mut rejected).await;
        // Where something is in doubt it stays forgotten.
        match written {
            Ok(()) => drop(all.insert(zone.clone(), known)),
            Err(failure) => {
                if failure.leaves_no_doubt() {
                    all.insert(zone.clone(), known);
                }
                return Err(self.api.error(failure));
            }
        }
        Ok(rejected)
    }
}

/// An id without what the service's own tools write before it.
fn bare(id: &str) -> &str {
    id.trim_start_matches("/hostedzone/")
}
