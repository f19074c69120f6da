//! `kubefed config lint`: what is wrong with kubeconfig files, or soon will be, each with the command that mends it.

mod clusters;
mod contexts;
mod files;
mod users;

use std::time::Duration;

use federation_client::config::{Config, List};
use jiff::Timestamp;
use serde::Serialize;

use super::EXIT_FOUND;
use crate::cli::LintArgs;
use crate::commands::Session;
use crate::error::{EXIT_OK, Failure};

/// How bad a finding is; notes do not count for the exit code.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// It does not work.
    Error,
    /// It is dangerous, or will not work soon.
    Warning,
    /// It is of no use.
    Note,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Finding {
    severity: Severity,
    /// The entry or the file.
    at: String,
    what: String,
    /// The command that mends it.
    mend: String,
}

/// What is found, and what it is measured by.
struct Findings {
    now: Timestamp,
    within: Duration,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, severity: Severity, at: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.all.push(Finding { severity, at: at.into(), what: what.into(), mend: mend.into() });
    }

    /// Something that has ended, or will within the time that is asked for.
    fn end(&mut self, end: Timestamp, at: &str, what: &str, mend: &str) {
        let days = crate::expiry::days(end, self.now);
        if end <= self.now {
            self.add(Severity::Error, at, format!("{what} expired at {end}"), mend);
        } else if end.duration_since(self.now).unsigned_abs() <= self.within {
            self.add(Severity::Warning, at, format!("{what} expires in {days} days, at {end}"), mend);
        }
    }
}

pub(super) fn run(session: &Session, args: &LintArgs) -> Result<u8, Failure> {
    let files = session.files();
    let mut findings = Findings { now: Timestamp::now(), within: args.within, all: Vec::new() };
    // Entries are looked at where all files can be understood.
    if files::look(&files, &mut findings) {
        let config = Config::load(files, "")?;
        contexts::look(&config, &mut findings);
        clusters::look(&config, &mut findings);
        users::look(&config, &mut findings);
    }
    let mut all = findings.all;
    all.sort_by_key(|finding| finding.severity);
    match args.output {
        Some(format) => {
            let value = serde_json::to_value(&all).map_err(|e| Failure::new(format!("printing: {e}")))?;
            session.printer.value(&value, format)?;
        }
        None => print(session, &all),
    }
    let bad = all.iter().any(|finding| finding.severity != Severity::Note);
    Ok(if bad { EXIT_FOUND } else { EXIT_OK })
}

fn print(session: &Session, all: &[Finding]) {
    for finding in all {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        session.printer.data(&format!("{word}: {}: {}", finding.at, finding.what));
        session.printer.data(&format!("  mend: {}", finding.mend));
    }
    let count = |severity| all.iter().filter(|finding| finding.severity == severity).count();
    let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    session.printer.data(&format!("{errors} errors, {warnings} warnings, {notes} notes"));
}

/// How to call an entry.
fn entry(list: List, name: &str) -> String {
    format!("{} {name:?}", list.word())
}

/// A word of a shell's command line.
fn word(text: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | ':' | '=' | '%' | '+');
    if !text.is_empty() && text.chars().all(safe) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The command that takes a field away.
fn unset(list: List, name: &str, field: &str) -> String {
    format!("kubefed config unset {}", word(&format!("{}[\"{name}\"].{field}", list.key())))
}
