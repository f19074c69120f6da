//! The one thread that writes: group commit, expiry and compaction.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, ReadableTable, Table, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::cell::{Cells, Content};
use super::tables::{DATA, EXPIRY, LOG, META, META_COMPACTED, META_REVISION, cells, newest, number};
use crate::storage::{Expect, StorageError};

/// Writes that share a transaction, at most.
const BATCH: usize = 256;
/// Bytes that share a transaction, at most.
const BATCH_BYTES: usize = 4 << 20;
/// Old changes forgotten in one transaction that writes nothing else.
const PRUNE: usize = 1000;
/// Old changes forgotten for each write of one that does: under load history shrinks faster than it grows.
const PRUNE_PER_WRITE: usize = 2;
/// Longest wait for the next key to expire; clocks may be set meanwhile.
const EXPIRY_WAIT: Duration = Duration::from_secs(60);

/// One write.
pub(super) enum Op {
    Put { key: String, value: Bytes, expect: Expect, ttl: Option<Duration> },
    Delete { key: String, revision: u64 },
    Compact { revision: u64 },
}

/// A write and who waits for it.
pub(super) struct Request {
    pub(super) op: Op,
    pub(super) answer: oneshot::Sender<Result<u64, StorageError>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What readers may rely on.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    /// Everything up to here is on disk.
    pub(super) revision: u64,
    /// Why nothing can be written any more.
    pub(super) failure: Option<String>,
}

pub(super) struct Writer {
    db: Arc<Database>,
    committed: watch::Sender<Committed>,
}

/// What is left to do after a transaction.
struct After {
    revision: u64,
    /// Whether there is history to forget.
    prune: bool,
    /// When the next key expires.
    expiry: Option<Duration>,
    /// Whether anything was written.
    dirty: bool,
}

type Answer = Result<u64, StorageError>;

impl Writer {
    pub(super) fn new(db: Arc<Database>, committed: watch::Sender<Committed>) -> Self {
        Self { db, committed }
    }

    pub(super) fn run(self, inbox: &Receiver<Request>) {
        // The first round looks what an earlier process left to do.
        let mut timeout = Some(Duration::ZERO);
        loop {
            let first = match timeout {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(timeout) => inbox.recv_timeout(timeout),
            };
            let mut batch: Vec<Request> = match first {
                Ok(request) => vec![request],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = batch.iter().map(Request::size).sum::<usize>();
            while !batch.is_empty() && batch.len() < BATCH && bytes < BATCH_BYTES {
                let Ok(request) = inbox.try_recv() else { break };
                bytes += request.size();
                batch.push(request);
            }
            timeout = self.commit(batch);
        }
    }

    /// Writes a batch durably and answers it; says how long to wait for the next at most.
    fn commit(&self, batch: Vec<Request>) -> Option<Duration> {
        let (ops, waiting): (Vec<Op>, Vec<_>) = batch.into_iter().map(|r| (r.op, (r.answer, r._permit))).unzip();
        // After a failure the engine only says that there was one: the first reason stays.
        let failure = self.committed.borrow().failure.clone();
        match failure.map_or_else(|| self.write(ops).map_err(|e| self.failed(&e)), Err) {
            Ok((answers, after)) => {
                self.committed.send_if_modified(|c| std::mem::replace(&mut c.revision, after.revision) != after.revision);
                for ((answer, _permit), result) in waiting.into_iter().zip(answers) {
                    // Who gave up waiting does not need the answer.
                    let _ = answer.send(result);
                }
                if after.prune { Some(Duration::ZERO) } else { after.expiry.map(|wait| wait.min(EXPIRY_WAIT)) }
            }
            Err(why) => {
                for (answer, _permit) in waiting {
                    let _ = answer.send(Err(StorageError::Unavailable(why.clone())));
                }
                None
            }
        }
    }

    fn write(&self, ops: Vec<Op>) -> Result<(Vec<Answer>, After), redb::Error> {
        let tx = self.db.begin_write()?;
        let done = apply(&tx, ops)?;
        if done.1.dirty {
            tx.commit()?
        } else {
            tx.abort()?
        }
        Ok(done)
    }

    /// What was being written may be on the disk or not, so nothing more is written.
    fn failed(&self, error: &dyn std::fmt::Display) -> String {
        let why = format!("writing the database failed, restart this server: {error}");
        tracing::error!("{why}");
        self.committed.send_modify(|c| c.failure = Some(why.clone()));
        why
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed(&"the writer panicked");
        }
    }
}

impl Request {
    fn size(&self) -> usize {
        if let Op::Put { value, .. } = &self.op { value.len() } else { 0 }
    }
}

struct Tables<'tx> {
    data: Table<'tx, (&'static str, u64), Option<&'static [u8]>>,
    log: Table<'tx, u64, &'static str>,
    expiry: Table<'tx, (u64, u64), &'static str>,
    cells: Cells,
    revision: u64,
    compacted: u64,
    now: u64,
    dirty: bool,
}

