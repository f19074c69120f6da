//! The embedded backend: etcd's model in one file, for one machine.
//!
//! Every version of every key is kept under (key, revision) until it is compacted, beside a log from
//! revision to key. One thread writes: whatever waits goes into one durable transaction, and is
//! answered when that is on disk. Readers and watches use the engine's own snapshots.

mod cell;
pub mod check;
mod file;
#[cfg(test)]
mod power_tests;
mod quiet;
pub mod restore;
mod tables;
mod writer;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as sync_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use redb::Database;
use tokio::sync::{Semaphore, oneshot, watch};

pub use self::file::{FILE, FORMAT, OpenError};
use self::file::{guarded, private};
use self::quiet::quietly;
use self::tables::{Reader, Setup};
use self::writer::{Op, Request};
use super::{Backend, Event, Expect, Page, StorageError, Unchanged, Versioned};

/// Memory the engine may use for pages; the watch cache holds the objects, so little is needed.
const CACHE_BYTES: usize = 8 << 20;
/// Writes that may wait at once; more wait outside, holding no memory here.
const QUEUE: usize = 1024;
/// Changes a watch reads at once.
const BATCH: usize = 256;

/// The embedded backend.
pub struct Embedded {
    reader: Reader,
    requests: Option<sync_mpsc::Sender<Request>>,
    room: Arc<Semaphore>,
    committed: watch::Receiver<writer::Committed>,
    cluster_id: u128,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the database in a directory, and makes both where they are missing. However large the file is, little of
    /// it is read; damage elsewhere is found by whoever reads that. Only where the last process was killed the whole
    /// file is read and checked, which blocks for about three seconds a gigabyte.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        let not_writable = |source| OpenError::NotWritable { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(not_writable)?;
        let new = !fs::exists(&path).map_err(not_writable)?;
        let (db, setup) = guarded(&path, || {
            if new {
                drop(private(&path)?);
            }
            let db = Database::builder().set_cache_size(CACHE_BYTES).create(&path)?;
            let setup = tables::set_up(&db)?;
            Ok((db, setup))
        })?;
        if new {
            // The file's own name must survive a crash as well.
            fs::File::open(dir).and_then(|d| d.sync_all()).map_err(not_writable)?;
        }
        Self::start(db, &setup, &path)
    }

    /// A database that lives as long as the value, for tests and demonstrations.
    pub fn in_memory() -> Self {
        let backend = redb::backends::InMemoryBackend::new();
        let db = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend).expect("memory can always be written");
        let setup = tables::set_up(&db).expect("memory can always be written");
        Self::start(db, &setup, Path::new("memory")).expect("a new database has our format")
    }

    fn start(db: Database, setup: &Setup, path: &Path) -> Result<Self, OpenError> {
        let Setup { format, cluster_id, revision } = *setup;
        if format > FORMAT {
            return Err(OpenError::Newer { path: path.to_owned(), found: format, known: FORMAT });
        }
        let db = Arc::new(db);
        // Bounded by `room`, of which every request has a part until it is answered.
        let (requests, inbox) = sync_mpsc::channel();
        let (sender, committed) = watch::channel(writer::Committed { revision, failure: None });
        let writer = writer::Writer::new(db.clone(), sender);
        let spawned = std::thread::Builder::new().name("storage-writer".into()).spawn(move || writer.run(&inbox));
        let thread = spawned.map_err(|source| OpenError::NotWritable { path: path.to_owned(), source })?;
        let room = Arc::new(Semaphore::new(QUEUE));
        Ok(Self { reader: Reader::new(db), requests: Some(requests), room, committed, cluster_id, thread: Some(thread) })
    }

    /// A random number made with the database; another database has another.
    pub fn cluster_id(&self) -> u128 {
        self.cluster_id
    }

    async fn write(&self, op: Op) -> Result<u64, StorageError> {
        let stopped = || StorageError::Unavailable("the database has been closed".into());
        let permit = self.room.clone().acquire_owned().await.map_err(|_| stopped())?;
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.as_ref().map(|r| r.send(Request { op, answer, _permit: permit }));
        sent.and_then(Result::ok).ok_or_else(stopped)?;
        // It answers all it was sent, unless it panics.
        answered.await.map_err(|_| StorageError::Unanswered("the writer of the database died".into()))?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let reader = self.reader.clone();
        blocking(move || read(&reader)).await
    }
}

async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T, StorageError> + Send + 'static) -> Result<T, StorageError> {
    let read =
        move || quietly(read).unwrap_or_else(|_| Err(StorageError::Corrupt("the database cannot be read: its engine panicked".into())));
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|e| Err(StorageError::Unavailable(format!("a read of the database was stopped: {e}"))))
}

impl Drop for Embedded {
    /// Waits for the writer, so that the file is free when this returns (watches may hold it longer).
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Backend for Embedded {
    async fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        let key = key.to_owned();
        self.read(move |r| r.get(&key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.read(move |r| r.list(&prefix, after.as_deref(), limit, revision)).await
    }

    async fn put_while(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Unchanged<'_>>,
    ) -> Result<u64, StorageError> {
        self.write(Op::Put {
            key: key.to_owned(),
            value,
            expect,
            ttl,
            other: other.map(|other| Box::new((other.key.to_owned(), other.revision))),
        })
        .await
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<u64, StorageError> {
        self.write(Op::Delete { key: key.to_owned(), revision }).await
    }

    async fn watch(&self, prefix: &str, revision: u64) -> Result<BoxStream<'static, Result<Event, StorageError>>, StorageError> {
        self.read(move |r| r.check_history(revision)).await?;
        let watch = Watch {
            reader: self.reader.clone(),
            prefix: prefix.to_owned(),
            after: revision,
            committed: self.committed.clone(),
            ready: VecDeque::new(),
            ended: false,
        };
        Ok(stream::unfold(watch, |mut w| async move { w.next().await.map(|event| (event, w)) }).boxed())
    }

    fn failure(&self) -> Option<String> {
        self.committed.borrow().failure.clone()
    }

    async fn revision(&self) -> Result<u64, StorageError> {
        let committed = self.committed.borrow();
        committed.failure.clone().map_or(Ok(committed.revision), |why| Err(StorageError::Unavailable(why)))
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        self.write(Op::Compact { revision }).await.map(drop)
    }
}

/// A watch reads the log at its own pace, so it needs no buffer and loses nothing.
struct Watch {
    reader: Reader,
    prefix: String,
    after: u64,
    committed: watch::Receiver<writer::Committed>,
    ready: VecDeque<Event>,
    ended: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Event, StorageError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let after = self.after;
            let state = self.committed.wait_for(|c| c.revision > after || c.failure.is_some()).await.map(|c| c.clone()).ok()?;
            let read = match state.failure {
                Some(why) if state.revision <= after => Err(StorageError::Unavailable(why)),
                _ => {
                    let (reader, prefix) = (self.reader.clone(), self.prefix.clone());
                    blocking(move || reader.log(&prefix, after, BATCH)).await
                }
            };
            match read {
                Ok((events, reached)) => {
                    self.ready = events.into();
                    self.after = reached;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
