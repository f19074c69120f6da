//! The tables of the embedded database and what is read from them.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::{AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::cell::{Cells, Content};
use super::file::FORMAT;
use super::quiet::quietly;
use crate::storage::{Event, Page, StorageError, Versioned};

/// Numbers about the whole database, see the `META_` names.
pub(super) const META: TableDefinition<&str, u128> = TableDefinition::new("meta");
/// (key, revision) to what that revision made of the key, see [`super::cell`].
pub(super) const DATA: TableDefinition<(&str, u64), Option<&[u8]>> = TableDefinition::new("data");
/// Revision to the key it changed.
pub(super) const LOG: TableDefinition<u64, &str> = TableDefinition::new("log");
/// (milliseconds since 1970, revision) to a key that vanishes then, unless a later revision wrote it.
pub(super) const EXPIRY: TableDefinition<(u64, u64), &str> = TableDefinition::new("expiry");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_CLUSTER: &str = "cluster-id";
pub(super) const META_REVISION: &str = "revision";
pub(super) const META_COMPACTED: &str = "compacted";
/// Revision after which cells carry a digest.
pub(super) const META_DIGESTS: &str = "digests";

impl From<redb::Error> for StorageError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(why) => Self::Corrupt(why),
            other => Self::Unavailable(format!("the database failed: {other}")),
        }
    }
}

/// The revision of a new database, as in etcd, so that 0 can mean "none". No change made it.
const FIRST: u64 = 1;

/// The format whose cells had no digests.
const BEFORE_DIGESTS: u64 = 1;

/// How the cells of a database are read and written.
pub(super) fn cells(meta: &impl ReadableTable<&'static str, u128>) -> Result<Cells, redb::Error> {
    // Before it was looked at by a program that writes digests there are none.
    let after = meta.get(META_DIGESTS)?.map_or(u64::MAX, |v| v.value() as u64);
    Ok(Cells { after })
}

/// What a database says about itself.
pub(super) struct Setup {
    pub(super) format: u64,
    pub(super) cluster_id: u128,
    pub(super) revision: u64,
}

/// Reads what an old database is; makes the tables of a new one.
pub(super) fn set_up(db: &Database) -> Result<Setup, redb::Error> {
    match look(db)? {
        Some(setup) if setup.format == BEFORE_DIGESTS => {
            check_newest(db, &setup)?;
            // From here on a program that knows no digests refuses the file.
            let tx = db.begin_write()?;
            {
                let mut meta = tx.open_table(META)?;
                meta.insert(META_FORMAT, u128::from(FORMAT))?;
                meta.insert(META_DIGESTS, u128::from(setup.revision))?;
            }
            tx.commit()?;
            return Ok(Setup { format: FORMAT, ..setup });
        }
        Some(setup) => {
            // Of a newer format nothing is known.
            if setup.format == FORMAT {
                check_newest(db, &setup)?;
            }
            return Ok(setup);
        }
        None => {}
    }
    let tx = db.begin_write()?;
    let setup = Setup { format: FORMAT, cluster_id: uuid::Uuid::new_v4().as_u128(), revision: FIRST };
    {
        let mut meta = tx.open_table(META)?;
        meta.insert(META_DIGESTS, u128::from(setup.revision))?;
        meta.insert(META_FORMAT, u128::from(setup.format))?;
        meta.insert(META_CLUSTER, setup.cluster_id)?;
        meta.insert(META_REVISION, u128::from(setup.revision))?;
        meta.insert(META_COMPACTED, 0)?;
        tx.open_table(DATA)?;
        tx.open_table(LOG)?;
        tx.open_table(EXPIRY)?;
    }
    tx.commit()?;
    Ok(setup)
}

