//! The embedded store on a disk that loses power: what was answered is there afterwards, and nothing is there in part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use redb::{Database, StorageBackend};
use tokio::sync::watch;

use super::tables::{Reader, look, set_up};
use super::writer::{Committed, Op, Writer};
use super::{Embedded, FILE, check};
use crate::storage::Expect;

/// The least that a disk writes whole.
const SECTOR: usize = 512;

/// A disk with a cache. Power may fail at each sync: then every sector that was written since the last one is the old
/// or the new, whatever the order of writing was.
#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    kept: Vec<u8>,
    now: Vec<u8>,
    chance: fastrand::Rng,
    /// What a loss of power would have left, at some of the syncs.
    lost: Vec<Vec<u8>>,
}

impl Disk {
    fn new(content: Vec<u8>, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { kept: content.clone(), now: content, chance: fastrand::Rng::with_seed(seed), lost: Vec::new() })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    fn take_lost(&self) -> Vec<Vec<u8>> {
        self.with(|s| std::mem::take(&mut s.lost))
    }
}

impl State {
    fn without_power(&mut self) -> Vec<u8> {
        let length = if self.chance.bool() { self.kept.len() } else { self.now.len() };
        let mut left = vec![0; length];
        // Now and then nearly all of it or nearly nothing is written.
        let new = [0.02, 0.5, 0.98][self.chance.usize(..3)];
        for (n, sector) in left.chunks_mut(SECTOR).enumerate() {
            let from = if self.chance.f64() < new { &self.now } else { &self.kept };
            let from = from.get(n * SECTOR..).unwrap_or_default();
            let there = sector.len().min(from.len());
            sector[..there].copy_from_slice(&from[..there]);
        }
        left
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.with(|s| s.now.len() as u64))
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        let offset = usize::try_from(offset).unwrap();
        self.with(|s| out.copy_from_slice(&s.now[offset..offset + out.len()]));
        Ok(())
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.with(|s| s.now.resize(usize::try_from(len).unwrap(), 0));
        Ok(())
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.with(|s| {
            if s.chance.u8(..3) == 0 {
                let left = s.without_power();
                s.lost.push(left);
            }
            s.kept.clone_from(&s.now);
        });
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        let offset = usize::try_from(offset).unwrap();
        self.with(|s| s.now[offset..offset + data.len()].copy_from_slice(data));
        Ok(())
    }
}

/// What one transaction does: to each of a few keys a value of some length, or its deletion; or history is forgotten.
type Batch = BTreeMap<u8, Option<usize>>;

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let length = prop_oneof![4 => 0..100usize, 2 => 3000..5000usize, 1 => 20_000..40_000usize];
    prop::collection::vec(prop::collection::btree_map(0..8u8, prop::option::weighted(0.8, length), 0..6), 1..16)
}

/// Keys with their revisions and values.
type Content = BTreeMap<String, (u64, Bytes)>;

fn content(reader: &Reader) -> Content {
    let page = reader.list("/registry/", None, 1000, 0).unwrap();
    page.items.into_iter().map(|v| (v.key, (v.revision, v.value))).collect()
}

fn ops(batch: &Batch, before: &Content, revision: u64) -> Vec<Op> {
    if batch.is_empty() {
        return vec![Op::Compact { revision }];
    }
    let mut ops = Vec::new();
    for (key, length) in batch {
        let key = format!("/registry/maps/{key}");
        let old = before.get(&key).map(|(revision, _)| *revision);
        match (length, old) {
            (Some(length), _) => {
                let value = Bytes::from(format!(r#"{{"metadata":{{"name":"a"}},"data":{{"x":"{}"}}}}"#, "x".repeat(*length)));
                ops.push(Op::Put { key, value, expect: old.map_or(Expect::Absent, Expect::Revision), ttl: None, other: None });
            }
            (None, Some(revision)) => ops.push(Op::Delete { key, revision }),
            (None, None) => {}
        }
    }
    ops
}

/// Opens what a loss of power left as the server does, from a file.
fn after_the_loss(left: &[u8]) -> Content {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), left).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let found = content(&store.reader);
    drop(store);
    let report = check::check(dir.path()).unwrap();
    assert!(report.is_sound(), "{:?}", report.damaged.iter().map(|d| (&d.key, &d.why)).collect::<Vec<_>>());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn issue7_a_loss_of_power_takes_nothing_that_was_answered_and_leaves_no_half((batches, seed) in (batches(), any::<u64>())) {
        let disk = Disk::new(Vec::new(), seed);
        let db = Arc::new(Database::builder().create_with_backend(disk.clone()).unwrap());
        set_up(&db).unwrap();
        disk.take_lost();
        let reader = Reader::new(db.clone());
        let (sender, _committed) = watch::channel(Committed { revision: 1, failure: None });
        let writer = Writer::new(db, sender);
        let (mut before, mut revision) = (content(&reader), 1);
        for batch in &batches {
            let (answers, after) = writer.write(ops(batch, &before, revision)).unwrap();
            prop_assert!(answers.iter().all(Result::is_ok), "{:?}", answers);
            revision = after.revision;
            let now = content(&reader);
            for left in disk.take_lost() {
                let found = after_the_loss(&left);
                prop_assert!(found == before || found == now, "{:?} is neither {:?} nor {:?}", found.keys(), before.keys(), now.keys());
                // Power fails again while the engine mends the file.
                let again = Disk::new(left, seed ^ 1);
                look(&Database::builder().create_with_backend(again.clone()).unwrap()).unwrap();
                for left in again.take_lost() {
                    prop_assert_eq!(&after_the_loss(&left), &found);
                }
            }
            before = now;
        }
    }
}
