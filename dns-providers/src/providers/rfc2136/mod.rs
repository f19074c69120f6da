//! The `rfc2136` provider: a zone of any server that takes signed updates (RFC 2136, TSIG of RFC 8945) and hands the zone
//! out (AXFR, RFC 5936, and IXFR, RFC 1995), as BIND does.

mod adopt;
mod config;
mod driver;
mod exchange;
mod held;
mod key;
mod mark;
mod name;
mod plan;
mod session;
mod signature;
mod tls;
mod transfer;
mod value;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{Capabilities, Change, DnsName, Error, Held, MAX_TTL, Marks, Provider, Rejected, Zone, batch};

pub use config::Config;
pub(super) use driver::{deploys, open};
pub use name::NAME;
use session::Session;
use view::View;

/// What the provider can do. A TTL of 0 is left out: some servers check less then.
pub const CAPABILITIES: Capabilities = Capabilities {
    together: "60 kB of records",
    guarded: true,
    marks: Marks::Text,
    ttl: 1..=MAX_TTL,
    values: None,
    aliases_out: false,
    remembers: Duration::ZERO,
};

/// A server's zones for one federation.
pub struct Rfc2136 {
    config: Config,
    zones: Vec<Zone>,
    owner: String,
    /// What was last read of each zone, by its id. Held while a batch is written, so batches follow each other.
    read: Mutex<BTreeMap<String, View>>,
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rfc2136").field("config", &self.config).field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Rfc2136 {
    /// Nothing is asked of the server yet, so it may be away now.
    pub fn new(config: Config, owner: &str) -> Self {
        let zone = |name: &DnsName| Zone { name: name.clone(), id: name.as_str().trim_end_matches('.').to_owned(), about: String::new() };
        let zones = config.zones.iter().map(zone).collect();
        Rfc2136 { config, zones, owner: owner.to_owned(), read: Mutex::default() }
    }
}

#[async_trait]
impl Provider for Rfc2136 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        Ok(self.zones.clone())
    }

    async fn read(&self, zone: &Zone, under: &DnsName) -> Result<Vec<Held>, Error> {
        let mut read = self.read.lock().await;
        // What is known is taken out: where reading fails, the next one begins with all of the zone.
        let known = read.remove(&zone.id);
        let view = Session::new(&self.config, &zone.name).view(known).await?;
        let held = held::below(&view, under, &self.owner);
        read.insert(zone.id.clone(), view);
        Ok(held)
    }

    async fn apply(&self, zone: &Zone, batch: &[Change]) -> Result<Vec<Rejected>, Error> {
        let (by_name, mut rejected) = batch::group(batch, &zone.name, &CAPABILITIES);
        if by_name.is_empty() {
            return Ok(rejected);
        }
        let mut read = self.read.lock().await;
        let known = read.remove(&zone.id);
        let plan = |group: &batch::NameChanges<'_>, view: &View| plan::step(group, view, &zone.name, &self.owner);
        let view = Session::new(&self.config, &zone.name).write(known, &by_name, |group| group.name, plan, &mut rejected).await?;
        read.insert(zone.id.clone(), view);
        Ok(rejected)
    }

    async fn adopt(&self, zone: &Zone, sets: &[Held]) -> Result<Vec<Rejected>, Error> {
        let (names, mut rejected) = (batch::adoptions(sets), Vec::new());
        let mut read = self.read.lock().await;
        let mut session = Session::new(&self.config, &zone.name);
        // What is taken over is what is there now, and not what was known.
        let view = session.view(read.remove(&zone.id)).await?;
        let plan = |name: &batch::Adoption<'_>, view: &View| adopt::step(name, view, &self.owner);
        let view = session.write(Some(view), &names, |name| name.name, plan, &mut rejected).await?;
        read.insert(zone.id.clone(), view);
        Ok(rejected)
    }
}