/// What a database says about itself; `None` for a new one.
pub(super) fn look(db: &Database) -> Result<Option<Setup>, redb::Error> {
    let tx = db.begin_read()?;
    let meta = match tx.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    let format = u64::try_from(number(&meta, META_FORMAT)?).unwrap_or(u64::MAX);
    if format != FORMAT && format != BEFORE_DIGESTS {
        // Not ours to read any further.
        return Ok(Some(Setup { format, cluster_id: 0, revision: 0 }));
    }
    let (cluster_id, revision) = (number(&meta, META_CLUSTER)?, number(&meta, META_REVISION)? as u64);
    tx.open_table(DATA)?;
    tx.open_table(LOG)?;
    tx.open_table(EXPIRY)?;
    Ok(Some(Setup { format, cluster_id, revision }))
}

/// Not all of a database is read before it is used, but the newest change must be there.
fn check_newest(db: &Database, setup: &Setup) -> Result<(), redb::Error> {
    let tx = db.begin_read()?;
    let (data, log) = (tx.open_table(DATA)?, tx.open_table(LOG)?);
    let Some((newest, key)) = log.last()? else { return Ok(()) };
    let there = match text(&key) {
        Some(key) => data.get((key.as_str(), newest.value()))?.is_some(),
        None => false,
    };
    if newest.value() > setup.revision || !there {
        let why = "the newest change is not what it should be; restore a copy, or look with: federation-apiserver store check";
        return Err(redb::Error::Corrupted(why.into()));
    }
    Ok(())
}

/// A key as a table has it; `None` when it is no text any more, over which the engine panics.
pub(super) fn text(guard: &AccessGuard<'_, &'static str>) -> Option<String> {
    quietly(|| guard.value().to_owned()).ok()
}

pub(super) fn number(meta: &impl ReadableTable<&'static str, u128>, name: &str) -> Result<u128, redb::Error> {
    meta.get(name)?.map(|v| v.value()).ok_or_else(|| redb::Error::Corrupted(format!("{name} is missing")))
}

