//! The engines an embedded store could be built on, under its own work: of each object the value under
//! (key, revision), the key under the revision, and the revision itself, in one durable transaction per batch.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use fjall::{KeyspaceCreateOptions, PersistMode};
use redb::{ReadableDatabase, TableDefinition};

use crate::client::config_map;
use crate::report::{Report, progress};

#[derive(clap::Args)]
pub(crate) struct Size {
    /// Durable transactions of each batch size
    #[arg(long, default_value_t = 500)]
    transactions: u64,
    /// Objects that are loaded before the database is opened again
    #[arg(long, default_value_t = 50_000)]
    objects: u64,
}

/// Writes that wait while a transaction is on its way to the disk, and so share the next.
const BATCHES: [(u64, &str, &str); 3] =
    [(1, "one writer", "one writer p99"), (8, "8 writers", "8 writers p99"), (32, "32 writers", "32 writers p99")];

/// What the embedded store asks of an engine.
trait Engine: Sized {
    const NAME: &'static str;
    fn open(dir: &Path) -> Result<Self>;
    /// Writes the objects of these revisions so that a power cut does not lose them.
    fn commit(&self, revisions: std::ops::Range<u64>, value: &[u8]) -> Result<()>;
    fn newest_of(&self, name: u64) -> Result<usize>;
}

fn key(revision: u64) -> String {
    format!("/registry/configmaps/bench/c{revision:08}")
}

struct Redb(redb::Database);

const DATA: TableDefinition<(&str, u64), Option<&[u8]>> = TableDefinition::new("data");
const LOG: TableDefinition<u64, &str> = TableDefinition::new("log");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

impl Engine for Redb {
    const NAME: &'static str = "redb";

    fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self(redb::Database::builder().set_cache_size(8 << 20).create(dir.join("redb"))?))
    }

    fn commit(&self, revisions: std::ops::Range<u64>, value: &[u8]) -> Result<()> {
        let tx = self.0.begin_write()?;
        {
            let (mut data, mut log, mut meta) = (tx.open_table(DATA)?, tx.open_table(LOG)?, tx.open_table(META)?);
            meta.insert("revision", revisions.end)?;
            for revision in revisions {
                let key = key(revision);
                data.insert((key.as_str(), revision), Some(value))?;
                log.insert(revision, key.as_str())?;
            }
        }
        Ok(tx.commit()?)
    }

    fn newest_of(&self, name: u64) -> Result<usize> {
        let data = self.0.begin_read()?.open_table(DATA)?;
        let key = key(name);
        let newest = data.range((key.as_str(), 0)..=(key.as_str(), u64::MAX))?.next_back().transpose()?;
        Ok(newest.and_then(|(_, v)| v.value().map(<[u8]>::len)).unwrap_or_default())
    }
}

struct Fjall {
    db: fjall::Database,
    data: fjall::Keyspace,
    log: fjall::Keyspace,
    meta: fjall::Keyspace,
}

impl Fjall {
    fn versioned(key: &str, revision: u64) -> Vec<u8> {
        let mut bytes = key.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend(revision.to_be_bytes());
        bytes
    }
}

impl Engine for Fjall {
    const NAME: &'static str = "fjall";

    fn open(dir: &Path) -> Result<Self> {
        let db = fjall::Database::builder(dir.join("fjall")).cache_size(8 << 20).open()?;
        let open = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Self { data: open("data")?, log: open("log")?, meta: open("meta")?, db })
    }

    fn commit(&self, revisions: std::ops::Range<u64>, value: &[u8]) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, "revision", revisions.end.to_be_bytes());
        for revision in revisions {
            let key = key(revision);
            batch.insert(&self.data, Self::versioned(&key, revision), value);
            batch.insert(&self.log, revision.to_be_bytes(), key);
        }
        Ok(batch.commit()?)
    }

    fn newest_of(&self, name: u64) -> Result<usize> {
        let key = key(name);
        let newest = self.data.range(Self::versioned(&key, 0)..=Self::versioned(&key, u64::MAX)).next_back();
        Ok(newest.map(fjall::Guard::value).transpose()?.map_or(0, |v| v.len()))
    }
}

pub(crate) fn run(size: &Size) -> Result<Report> {
    let mut report = Report::default();
    measure::<Redb>(size, &mut report)?;
    measure::<Fjall>(size, &mut report)?;
    Ok(report)
}

fn measure<E: Engine>(size: &Size, report: &mut Report) -> Result<()> {
    progress(&format!("measuring {}", E::NAME));
    let dir = tempfile::tempdir()?;
    let value = config_map("engine").into_bytes();
    let engine = E::open(dir.path())?;
    let mut revision = 0;
    for (batch, what, slowest) in BATCHES {
        let mut took = vec![];
        let start = Instant::now();
        for _ in 0..size.transactions {
            let begin = Instant::now();
            engine.commit(revision..revision + batch, &value)?;
            revision += batch;
            took.push(begin.elapsed());
        }
        let rate = (size.transactions * batch) as f64 / start.elapsed().as_secs_f64();
        report.add(E::NAME, what, rate, "1/s");
        took.sort();
        report.add(E::NAME, slowest, took.get(took.len() * 99 / 100).map_or(0.0, Duration::as_secs_f64) * 1e3, "ms");
    }
    while revision < size.objects {
        engine.commit(revision..revision + 256, &value)?;
        revision += 256;
    }
    let start = Instant::now();
    for i in 0..10_000 {
        anyhow::ensure!(engine.newest_of(i * 7919 % revision)? == value.len(), "an object is missing");
    }
    report.add(E::NAME, "newest version of a key", 10_000.0 / start.elapsed().as_secs_f64(), "1/s");
    drop(engine);
    report.add(E::NAME, "disk, times the raw bytes", bytes(dir.path())? as f64 / (revision * value.len() as u64) as f64, "x");
    let start = Instant::now();
    let engine = E::open(dir.path())?;
    report.add(E::NAME, "open again", start.elapsed().as_secs_f64() * 1e3, "ms");
    anyhow::ensure!(engine.newest_of(revision - 1)? == value.len(), "the last object is missing");
    Ok(())
}

fn bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { bytes(&entry.path())? } else { meta.blocks() * 512 };
    }
    Ok(sum)
}
