//! The file: its name and format, how it is made, and why it cannot be used.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::quiet::quietly;

/// Name of the file in the data directory.
pub const FILE: &str = "federation.redb";

/// Version of the tables in the file. Files of newer versions are refused.
pub const FORMAT: u64 = 2;

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory or file cannot be made, read or written. Check owner, mode and space.
    #[error("the data directory {} cannot be used: {source}", path.display())]
    NotWritable {
        /// Directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open. Stop that one or choose another directory.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged or not ours. Restore a copy or choose another directory.
    #[error("{} is corrupt or no federation database: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file was written by a newer program. Use that one.
    #[error("{} has format {found}, this program knows formats up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Format of the file.
        found: u64,
        /// Newest format known here.
        known: u64,
    },
}

/// A new file that only its owner may read: what is stored may be secret.
pub(super) fn private(path: &Path) -> io::Result<fs::File> {
    fs::File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// What the engine cannot have written it reports or, now and then, panics over.
pub(super) fn guarded<T>(path: &Path, open: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, OpenError> {
    let opened = quietly(open);
    opened.unwrap_or_else(|_| Err(redb::Error::Corrupted("the engine cannot read it".into()))).map_err(|e| explain(path, e))
}

fn explain(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => OpenError::Locked { path },
        redb::Error::Io(source) if !matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            OpenError::NotWritable { path, source }
        }
        other => OpenError::Corrupt { path, why: other.to_string() },
    }
}