/// The newest version of a key, if it is not deleted.
pub(super) fn newest(
    data: &impl ReadableTable<(&'static str, u64), Option<&'static [u8]>>,
    cells: Cells,
    key: &str,
) -> Result<Option<Versioned>, redb::Error> {
    let Some(last) = data.range((key, 0)..=(key, u64::MAX))?.next_back() else { return Ok(None) };
    let (at, value) = last?;
    Ok(versioned(cells, key, at.value().1, &value))
}

/// The value of a cell; `None` when it says that the key was deleted.
fn versioned(cells: Cells, key: &str, revision: u64, guard: &AccessGuard<'_, Option<&'static [u8]>>) -> Option<Versioned> {
    let (value, damaged) = match cells.read(key, revision, guard) {
        Content::Value(value) => (Bytes::copy_from_slice(value), false),
        Content::Damaged(left) => (Bytes::copy_from_slice(left), true),
        Content::Deleted => return None,
    };
    Some(Versioned { key: key.to_owned(), value, revision, damaged })
}

/// Reads, each in a snapshot of its own.
#[derive(Clone)]
pub(super) struct Reader {
    db: Arc<Database>,
}

/// A snapshot and the revisions it covers.
struct View {
    tx: ReadTransaction,
    revision: u64,
    compacted: u64,
    cells: Cells,
}

impl Reader {
    pub(super) fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    fn view(&self) -> Result<View, redb::Error> {
        let tx = self.db.begin_read()?;
        let meta = tx.open_table(META)?;
        let (revision, compacted) = (number(&meta, META_REVISION)? as u64, number(&meta, META_COMPACTED)? as u64);
        let cells = cells(&meta)?;
        Ok(View { tx, revision, compacted, cells })
    }

    /// The newest value of a key, and the current revision.
    pub(super) fn get(&self, key: &str) -> Result<(Option<Versioned>, u64), StorageError> {
        let view = self.view()?;
        let data = view.tx.open_table(DATA).map_err(redb::Error::from)?;
        Ok((newest(&data, view.cells, key)?, view.revision))
    }

    /// Whether all changes after a revision are still known.
    pub(super) fn check_history(&self, after: u64) -> Result<(), StorageError> {
        self.view()?.check(after)
    }

    /// See [`crate::storage::Backend::list`].
    pub(super) fn list(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Result<Page, StorageError> {
        let view = self.view()?;
        let at = if revision == 0 { view.revision } else { revision };
        if at > view.revision {
            return Err(StorageError::Future { requested: at, current: view.revision });
        }
        view.check(at)?;
        Ok(view.list(prefix, after, if limit == 0 { usize::MAX } else { limit }, at)?)
    }

    /// Changes under `prefix` among the `limit` next ones after a revision, and the revision reached.
    pub(super) fn log(&self, prefix: &str, after: u64, limit: usize) -> Result<(Vec<Event>, u64), StorageError> {
        let view = self.view()?;
        view.check(after)?;
        view.log(prefix, after, limit)?.ok_or_else(|| {
            tracing::error!(
                "the log of changes is damaged behind revision {after}: whoever follows it reads everything again; look with \
                 federation-apiserver store check when this server is stopped"
            );
            StorageError::Compacted { requested: after, oldest: view.revision }
        })
    }
}

impl View {
    fn check(&self, revision: u64) -> Result<(), StorageError> {
        if revision < self.compacted {
            return Err(StorageError::Compacted { requested: revision, oldest: self.compacted });
        }
        Ok(())
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize, at: u64) -> Result<Page, redb::Error> {
        type Candidate = (String, u64, AccessGuard<'static, Option<&'static [u8]>>);
        let data = self.tx.open_table(DATA)?;
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded((after, u64::MAX)),
            _ => Bound::Included((prefix, 0)),
        };
        let mut page = Page { items: Vec::new(), revision: at, more: false };
        let mut candidate: Option<Candidate> = None;
        let flush = |candidate: Option<Candidate>, page: &mut Page| {
            let Some((key, revision, value)) = candidate else { return };
            match versioned(self.cells, &key, revision, &value) {
                Some(_) if page.items.len() == limit => page.more = true,
                Some(found) => page.items.push(found),
                None => {}
            }
        };
        for entry in data.range::<(&str, u64)>((start, Bound::Unbounded))? {
            let (id, value) = entry?;
            let (key, revision) = id.value();
            if !key.starts_with(prefix) || page.more {
                break;
            }
            if candidate.as_ref().is_some_and(|(k, ..)| k != key) {
                flush(candidate.take(), &mut page);
            }
            if revision <= at {
                candidate = Some((key.to_owned(), revision, value));
            }
        }
        if !page.more {
            flush(candidate, &mut page);
        }
        Ok(page)
    }

    /// `None` when the log does not say what happened.
    fn log(&self, prefix: &str, after: u64, limit: usize) -> Result<Option<(Vec<Event>, u64)>, redb::Error> {
        let (data, log) = (self.tx.open_table(DATA)?, self.tx.open_table(LOG)?);
        let (mut events, mut reached, mut seen) = (Vec::new(), after.max(FIRST), 0);
        for entry in log.range(after + 1..)?.take(limit) {
            let (revision, key) = entry?;
            // Each revision is one change of one key, and that key has it.
            let due = std::mem::replace(&mut reached, revision.value()) + 1;
            let Some(key) = text(&key).filter(|_| due == reached) else { return Ok(None) };
            let Some(now) = data.get((key.as_str(), reached))? else { return Ok(None) };
            let revision = reached;
            seen += 1;
            if !key.starts_with(prefix) {
                continue;
            }
            let before = data.range((key.as_str(), 0)..(key.as_str(), revision))?.next_back().transpose()?;
            // A state before that is damaged is told as none.
            let old = before.and_then(|(at, value)| versioned(self.cells, &key, at.value().1, &value));
            let old = old.filter(|old| !old.damaged).map(|old| old.value);
            events.push(match versioned(self.cells, &key, revision, &now) {
                Some(new) => Event::Put { new, old },
                None => Event::Delete { key, old: old.unwrap_or_default(), revision },
            });
        }
        if seen < limit && reached < self.revision {
            return Ok(None);
        }
        if reached > after {
            events.push(Event::Progress(reached));
        }
        Ok(Some((events, reached)))
    }
}
