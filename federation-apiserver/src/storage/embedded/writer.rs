//! The one thread that writes: group commit, expiry and compaction.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, ReadableTable, Table, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::cell::{Cells, Content};
use super::tables::{DATA, EXPIRY, LOG, META, META_COMPACTED, META_REVISION, cells, newest, number, text};
use crate::storage::{Expect, StorageError};

/// Writes that share a transaction, at most.
const BATCH: usize = 256;
/// Bytes that share a transaction, at most.
const BATCH_BYTES: usize = 4 << 20;
/// Old changes forgotten in one transaction that writes nothing else.
const PRUNE: usize = 1000;
/// Old changes forgotten for each change that one makes: under load history shrinks faster than it grows.
const PRUNE_PER_CHANGE: u64 = 2;
/// Longest wait for the next key to expire; clocks may be set meanwhile.
const EXPIRY_WAIT: Duration = Duration::from_secs(60);

/// One write.
pub(super) enum Op {
    /// `other` is a key that has to be as it was written at a revision.
    Put {
        key: String,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        other: Option<Box<(String, u64)>>,
    },
    Delete {
        key: String,
        revision: u64,
    },
    Compact {
        revision: u64,
    },
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
pub(super) struct After {
    pub(super) revision: u64,
    /// Whether there is history to forget.
    prune: bool,
    /// When the next key expires.
    expiry: Option<Duration>,
    /// Whether anything was written.
    dirty: bool,
}

pub(super) type Answer = Result<u64, StorageError>;

/// Why a transaction was not made.
#[derive(Debug)]
pub(super) struct Failed {
    error: redb::Error,
    /// Whether it may be on the disk all the same.
    in_doubt: bool,
}

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
        let written = failure.map_or_else(
            || {
                self.write(ops).map_err(|failed| {
                    let why = self.failed(&failed.error);
                    if failed.in_doubt { StorageError::Unanswered(why) } else { StorageError::Unavailable(why) }
                })
            },
            |why| Err(StorageError::Unavailable(why)),
        );
        match written {
            Ok((answers, after)) => {
                self.committed.send_if_modified(|c| std::mem::replace(&mut c.revision, after.revision) != after.revision);
                for ((answer, _permit), result) in waiting.into_iter().zip(answers) {
                    // Who gave up waiting does not need the answer.
                    let _ = answer.send(result);
                }
                if after.prune { Some(Duration::ZERO) } else { after.expiry.map(|wait| wait.min(EXPIRY_WAIT)) }
            }
            Err(error) => {
                for (answer, _permit) in waiting {
                    let _ = answer.send(Err(error.clone()));
                }
                None
            }
        }
    }

    pub(super) fn write(&self, ops: Vec<Op>) -> Result<(Vec<Answer>, After), Failed> {
        let prepare = || {
            let tx = self.db.begin_write()?;
            let done = apply(&tx, ops)?;
            Ok((tx, done))
        };
        let (tx, done) = prepare().map_err(|error| Failed { error, in_doubt: false })?;
        let in_doubt = done.1.dirty;
        let ended = if in_doubt { tx.commit().map_err(redb::Error::from) } else { tx.abort().map_err(redb::Error::from) };
        ended.map(|()| done).map_err(|error| Failed { error, in_doubt })
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
    /// Whether an entry was found in the log or among those that vanish that cannot be taken out.
    stuck: bool,
}

