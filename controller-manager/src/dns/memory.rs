//! A provider for tests, which need no time but the paused clock's with it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dns_providers::{Capabilities, Change, DnsName, Error, Held, Kind, Owner, Provider, RecordSet, Rejected, Zone, embedded};

/// A provider in memory that can be away and refuses names with "bad" in them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) sets: Mutex<BTreeMap<(DnsName, Kind), Held>>,
    pub(crate) failing: AtomicUsize,
    /// It fails because it is asked too often, and says how long to wait.
    pub(crate) throttled: Option<Duration>,
    pub(crate) reads: AtomicUsize,
    pub(crate) applies: AtomicUsize,
}

impl Memory {
    fn away(&self) -> Result<(), Error> {
        let count = |left: usize| left.checked_sub(1);
        match self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) {
            Ok(_) => Err(match self.throttled {
                Some(after) => Error::Throttled { provider: "memory", at: "here".into(), message: "too often".into(), after },
                None => Error::Unavailable { provider: "memory", at: "here".into(), message: "away".into() },
            }),
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.sets.lock().unwrap().values().map(|held| held.set.to_string()).collect()
    }

    pub(crate) fn put(&self, set: RecordSet, owner: Owner) {
        self.sets.lock().unwrap().insert((set.name.clone(), set.data.kind()), Held { set, owner });
    }
}

#[async_trait]
impl Provider for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn capabilities(&self) -> &'static Capabilities {
        &embedded::CAPABILITIES
    }
    async fn zones(&self) -> Result<Vec<Zone>, Error> {
        Ok(vec![zone()])
    }
    async fn read(&self, _: &Zone, under: &DnsName) -> Result<Vec<Held>, Error> {
        self.away()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.sets.lock().unwrap().values().filter(|held| held.set.name.is_within(under)).cloned().collect())
    }
    async fn adopt(&self, _: &Zone, sets: &[Held]) -> Result<Vec<Rejected>, Error> {
        self.away()?;
        sets.iter().for_each(|held| self.put(held.set.clone(), Owner::Ours));
        Ok(Vec::new())
    }
    async fn apply(&self, _: &Zone, batch: &[Change]) -> Result<Vec<Rejected>, Error> {
        self.away()?;
        self.applies.fetch_add(1, Ordering::SeqCst);
        let (bad, good): (Vec<&Change>, Vec<&Change>) = batch.iter().partition(|change| change.name().as_str().contains("bad"));
        for change in good {
            match change {
                Change::Upsert(set) => self.put(set.clone(), Owner::Ours),
                Change::Delete { name, kind } => drop(self.sets.lock().unwrap().remove(&(name.clone(), *kind))),
            }
        }
        Ok(bad.into_iter().map(|change| Rejected { name: change.name().clone(), reason: "refused".into() }).collect())
    }
}

/// Its one zone.
pub(crate) fn zone() -> Zone {
    Zone { name: DnsName::parse("example.com").unwrap(), id: "0".into(), about: String::new() }
}
