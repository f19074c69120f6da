//! `kubefed token csv`: a line of the token file of an API server.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use federation_apiserver::auth::authn::csv;
use rustls::crypto::aws_lc_rs;
use tempfile::NamedTempFile;
use tokio::time::{Instant, sleep};

use crate::cli::TokenCsvArgs;
use crate::commands::{Session, given};
use crate::error::Failure;

/// Longest name of a user or group, or id, in bytes.
const LONGEST: usize = 256;
/// Who is in this group may do everything, and such a token does not expire.
const MASTERS: &str = "system:masters";
/// How long another writer of the file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Makes one.
///
/// # Errors
/// What was typed cannot be; the file has such a line already, or cannot be written.
pub(super) async fn run(session: &Session, args: &TokenCsvArgs) -> Result<(), Failure> {
    check(args)?;
    let token = match given::token(session, args.token_file.as_deref())? {
        Some(token) => token,
        None => random()?,
    };
    let line = csv::line(&[&token, &args.user, &args.uid], &args.groups.join(","));
    let Some(path) = &args.append else {
        session.printer.raw(&line);
        return Ok(());
    };
    append(path, &line, &token, args).await?;
    session.printer.note(&format!("Added a token of user {} to {}.", args.user, path.display()));
    Ok(())
}

fn check(args: &TokenCsvArgs) -> Result<(), Failure> {
    let all = [("--user", &args.user), ("--uid", &args.uid)].into_iter().chain(args.groups.iter().map(|group| ("--group", group)));
    for (flag, text) in all {
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) || text.trim() != text {
            return Err(Failure::usage(format!("{flag}: {text:?} cannot stand in a token file"))
                .hint(format!("it has 1 to {LONGEST} bytes, no control characters, and no blanks at its ends")));
        }
        if flag == "--group" && text.contains(',') {
            return Err(Failure::usage(format!("{flag}: {text:?} would be read as several")).hint("repeat --group for each"));
        }
        if text == MASTERS {
            return Err(Failure::usage(format!("{flag}: no token is made for {MASTERS}")).hint(
                "such a token could do everything until it is found: use a group of your own, bound to the ClusterRole cluster-admin",
            ));
        }
    }
    Ok(())
}

/// 16 random bytes in hexadecimal digits, as the tutorials make them with `head -c 16 /dev/urandom | od -An -t x`.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes).map_err(|_| Failure::new("this machine has no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Puts a line at the end of the file, as a whole or not at all.
async fn append(path: &Path, line: &str, token: &str, args: &TokenCsvArgs) -> Result<(), Failure> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The file becomes another with each line; its directory stays the same.
    let _lock = lock(dir, path).await?;
    let before = match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(failed(path, &e)),
        Ok(there) if !there.is_file() => {
            return Err(
                Failure::new(format!("--append: {} is no regular file", path.display())).hint("name the file itself, not a link to it")
            );
        }
        Ok(_) => given::text("--append", path)?,
    };
    let wrong = "correct it first: no API server starts with it; nothing was written";
    let records =
        csv::parse(&before).map_err(|e| Failure::new(format!("--append: {}:{}: {}", path.display(), e.line, e.what)).hint(wrong))?;
    for record in &records {
        let [secret, user, uid, ..] = record.fields.as_slice() else {
            return Err(Failure::new(format!("--append: {}:{}: it has fewer than 3 columns", path.display(), record.line)).hint(wrong));
        };
        let same =
            [("this token", secret == token), ("a token of this user", *user == args.user), ("a token of this uid", *uid == args.uid)];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| *same) {
            return Err(Failure::new(format!("--append: {}:{} is {what} already", path.display(), record.line))
                .hint("take the line out if its token is to end, or give another --user and --uid"));
        }
    }
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let mut new = NamedTempFile::new_in(dir).map_err(|e| failed(path, &e))?;
    let whole = format!("{before}{end}{line}");
    new.write_all(whole.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(|e| failed(path, &e))?;
    keep_owner(path, new.as_file()).map_err(|e| failed(path, &e))?;
    new.persist(path).map_err(|e| failed(path, &e.error))?;
    Ok(())
}

/// Root may write everybody's file: it stays theirs.
fn keep_owner(path: &Path, new: &File) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Ok(old) = fs::metadata(path) else { return Ok(()) };
    let made = new.metadata()?;
    if (made.uid(), made.gid()) == (old.uid(), old.gid()) { Ok(()) } else { fchown(new, Some(old.uid()), Some(old.gid())) }
}

async fn lock(dir: &Path, path: &Path) -> Result<File, Failure> {
    let file = File::open(dir).map_err(|e| failed(path, &e))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < end => sleep(PAUSE).await,
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Failure::timed_out(format!(
                    "--append: another program has held {} for {} s",
                    dir.display(),
                    PATIENCE.as_secs()
                ))
                .hint("repeat the command when it has ended"));
            }
            Err(fs::TryLockError::Error(e)) => return Err(failed(path, &e)),
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    // Its words name the draft, which nobody knows.
    Failure::new(format!("--append: cannot write {}: {}", path.display(), error.kind()))
        .hint("check that its directory is there and can be written")
}