fn apply(tx: &WriteTransaction, ops: Vec<Op>) -> Result<(Vec<Answer>, After), redb::Error> {
    let mut meta = tx.open_table(META)?;
    let (revision, compacted) = (number(&meta, META_REVISION)? as u64, number(&meta, META_COMPACTED)? as u64);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let (data, log, expiry) = (tx.open_table(DATA)?, tx.open_table(LOG)?, tx.open_table(EXPIRY)?);
    let cells = cells(&meta)?;
    let mut tables = Tables { data, log, expiry, cells, revision, compacted, now, dirty: false, stuck: false };
    let idle = ops.is_empty();
    let answers = ops.into_iter().map(|op| tables.perform(op)).collect::<Result<Vec<_>, _>>()?;
    tables.expire()?;
    tables.prune(if idle { PRUNE } else { usize::try_from((tables.revision - revision) * PRUNE_PER_CHANGE).unwrap_or(PRUNE) })?;
    let after = After {
        revision: tables.revision,
        prune: !tables.stuck && tables.log.first()?.is_some_and(|(r, _)| r.value() <= tables.compacted),
        expiry: tables.expiry.first()?.filter(|_| !tables.stuck).map(|(at, _)| Duration::from_millis(at.value().0.saturating_sub(now))),
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
            Op::Put { key, value, expect, ttl, other } => {
                let current = newest(&self.data, self.cells, &key)?;
                let fits = match (&current, expect) {
                    (None, Expect::Absent) => true,
                    (Some(current), Expect::Revision(revision)) => current.revision == revision,
                    _ => false,
                };
                if !fits {
                    return Ok(Err(StorageError::Conflict { current }));
                }
                if let Some((other, revision)) = other.map(|other| *other)
                    && newest(&self.data, self.cells, &other)?.is_none_or(|other| other.revision != revision)
                {
                    return Ok(Err(StorageError::Changed));
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
                Some((at, key)) if at.value().0 <= self.now => (at.value(), text(&key)),
                _ => break,
            };
            self.dirty = true;
            self.stuck |= self.expiry.remove(due.0)?.is_none();
            let Some(key) = due.1 else {
                damaged("the list of what vanishes", due.0.1);
                continue;
            };
            if newest(&self.data, self.cells, &key)?.is_some_and(|c| c.revision == due.0.1) {
                self.write(&key, None)?;
            }
        }
        Ok(())
    }

    /// Forgets versions that are superseded by a compacted revision: by one that is there, or the entry that says so is
    /// not what was written and may name a key whose only state is older.
    fn prune(&mut self, at_most: usize) -> Result<(), redb::Error> {
        for _ in 0..at_most {
            let (revision, key) = match self.log.first()? {
                Some((revision, key)) if revision.value() <= self.compacted => (revision.value(), text(&key)),
                _ => break,
            };
            self.dirty = true;
            self.stuck |= self.log.remove(revision)?.is_none();
            let key = key.unwrap_or_default();
            let cell = self.data.get((key.as_str(), revision))?;
            let Some(deleted) = cell.map(|cell| matches!(self.cells.read(&key, revision, &cell), Content::Deleted)) else {
                damaged("the log of changes", revision);
                continue;
            };
            // A deletion is forgotten together with what it deleted.
            let end = if deleted { revision + 1 } else { revision };
            self.data.retain_in((key.as_str(), 0)..(key.as_str(), end), |_, _| false)?;
        }
        Ok(())
    }
}

