//! Where a kubeconfig with a key in it goes: a new file for its owner alone, or standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::OutputArgs;
use crate::error::Failure;
use crate::printer::Printer;

/// A place that can be written to.
pub(super) enum Output {
    Standard,
    File { path: PathBuf, draft: NamedTempFile, force: bool },
}

impl Output {
    /// Makes sure of the place before anything is issued that would be lost otherwise.
    ///
    /// # Errors
    /// There is something already that is not to be replaced, or nothing can be written there.
    pub(super) fn prepare(args: &OutputArgs) -> Result<Self, Failure> {
        let force = args.force;
        let Some(path) = args.output.as_deref().filter(|path| path.as_os_str() != "-") else {
            if force {
                return Err(Failure::usage("--force: there is no file to replace").hint("name it with --output, or leave --force out"));
            }
            return Ok(Self::Standard);
        };
        match path.symlink_metadata() {
            Ok(there) if there.is_dir() => {
                return Err(Failure::new(format!("--output: {} is a directory", path.display())).hint("name a file"));
            }
            Ok(_) if !force => return Err(exists(path)),
            _ => {}
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Such files are made for their owner alone.
        let draft = tempfile::Builder::new().prefix(".kubeconfig-").tempfile_in(dir).map_err(|e| failed(path, &e))?;
        Ok(Self::File { path: path.to_owned(), draft, force })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The file system's, or that somebody made a file of the name meanwhile.
    pub(super) fn write(self, printer: &Printer, text: &str) -> Result<(), Failure> {
        match self {
            Self::Standard => printer.raw(text),
            Self::File { path, mut draft, force } => {
                draft.write_all(text.as_bytes()).and_then(|()| draft.as_file().sync_all()).map_err(|e| failed(&path, &e))?;
                let written = if force { draft.persist(&path) } else { draft.persist_noclobber(&path) };
                written.map_err(|e| match e.error.kind() {
                    std::io::ErrorKind::AlreadyExists => exists(&path),
                    _ => failed(&path, &e.error),
                })?;
            }
        }
        Ok(())
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("--output: {} exists already", path.display())).hint("name another file, or replace this one with --force")
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    // Its words name the draft, which nobody knows.
    Failure::new(format!("--output: cannot write {}: {}", path.display(), error.kind())).hint("check the directory, or leave --output out")
}
