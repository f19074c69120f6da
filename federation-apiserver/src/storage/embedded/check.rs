//! Looking for damage in a database that no server has open, and moving it out of the way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use serde_json::json;
use thiserror::Error;

use super::cell::Content;
use super::file::{FILE, FORMAT, OpenError, guarded, private};
use super::tables::{self, DATA, EXPIRY, LOG, META, META_COMPACTED, META_DIGESTS, META_FORMAT, META_REVISION};
use crate::names::Names;
use crate::storage::ROOT;
use crate::storage::object::Object;

/// A stored value that is not what was written, or no object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The full key.
    pub key: String,
    /// The revision that wrote it.
    pub revision: u64,
    /// Whether it is the newest state of its key, and not a part of history.
    pub current: bool,
    /// What is wrong.
    pub why: String,
    /// What is left of the value.
    pub rest: Vec<u8>,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Keys that have a value.
    pub keys: usize,
    /// Values looked at, history included.
    pub values: usize,
    /// In the order of keys and revisions.
    pub damaged: Vec<Damage>,
    /// What is wrong with the log of changes and the list of what vanishes, in words.
    pub lists: Vec<String>,
    /// Values without a digest, from before there were any: damage of these shows only when they are no objects.
    pub unguarded: usize,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.lists.is_empty()
    }
}

/// What a repair did.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// What was found before.
    pub report: Report,
    /// The database as it was.
    pub backup: PathBuf,
    /// The damaged values, a JSON object a line.
    pub moved: PathBuf,
}

/// Why a database cannot be checked or repaired.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It cannot be opened or read through.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is none.
    #[error("{} is not there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A copy cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads every value of the database in a directory. It must not be open elsewhere; a file that was not closed in good
/// order is recovered first, as a server that starts would do.
pub fn check(dir: &Path) -> Result<Report, CheckError> {
    let (path, db) = open(dir)?;
    Ok(guarded(&path, || walk(&db))?)
}

/// Checks, and when something is damaged puts a new database in the place of the old one, with all keys whose newest
/// state is sound and without history; when nothing is, gives a digest to every value that has none. `stamp` tells the files it leaves beside from those of other repairs.
pub fn repair(dir: &Path, stamp: u64) -> Result<Option<Repaired>, CheckError> {
    // Open, and so locked, until the new file is in its place.
    let (path, db) = open(dir)?;
    let report = guarded(&path, || walk(&db))?;
    if report.is_sound() {
        if report.unguarded > 0 {
            guarded(&path, || guard(&db))?;
        }
        return Ok(None);
    }
    let (new, backup) = (beside(dir, "repairing"), beside(dir, &format!("before-repair-{stamp}")));
    let moved = beside(dir, &format!("damaged-{stamp}.jsonl"));
    remove_left(&new)?;
    drop(private(&new).map_err(failed(&new))?);
    guarded(&new, || copy(&db, &new))?;
    write_out(&moved, &report.damaged).map_err(failed(&moved))?;
    swap(dir, &path, &new, Some(&backup))?;
    drop(db);
    Ok(Some(Repaired { report, backup, moved }))
}

/// A file beside the database.
pub(super) fn beside(dir: &Path, what: &str) -> PathBuf {
    dir.join(format!("{FILE}.{what}"))
}

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> CheckError + use<> {
    let path = path.to_owned();
    move |source| CheckError::Write { path, source }
}

/// Removes what an attempt before left that was ended in the middle.
pub(super) fn remove_left(new: &Path) -> Result<(), CheckError> {
    match fs::remove_file(new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(new)(e)),
        _ => Ok(()),
    }
}

/// Puts a new database in the place of the old one, which stays as `backup`. The name leads to a whole database at
/// every moment: the old one, then the new one.
pub(super) fn swap(dir: &Path, path: &Path, new: &Path, backup: Option<&Path>) -> Result<(), CheckError> {
    if let Some(backup) = backup {
        fs::hard_link(path, backup).map_err(failed(backup))?;
    }
    owned_like(path, dir, new).map_err(failed(new))?;
    fs::rename(new, path).map_err(failed(path))?;
    File::open(dir).and_then(|d| d.sync_all()).map_err(failed(dir))
}

