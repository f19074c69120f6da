//! One file for another in one step, with the mode, owner and links it had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Error;

fn wrong(doing: &'static str, file: &Path, hint: &str) -> impl Fn(io::Error) -> Error {
    let (file, hint) = (file.to_owned(), hint.to_owned());
    move |e| Error::Write { doing, file: file.clone(), what: e.to_string(), hint: hint.clone() }
}

const WRITABLE: &str = "check that the file and its directory can be written, then repeat the command; it was left as it is";

/// What is in a file; nothing where it is not there.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    match crate::kubeconfig::bytes(path) {
        Ok(bytes) => Ok(bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(Error::Read { file: path.display().to_string(), cause }),
    }
}

/// The file a path leads to, links followed, also where the last one leads to nothing yet.
pub(super) fn target(path: &Path) -> Result<PathBuf, Error> {
    let mut path = path.to_owned();
    // As many links as the system follows.
    for _ in 0..40 {
        if let Ok(real) = fs::canonicalize(&path) {
            return Ok(real);
        }
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(wrong("following", &path, WRITABLE)(io::Error::other("too many links")))
}

/// Makes the directory of a new file.
pub(super) fn make_directory(named: &Path, real: &Path) -> Result<(), Error> {
    fs::create_dir_all(directory(real)).map_err(wrong("making the directory of", named, WRITABLE))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces a file's contents, or does everything but that.
pub(super) fn replace(named: &Path, real: &Path, bytes: &[u8], really: bool) -> Result<(), Error> {
    let failed = wrong("writing", named, WRITABLE);
    let old = match OpenOptions::new().read(true).write(true).open(real) {
        Ok(file) => Some(file),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(failed(e)),
    };
    let mut new = NamedTempFile::new_in(directory(real)).map_err(&failed)?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(&failed)?;
    let Some(mut old) = old else {
        return if really { persist(new, real).map_err(failed) } else { Ok(()) };
    };
    let metadata = old.metadata().map_err(&failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    if metadata.nlink() > 1 || has_attributes(&old) {
        // Other names of the file, and its access list, would stay with the old contents.
        return if really { in_place(&mut old, bytes, new).map_err(failed) } else { Ok(()) };
    }
    let made = new.as_file().metadata().map_err(&failed)?;
    if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
        let foreign = wrong("writing", named, "run the command as the file's owner; it was left as it is");
        fchown(new.as_file(), Some(metadata.uid()), Some(metadata.gid())).map_err(|e| {
            foreign(io::Error::new(e.kind(), format!("its owner {}:{} cannot be kept: {e}", metadata.uid(), metadata.gid())))
        })?;
    }
    // After the owner: a change of owner may take bits away.
    new.as_file().set_permissions(metadata.permissions()).map_err(&failed)?;
    if really { persist(new, real).map_err(failed) } else { Ok(()) }
}

/// Writes a file that only its owner can read, in the place of one of its name.
pub(super) fn secret(named: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = wrong("keeping the old contents of", named, WRITABLE);
    let mut new = NamedTempFile::new_in(directory(path)).map_err(&failed)?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(&failed)?;
    persist(new, path).map_err(failed)
}

/// Makes a file that only its owner can read, and the directory it is in.
///
/// # Errors
/// That it is there already; that it cannot be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = wrong("writing", path, "choose another name, or check that its directory can be written");
    make_directory(path, path)?;
    let mut new = NamedTempFile::new_in(directory(path)).map_err(&failed)?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(&failed)?;
    new.persist_noclobber(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Takes a file away.
pub(super) fn remove(named: &Path, real: &Path) -> Result<(), Error> {
    fs::remove_file(real).map_err(wrong("removing", named, WRITABLE))
}

fn persist(new: NamedTempFile, real: &Path) -> io::Result<()> {
    new.persist(real).map_err(|e| e.error)?;
    File::open(directory(real))?.sync_all()
}

/// Writes into the file itself. Until that is done, a copy of the new contents lies beside it.
fn in_place(old: &mut File, bytes: &[u8], copy: NamedTempFile) -> io::Result<()> {
    let written =
        old.rewind().and_then(|()| old.write_all(bytes)).and_then(|()| old.set_len(bytes.len() as u64)).and_then(|()| old.sync_all());
    match written {
        Ok(()) => Ok(()),
        Err(e) => {
            let (_, kept) = copy.keep().map_err(|e| e.error)?;
            Err(io::Error::new(e.kind(), format!("{e}; the whole new contents are in {}", kept.display())))
        }
    }
}

/// Whether it has attributes that a new file would lack, an access list say; a security label comes by itself.
fn has_attributes(file: &File) -> bool {
    let mut names = [0_u8; 4096];
    match rustix::fs::flistxattr(file, &mut names) {
        Ok(length) => names[..length].split(|b| *b == 0).any(|n| !n.is_empty() && !n.starts_with(b"security.")),
        Err(rustix::io::Errno::RANGE) => true,
        Err(_) => false,
    }
}
