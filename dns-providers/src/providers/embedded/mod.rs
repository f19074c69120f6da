//! The `embedded` provider: an authoritative DNS server inside this process, so that a first run and
//! small sites need no other. Zones are swapped as a whole; a query never sees half a change.

mod config;
mod driver;
mod name;
mod rate;
mod server;
mod snapshot;
mod wire;
mod zone;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{Capabilities, Change, DnsName, Error, Held, MAX_TTL, Marks, Owner, Provider, Rejected, Zone, batch};

pub use config::{Config, Nameserver};
pub(super) use driver::{deploys, open};
pub use name::NAME;
use snapshot::{Snapshot, ZoneSnapshot};
use zone::{Frame, ZoneData};

/// What the provider can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    together: "everything",
    guarded: true,
    marks: Marks::Zone,
    ttl: 0..=MAX_TTL,
    values: None,
    aliases_out: false,
    remembers: Duration::ZERO,
};

/// The server and its zones. It stops answering when dropped.
pub struct Embedded {
    zones: server::Zones,
    frames: Vec<(DnsName, Frame)>,
    addresses: Vec<SocketAddr>,
    snapshot: Option<PathBuf>,
    /// Held while the zones are changed.
    writing: Mutex<()>,
    server: server::Server,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Binds the addresses, loads the snapshot and starts to answer.
    ///
    /// # Errors
    /// An address is in use or not ours, or the snapshot's directory is not writable.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let stored = match &config.snapshot {
            Some(path) => blocking(path.clone(), |path| snapshot::prepare(path).and_then(|()| snapshot::load(path))).await?,
            None => Snapshot::default(),
        };
        let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
        for listen in &config.listen {
            let (udp, tcp, at) = server::bind(*listen).await?;
            sockets.push((udp, tcp));
            addresses.push(at);
        }
        let frames: Vec<(DnsName, Frame)> = config.zones.iter().map(|zone| (zone.clone(), frame(&config, zone, &addresses))).collect();
        let build = |(name, frame): &(DnsName, Frame)| {
            let kept = stored.zones.get(name);
            let records = kept.map(|k| k.records.clone()).unwrap_or_default();
            let (mut zone, rejected) = ZoneData::build(name, next_serial(kept.map_or(0, |k| k.serial)), frame, records);
            zone.known = kept.is_some();
            for Rejected { name, reason } in rejected {
                tracing::warn!(%name, %reason, "a record of the DNS snapshot was left out");
            }
            zone
        };
        let zones = Arc::new(ArcSwap::from_pointee(frames.iter().map(build).collect::<Vec<_>>()));
        let server = server::Server::start(zones.clone(), sockets, config.rate_limit)?;
        Ok(Embedded { zones, frames, addresses, snapshot: config.snapshot, writing: Mutex::new(()), server })
    }
}

#[async_trait]
impl Provider for Embedded {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        Ok(self.frames.iter().map(|(name, _)| Zone { name: name.clone(), id: name.to_string(), about: String::new() }).collect())
    }

    async fn read(&self, zone: &Zone, under: &DnsName) -> Result<Vec<Held>, Error> {
        let zones = self.zones.load();
        let sets = zones.iter().filter(|z| z.name == zone.name).flat_map(|z| z.sets.values()).flat_map(|s| s.values());
        Ok(sets.filter(|set| set.name.is_within(under)).map(|set| Held { set: set.clone(), owner: Owner::Ours }).collect())
    }

    async fn apply(&self, zone: &Zone, batch: &[Change]) -> Result<Vec<Rejected>, Error> {
        let _writing = self.writing.lock().await;
        let Some((_, frame)) = self.frames.iter().find(|(name, _)| *name == zone.name) else {
            return Err(Error::Zone { message: format!("there is no zone {}", zone.name), hint: "add it to zones".to_owned() });
        };
        let mut zones = Vec::clone(&self.zones.load());
        let (by_name, mut rejected) = batch::group(batch, &zone.name, &CAPABILITIES);
        for one in zones.iter_mut().filter(|z| z.name == zone.name) {
            let (changed, refused) = one.apply(frame, next_serial(one.serial), &by_name);
            *one = changed;
            rejected.extend(refused);
        }
        if let Some(path) = &self.snapshot {
            let snapshot = take_snapshot(&zones);
            blocking(path.clone(), move |path| snapshot::store(path, &snapshot)).await?;
        }
        self.zones.store(Arc::new(zones));
        Ok(rejected)
    }

    /// All is the federation's already.
    async fn adopt(&self, _zone: &Zone, _sets: &[Held]) -> Result<Vec<Rejected>, Error> {
        Ok(Vec::new())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    async fn ended(&self) -> String {
        self.server.ended().await
    }
}

/// SOA and name servers of a zone.
fn frame(config: &Config, zone: &DnsName, bound: &[SocketAddr]) -> Frame {
    let mut nameservers: Vec<_> = config.nameservers.iter().map(|ns| (ns.name.clone(), ns.address.into_iter().collect())).collect();
    if let (true, Ok(name)) = (nameservers.is_empty(), DnsName::parse(&format!("ns.dns.{zone}"))) {
        nameservers.push((name, bound.iter().filter_map(|at| server::own_address(*at)).collect()));
    }
    Frame { ttl: config.ttl, nameservers }
}

/// Grows with every change, also over a restart without a snapshot: seconds since 1970, or one more than before.
fn next_serial(before: u32) -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    u32::try_from(now).unwrap_or(u32::MAX).max(before.wrapping_add(1))
}

fn take_snapshot(zones: &[ZoneData]) -> Snapshot {
    let one = |zone: &ZoneData| {
        let records = zone.sets.values().flat_map(|s| s.values()).cloned().collect();
        (zone.name.clone(), ZoneSnapshot { serial: zone.serial, records })
    };
    Snapshot { zones: zones.iter().filter(|zone| zone.known).map(one).collect() }
}

/// Runs file work off the async threads; failures name the file.
async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&PathBuf) -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let what = format!("DNS snapshot {}", path.display());
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|source| Error::Io { what, source })
}