/// Gives a file the owner of the one it replaces, else of its directory, so that the server can open what root made.
fn owned_like(old: &Path, dir: &Path, new: &Path) -> io::Result<()> {
    let of = match fs::metadata(old) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::metadata(dir)?,
        found => found?,
    };
    let is = fs::metadata(new)?;
    if (of.uid(), of.gid()) == (is.uid(), is.gid()) {
        return Ok(());
    }
    chown(new, Some(of.uid()), Some(of.gid()))
}

pub(super) fn open(dir: &Path) -> Result<(PathBuf, Database), CheckError> {
    let path = dir.join(FILE);
    if !fs::exists(&path).map_err(|source| OpenError::NotWritable { path: path.clone(), source })? {
        return Err(CheckError::Missing { path });
    }
    let db = open_file(&path)?;
    Ok((path, db))
}

/// Opens a database of ours that is there.
pub(super) fn open_file(path: &Path) -> Result<Database, CheckError> {
    let path = path.to_owned();
    let (db, setup) = guarded(&path, || {
        let db = Database::open(&path)?;
        let setup = tables::look(&db)?;
        Ok((db, setup))
    })?;
    match setup {
        Some(setup) if setup.format > FORMAT => Err(OpenError::Newer { path, found: setup.format, known: FORMAT }.into()),
        Some(_) => Ok(db),
        None => Err(OpenError::Corrupt { path, why: "it holds no tables of ours".into() }.into()),
    }
}

/// One value, or deletion, of a key.
struct Version<'a> {
    key: &'a str,
    revision: u64,
    /// Whether it is the newest of its key.
    current: bool,
    content: Content<'a>,
}

/// Calls for every version of every key, in their order.
fn each(tx: &ReadTransaction, mut seen: impl FnMut(Version<'_>) -> Result<(), redb::Error>) -> Result<(), redb::Error> {
    let cells = tables::cells(&tx.open_table(META)?)?;
    let data = tx.open_table(DATA)?;
    let mut entries = data.iter()?.peekable();
    while let Some(entry) = entries.next() {
        let (id, guard) = entry?;
        let (key, revision) = id.value();
        let current = entries.peek().is_none_or(|next| next.as_ref().is_ok_and(|(id, _)| id.value().0 != key));
        seen(Version { key, revision, current, content: cells.read(key, revision, &guard) })?;
    }
    Ok(())
}

/// What is wrong with a version, and what is left of its value.
fn fault<'a>(version: &Version<'a>) -> Option<(String, &'a [u8])> {
    match version.content {
        Content::Deleted => None,
        Content::Damaged(rest) => Some(("its bytes are not those that were written".to_owned(), rest)),
        Content::Value(value) => {
            let key = version.key.strip_prefix(ROOT).unwrap_or(version.key);
            Object::parse(key, value, version.revision, &Names::Fixed(&[])).err().map(|e| (e.to_string(), value))
        }
    }
}

pub(super) fn walk(db: &Database) -> Result<Report, redb::Error> {
    let mut report = Report::default();
    let tx = db.begin_read()?;
    let mut lists = Lists::read(&tx)?;
    let cells = tables::cells(&tx.open_table(META)?)?;
    each(&tx, |version| {
        report.lists.extend(lists.compare(version.key, version.revision));
        report.unguarded += usize::from(version.revision <= cells.after);
        if version.content != Content::Deleted {
            report.values += 1;
            report.keys += usize::from(version.current);
        }
        if let Some((why, rest)) = fault(&version) {
            let Version { key, revision, current, .. } = version;
            report.damaged.push(Damage { key: key.to_owned(), revision, current, why, rest: rest.to_vec() });
        }
        Ok(())
    })?;
    report.lists.extend(lists.rest());
    Ok(report)
}

/// What the other tables say of revisions: which key each changed. `None` is a key that is no text.
struct Lists {
    compacted: u64,
    log: BTreeMap<u64, Option<String>>,
    vanishing: BTreeMap<u64, Option<String>>,
}

impl Lists {
    fn read(tx: &ReadTransaction) -> Result<Self, redb::Error> {
        let compacted = tables::number(&tx.open_table(META)?, META_COMPACTED)? as u64;
        let (mut log, mut vanishing) = (BTreeMap::new(), BTreeMap::new());
        for entry in tx.open_table(LOG)?.iter()? {
            let (revision, key) = entry?;
            log.insert(revision.value(), tables::text(&key));
        }
        for entry in tx.open_table(EXPIRY)?.iter()? {
            let (at, key) = entry?;
            vanishing.insert(at.value().1, tables::text(&key));
        }
        Ok(Self { compacted, log, vanishing })
    }

