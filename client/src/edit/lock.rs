//! kubectl's lock: a file `<name>.lock` that only one process can create.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::Error;

/// How long another writer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Locks that are held; dropped, they are released.
pub(super) struct Lock(Vec<PathBuf>);

impl Lock {
    /// Locks a file under the name it was called by, as kubectl does, and under the one a link leads to.
    ///
    /// # Errors
    /// A lock that is not given up in time, with its age; a directory that cannot be written.
    #[expect(clippy::disallowed_methods, reason = "a lock is waited for as the file is read and written, without a runtime")]
    pub(super) fn take(named: &Path, real: &Path) -> Result<Self, Error> {
        let mut names = vec![beside(named), beside(real)];
        names.sort();
        names.dedup();
        let mut lock = Self(Vec::new());
        let end = Instant::now() + PATIENCE;
        for name in names {
            loop {
                match OpenOptions::new().write(true).create_new(true).open(&name) {
                    Ok(_) => {
                        lock.0.push(name);
                        break;
                    }
                    Err(e) if e.kind() == ErrorKind::AlreadyExists && Instant::now() < end => sleep(PAUSE),
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                        return Err(Error::Locked { file: named.to_owned(), age: age(&name), lock: name });
                    }
                    Err(e) => {
                        return Err(Error::Write {
                            doing: "locking",
                            file: named.to_owned(),
                            what: format!("{}: {e}", name.display()),
                            hint: "its directory has to be writable; or name another file with --kubeconfig".to_owned(),
                        });
                    }
                }
            }
        }
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = fs::remove_file(name);
        }
    }
}

/// The lock of a name, the same for every way to spell its directory: one process must not wait for itself.
fn beside(path: &Path) -> PathBuf {
    let directory = path.parent().map(|d| if d.as_os_str().is_empty() { Path::new(".") } else { d });
    let real = directory.and_then(|d| fs::canonicalize(d).ok()).zip(path.file_name()).map(|(d, name)| d.join(name));
    let mut name = real.unwrap_or_else(|| path.to_owned()).into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

fn age(lock: &Path) -> String {
    let made = fs::metadata(lock).and_then(|m| m.modified()).ok();
    let seconds = made.and_then(|at| SystemTime::now().duration_since(at).ok()).map(|d| d.as_secs());
    match seconds {
        Some(s) if s >= 3600 => format!(" since {} h {} min", s / 3600, s % 3600 / 60),
        Some(s) if s >= 60 => format!(" since {} min", s / 60),
        Some(s) => format!(" since {s} s"),
        None => String::new(),
    }
}