fn damaged(what: &str, revision: u64) {
    tracing::error!("{what} is damaged at revision {revision}; when this server is stopped, run: federation-apiserver store repair");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::backends::InMemoryBackend;
    use redb::{ReadableDatabase, ReadableTableMetadata, StorageBackend};
    use tokio::sync::Semaphore;

    use super::super::tables::set_up;
    use super::*;

    fn writer(backend: impl StorageBackend) -> (Arc<Database>, Writer) {
        let db = Arc::new(Database::builder().create_with_backend(backend).unwrap());
        set_up(&db).unwrap();
        let (sender, _committed) = watch::channel(Committed { revision: 1, failure: None });
        (db.clone(), Writer::new(db, sender))
    }

    fn put(key: &str, expect: Expect, ttl: Option<Duration>) -> Op {
        Op::Put { key: key.into(), value: Bytes::from("{}"), expect, ttl, other: None }
    }

    /// How many changes and how many states are kept.
    fn kept(db: &Database) -> (u64, u64) {
        let tx = db.begin_read().unwrap();
        (tx.open_table(LOG).unwrap().len().unwrap(), tx.open_table(DATA).unwrap().len().unwrap())
    }

    /// Never a moment without a request, as with leases and events that come all the time.
    #[test]
    fn d23_history_stays_bounded_under_steady_load() {
        let (db, writer) = writer(InMemoryBackend::new());
        let (mut last, mut first, mut compacted) = (1, 2, 0);
        for n in 0..400 {
            let expect = if n == 0 { Expect::Absent } else { Expect::Revision(last) };
            let mut ops = vec![put("/registry/leases/a", expect, None)];
            if n % 50 == 49 {
                ops.push(Op::Compact { revision: last });
                compacted = last;
            }
            let (answers, after) = writer.write(ops).unwrap();
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            last += 1;
            assert_eq!(after.revision, last);
            first = (first + 2).min(first.max(compacted + 1));
            let changes = last - first + 1;
            // The live state stays when the change that made it is forgotten.
            assert_eq!(kept(&db), (changes, changes + u64::from(first > 2)));
            assert!(changes <= 101, "{changes} changes are kept, with 50 from one compaction to the next");
        }
    }

    /// What vanishes is a change too, though nobody asks for it.
    #[test]
    fn d23_history_stays_bounded_under_events_alone() {
        let (db, writer) = writer(InMemoryBackend::new());
        let event = |n: u64| put(&format!("/registry/events/{n}"), Expect::Absent, Some(Duration::ZERO));
        for n in 0..100 {
            let (_, after) = writer.write(vec![event(n)]).unwrap();
            assert_eq!(after.revision, 2 * n + 3, "it was written, and vanished");
        }
        assert_eq!(kept(&db), (200, 200));
        writer.write(vec![Op::Compact { revision: 201 }]).unwrap();
        for n in 100..200 {
            writer.write(vec![event(n)]).unwrap();
        }
        assert_eq!(kept(&db), (200, 200), "as many as came since");
    }

    /// A bit of the log makes one key another that is there, or no text.
    #[test]
    fn a_damaged_entry_of_the_log_takes_nothing_along() {
        for wrong in ["/registry/maps/web-0", "/registry/maps/none"] {
            let (db, writer) = writer(InMemoryBackend::new());
            writer.write(vec![put("/registry/maps/web-0", Expect::Absent, None)]).unwrap();
            writer.write(vec![put("/registry/maps/web-1", Expect::Absent, None)]).unwrap();
            let tx = db.begin_write().unwrap();
            tx.open_table(LOG).unwrap().insert(3, wrong).unwrap();
            tx.commit().unwrap();
            let reader = super::super::tables::Reader::new(db.clone());
            let told = reader.log("/registry/", 1, 10);
            assert!(matches!(told, Err(StorageError::Compacted { requested: 1, oldest: 3 })), "{told:?}");
            assert_eq!(reader.log("/registry/", 3, 10).unwrap().1, 3, "what comes later is told");
            writer.write(vec![Op::Compact { revision: 3 }]).unwrap();
            let (_, after) = writer.write(Vec::new()).unwrap();
            assert!(!after.prune && kept(&db) == (0, 2));
            for name in ["web-0", "web-1"] {
                assert!(reader.get(&format!("/registry/maps/{name}")).unwrap().0.is_some(), "{name} with {wrong}");
            }
        }
    }

    /// A disk that fails when it is told to keep what was written.
    #[derive(Debug)]
    struct Failing(InMemoryBackend, Arc<AtomicBool>);

    impl StorageBackend for Failing {
        fn len(&self) -> Result<u64, std::io::Error> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> Result<(), std::io::Error> {
            if self.1.load(Ordering::Relaxed) { Err(std::io::Error::other("no space")) } else { self.0.sync_data() }
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.0.write(offset, data)
        }
    }

    #[test]
    fn what_may_be_on_the_disk_is_not_told_as_failed() {
        let fails = Arc::new(AtomicBool::new(false));
        let (_db, writer) = writer(Failing(InMemoryBackend::new(), fails.clone()));
        let mut answers = Vec::new();
        for _ in 0..2 {
            fails.store(true, Ordering::Relaxed);
            let (answer, answered) = oneshot::channel();
            let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            writer.commit(vec![Request { op: put("/registry/maps/a", Expect::Absent, None), answer, _permit: permit }]);
            answers.push(answered.blocking_recv().unwrap());
        }
        let [Err(StorageError::Unanswered(_)), Err(StorageError::Unavailable(_))] = &answers[..] else { panic!("{answers:?}") };
    }
}