    /// What they say wrongly of a version that is there.
    fn compare(&mut self, key: &str, revision: u64) -> impl Iterator<Item = String> + use<> {
        let wrong = |told: &Option<String>| told.as_deref() != Some(key);
        let vanishing = self.vanishing.remove(&revision).filter(wrong);
        let vanishing = vanishing.map(|_| format!("what makes {key} vanish, written at revision {revision}, names another key"));
        let log = match self.log.remove(&revision) {
            Some(told) if wrong(&told) => Some(format!("the log of changes names another key than {key} at revision {revision}")),
            None if revision > self.compacted => Some(format!("the log of changes lacks revision {revision} of {key}")),
            _ => None,
        };
        vanishing.into_iter().chain(log)
    }

    /// What they say of versions that are not there. What vanishes may be written over and forgotten before.
    fn rest(self) -> impl Iterator<Item = String> {
        let log = self.log.into_keys().map(|revision| format!("the log of changes has revision {revision}, which nothing was written at"));
        let compacted = self.compacted;
        let lost = self.vanishing.into_iter().filter(move |(revision, key)| *revision > compacted || key.is_none());
        log.chain(lost.map(|(revision, _)| format!("something vanishes that was written at revision {revision}, and is not there")))
    }
}

/// Writes every version that has no digest anew, all in one transaction.
fn guard(db: &Database) -> Result<(), redb::Error> {
    let (before, write) = (db.begin_read()?, db.begin_write()?);
    {
        let mut meta = write.open_table(META)?;
        let old = tables::cells(&meta)?;
        meta.insert(META_FORMAT, u128::from(FORMAT))?;
        meta.insert(META_DIGESTS, 0)?;
        let cells = tables::cells(&meta)?;
        let mut data = write.open_table(DATA)?;
        each(&before, |Version { key, revision, content, .. }| {
            let value = match content {
                Content::Value(value) => Some(value),
                Content::Deleted => None,
                Content::Damaged(_) => return Ok(()),
            };
            if revision <= old.after {
                data.insert((key, revision), cells.write(key, revision, value).as_deref())?;
            }
            Ok(())
        })?;
    }
    write.commit()?;
    Ok(())
}

/// Makes a database of what is sound and current. It is another one than before, and remembers no history: whoever
/// knew the old one lists again.
fn copy(db: &Database, into: &Path) -> Result<(), redb::Error> {
    let tx = db.begin_read()?;
    let revision = tables::number(&tx.open_table(META)?, META_REVISION)? as u64 + 1;
    // The key is the one that was written then, whatever is told here.
    let mut times = BTreeMap::new();
    for entry in tx.open_table(EXPIRY)?.iter()? {
        let (at, revision) = entry?.0.value();
        times.insert(revision, at);
    }
    let new = Database::create(into)?;
    tables::set_up(&new)?;
    let write = new.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        for name in [META_REVISION, META_COMPACTED] {
            meta.insert(name, u128::from(revision))?;
        }
        // Every value is written anew.
        meta.insert(META_DIGESTS, 0)?;
        let cells = tables::cells(&meta)?;
        let mut data = write.open_table(DATA)?;
        let mut vanishing = write.open_table(EXPIRY)?;
        each(&tx, |version| {
            if let Content::Value(value) = version.content
                && version.current
                && fault(&version).is_none()
            {
                data.insert((version.key, version.revision), cells.write(version.key, version.revision, Some(value)).as_deref())?;
                if let Some(at) = times.get(&version.revision) {
                    vanishing.insert((*at, version.revision), version.key)?;
                }
            }
            Ok(())
        })?;
    }
    write.commit()?;
    Ok(())
}

fn write_out(path: &Path, damaged: &[Damage]) -> io::Result<()> {
    let mut file = private(path)?;
    for damage in damaged {
        let line = json!({"key": damage.key, "revision": damage.revision, "current": damage.current, "why": damage.why,
            "value": STANDARD.encode(&damage.rest)});
        writeln!(file, "{line}")?;
    }
    file.sync_all()
}