fn apply(tx: &WriteTransaction, ops: Vec<Op>) -> Result<(Vec<Answer>, After), redb::Error> {
    let mut meta = tx.open_table(META)?;
    let (revision, compacted) = (number(&meta, META_REVISION)? as u64, number(&meta, META_COMPACTED)? as u64);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let (data, log, expiry) = (tx.open_table(DATA)?, tx.open_table(LOG)?, tx.open_table(EXPIRY)?);
    let cells = cells(&meta)?;
    let mut tables = Tables { data, log, expiry, cells, revision, compacted, now, dirty: false };
    let prune = if ops.is_empty() { PRUNE } else { ops.len() * PRUNE_PER_WRITE };
    let answers = ops.into_iter().map(|op| tables.perform(op)).collect::<Result<Vec<_>, _>>()?;
    tables.expire()?;
    tables.prune(prune)?;
    let after = After {
        revision: tables.revision,
        prune: tables.log.first()?.is_some_and(|(r, _)| r.value() <= tables.compacted),
        expiry: tables.expiry.first()?.map(|(at, _)| Duration::from_millis(at.value().0.saturating_sub(now))),
        dirty: tables.dirty || compacted != tables.compacted,
    };
    for (name, before, value) in [(META_REVISION, revision, tables.revision), (META_COMPACTED, compacted, tables.compacted)] {
        if before != value {
            meta.insert(name, u128::from(value))?;
        }
    }
    Ok((answers, after))
}

impl Tables<'_> {
    fn perform(&mut self, op: Op) -> Result<Answer, redb::Error> {
        match op {
            Op::Put { key, value, expect, ttl } => {
                let current = newest(&self.data, self.cells, &key)?;
                let fits = match (&current, expect) {
                    (None, Expect::Absent) => true,
                    (Some(current), Expect::Revision(revision)) => current.revision == revision,
                    _ => false,
                };
                if !fits {
                    return Ok(Err(StorageError::Conflict { current }));
                }
                self.write(&key, Some(&value))?;
                if let Some(ttl) = ttl {
                    let at = self.now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
                    self.expiry.insert((at, self.revision), key.as_str())?;
                }
                Ok(Ok(self.revision))
            }
            Op::Delete { key, revision } => {
                let current = newest(&self.data, self.cells, &key)?;
                if current.as_ref().is_none_or(|c| c.revision != revision) {
                    return Ok(Err(StorageError::Conflict { current }));
                }
                self.write(&key, None)?;
                Ok(Ok(self.revision))
            }
            Op::Compact { revision } if revision > self.revision => {
                Ok(Err(StorageError::Future { requested: revision, current: self.revision }))
            }
            Op::Compact { revision } => {
                self.compacted = self.compacted.max(revision);
                Ok(Ok(revision))
            }
        }
    }

    fn write(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), redb::Error> {
        self.dirty = true;
        self.revision += 1;
        let cell = self.cells.write(key, self.revision, value);
        self.data.insert((key, self.revision), cell.as_deref())?;
        self.log.insert(self.revision, key)?;
        Ok(())
    }

    /// Deletes keys whose time has come.
    fn expire(&mut self) -> Result<(), redb::Error> {
        for _ in 0..BATCH {
            let due = match self.expiry.first()? {
                Some((at, key)) if at.value().0 <= self.now => (at.value(), key.value().to_owned()),
                _ => break,
            };
            self.dirty = true;
            self.expiry.remove(due.0)?;
            if newest(&self.data, self.cells, &due.1)?.is_some_and(|c| c.revision == due.0.1) {
                self.write(&due.1, None)?;
            }
        }
        Ok(())
    }

    /// Forgets versions that are superseded by a compacted revision.
    fn prune(&mut self, at_most: usize) -> Result<(), redb::Error> {
        for _ in 0..at_most {
            let (revision, key) = match self.log.first()? {
                Some((revision, key)) if revision.value() <= self.compacted => (revision.value(), key.value().to_owned()),
                _ => break,
            };
            self.dirty = true;
            let cell = self.data.get((key.as_str(), revision))?;
            let deleted = cell.is_some_and(|cell| matches!(self.cells.read(&key, revision, &cell), Content::Deleted));
            // A deletion is forgotten together with what it deleted.
            let end = if deleted { revision + 1 } else { revision };
            self.data.retain_in((key.as_str(), 0)..(key.as_str(), end), |_, _| false)?;
            self.log.remove(revision)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, ReadableTableMetadata};

    use super::super::tables::set_up;
    use super::*;

    /// Never a moment without a request, as with leases and events that come all the time.
    #[test]
    fn d23_history_stays_bounded_under_steady_load() {
        let db = Arc::new(Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap());
        set_up(&db).unwrap();
        let (sender, _committed) = watch::channel(Committed { revision: 1, failure: None });
        let writer = Writer::new(db.clone(), sender);
        let (mut last, mut longest) = (0, 0);
        for n in 0..400 {
            let expect = if last == 0 { Expect::Absent } else { Expect::Revision(last) };
            let mut ops = vec![Op::Put { key: "/registry/leases/a".into(), value: Bytes::from(n.to_string()), expect, ttl: None }];
            if n % 50 == 49 {
                ops.push(Op::Compact { revision: last });
            }
            let (answers, after) = writer.write(ops).unwrap();
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            last = after.revision;
            let tx = db.begin_read().unwrap();
            let (log, data) = (tx.open_table(LOG).unwrap().len().unwrap(), tx.open_table(DATA).unwrap().len().unwrap());
            // The live state stays when the change that made it is forgotten.
            assert!(data == log || data == log + 1, "{log} changes and {data} states");
            longest = longest.max(data);
        }
        assert!(longest <= 102, "{longest} changes were kept, with 50 from one compaction to the next");
    }
}
