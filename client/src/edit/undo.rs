//! The file as it was before the last change, kept beside it: one line about the change, then its bytes. A change of
//! several files has one id in all of them.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::lock::Lock;
use super::replace;
use crate::Error;
use crate::yaml::MAX_BYTES;

/// What the line begins with; to a reader of YAML it is a comment.
const MARK: &str = "# kubefed config undo: ";

/// Longest command that is kept, in characters.
const MOST_TOLD: usize = 1000;
/// Longest file that is kept: the longest that is edited, and the line.
const MOST_BYTES: u64 = (MAX_BYTES + (64 << 10)) as u64;

/// A change, as it is told when it is taken back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Journal {
    /// Different for each run of a command.
    id: String,
    /// The command, without secrets.
    pub did: String,
    /// When it began.
    at: Timestamp,
}

impl Journal {
    /// A change that begins now.
    pub fn new(did: &str) -> Self {
        let at = Timestamp::now();
        Self { id: format!("{}-{}", at.as_nanosecond(), std::process::id()), did: did.chars().take(MOST_TOLD).collect(), at }
    }
}

/// What the line says.
#[derive(Deserialize, Serialize)]
struct Line {
    #[serde(flatten)]
    change: Journal,
    /// Whether the file was there before.
    existed: bool,
    /// SHA-256 of the file after the change, in hexadecimal digits.
    after: String,
}

/// A file that can be put back.
pub struct Kept {
    file: PathBuf,
    line: Line,
    before: Vec<u8>,
}

/// A file that was put back.
#[derive(Debug, PartialEq)]
pub struct Undone {
    /// The file.
    pub file: PathBuf,
    /// Its contents before, which are kept now in the place of those that came back.
    pub was: Vec<u8>,
    /// Its contents now.
    pub is: Vec<u8>,
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the last contents of a file are.
fn beside(real: &Path) -> PathBuf {
    let mut name = real.as_os_str().to_owned();
    name.push(".undo");
    PathBuf::from(name)
}

/// Keeps the contents of a file that is about to change; its lock is held. Of several changes by one command those
/// before the first are kept.
pub(super) fn keep(named: &Path, real: &Path, change: &Journal, after: &[u8]) -> Result<(), Error> {
    let (existed, before) = match read(named)? {
        Some(kept) if kept.line.change.id == change.id => (kept.line.existed, kept.before),
        _ => (real.exists(), replace::read(named)?),
    };
    write(named, real, &Line { change: change.clone(), existed, after: digest(after) }, &before)
}

fn write(named: &Path, real: &Path, line: &Line, before: &[u8]) -> Result<(), Error> {
    let said = serde_json::to_string(line).unwrap_or_default();
    let bytes = [MARK.as_bytes(), said.as_bytes(), b"\n", before].concat();
    replace::secret(named, &beside(real), &bytes)
}

/// What is kept of a file.
fn read(file: &Path) -> Result<Option<Kept>, Error> {
    let kept = beside(&replace::target(file)?);
    let wrong = || Error::Content {
        file: kept.display().to_string(),
        line: 1,
        what: "it is no file that kubefed config keeps for undo".to_owned(),
        hint: "move it away; what it says may be worth keeping".to_owned(),
    };
    let mut bytes = Vec::new();
    match File::open(&kept).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::Read { file: kept.display().to_string(), cause }),
    }
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
    let said = bytes[..end].strip_prefix(MARK.as_bytes()).ok_or_else(wrong)?;
    let line = serde_json::from_slice(said).map_err(|_| wrong())?;
    Ok(Some(Kept { file: file.to_owned(), line, before: bytes[end + 1..].to_vec() }))
}

/// The newest change of these files that can be taken back, in all files it was made in.
///
/// # Errors
/// What is kept cannot be read or understood.
pub fn last<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Vec<Kept>, Error> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file)?);
    }
    let newest = all.iter().max_by_key(|kept| kept.line.change.at).map(|kept| kept.line.change.id.clone());
    all.retain(|kept| Some(&kept.line.change.id) == newest.as_ref());
    Ok(all)
}

/// The change that would be taken back.
pub fn change(kept: &[Kept]) -> Option<&Journal> {
    kept.first().map(|kept| &kept.line.change)
}

/// Puts files back as they were. What they were until now is kept, so that this can be taken back as well.
///
/// # Errors
/// A file that something else changed since: nothing is put back then. A file that cannot be locked or written.
pub fn undo(kept: &[Kept], journal: &Journal) -> Result<Vec<Undone>, Error> {
    let mut locked = Vec::new();
    for one in kept {
        let real = replace::target(&one.file)?;
        replace::make_directory(&one.file, &real)?;
        let lock = Lock::take(&one.file, &real)?;
        let now = replace::read(&one.file)?;
        if digest(&now) != one.line.after {
            return Err(Error::Write {
                doing: "taking back the change of",
                file: one.file.clone(),
                what: "something else changed it since".to_owned(),
                hint: format!("it was left as it is; its contents before \"{}\" are in {}", one.line.change.did, beside(&real).display()),
            });
        }
        locked.push((one, real, lock, now));
    }
    let mut done = Vec::new();
    for (one, real, _lock, now) in locked {
        let line = Line { change: journal.clone(), existed: real.exists(), after: digest(&one.before) };
        write(&one.file, &real, &line, &now)?;
        if one.line.existed {
            replace::replace(&one.file, &real, &one.before, true)?;
        } else {
            replace::remove(&one.file, &real)?;
        }
        done.push(Undone { file: one.file.clone(), was: now, is: one.before.clone() });
    }
    Ok(done)
}
