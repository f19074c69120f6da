//! Putting a copy of a database back, so that nobody takes it for the database it was.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use redb::Database;

use super::check::{CheckError, Report, beside, failed, open, open_file, remove_left, swap, walk};
use super::file::{FILE, OpenError, guarded, private};
use super::tables::{self, META, META_CLUSTER, META_COMPACTED, META_REVISION};

/// How far the revisions go on behind all that were ever told, as with `etcdutl snapshot restore --bump-revision`.
const AHEAD: u64 = 1_000_000_000;

/// What a restore did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What is in the copy.
    pub report: Report,
    /// The database that was there before, if any.
    pub backup: Option<PathBuf>,
}

/// Puts a copy in the place of the database in a directory, which must not be open elsewhere and is kept beside it.
/// The copy gets another identity, and revisions far behind those that were told before, without history: whoever
/// knows any of them is told that it has expired, and lists again.
pub fn restore(from: &Path, dir: &Path, stamp: u64) -> Result<Restored, CheckError> {
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let (path, new) = (dir.join(FILE), beside(dir, "restoring"));
    // Locked until the copy is in its place. One that cannot be read is what copies are for.
    let current = match open(dir) {
        Ok((_, db)) => Some(db),
        Err(CheckError::Missing { .. } | CheckError::Open(OpenError::Corrupt { .. })) => None,
        Err(error) => return Err(error),
    };
    let known = match &current {
        Some(db) => guarded(&path, || tables::look(db))?.map_or(0, |setup| setup.revision),
        None => 0,
    };
    let unreadable = |source| CheckError::Read { path: from.to_owned(), source };
    let mut source = File::open(from).map_err(unreadable)?;
    remove_left(&new)?;
    let mut copy = private(&new).map_err(failed(&new))?;
    io::copy(&mut source, &mut copy).and_then(|_| copy.sync_all()).map_err(failed(&new))?;
    drop(copy);
    let db = open_file(&new)?;
    let report = guarded(&new, || walk(&db))?;
    guarded(&new, || go_ahead(&db, known))?;
    drop(db);
    let before = fs::exists(&path).map_err(failed(&path))?.then(|| beside(dir, &format!("before-restore-{stamp}")));
    swap(dir, &path, &new, before.as_deref())?;
    Ok(Restored { report, backup: before })
}

fn go_ahead(db: &Database, known: u64) -> Result<(), redb::Error> {
    let write = db.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let revision = (tables::number(&meta, META_REVISION)? as u64).max(known).saturating_add(AHEAD);
        for name in [META_REVISION, META_COMPACTED] {
            meta.insert(name, u128::from(revision))?;
        }
        meta.insert(META_CLUSTER, uuid::Uuid::new_v4().as_u128())?;
    }
    write.commit()?;
    Ok(())
}
