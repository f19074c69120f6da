//! What is found, and how it is said.

use std::time::Duration;

use federation_client::config::List;
use jiff::Timestamp;
use serde::Serialize;

use crate::expiry;

/// How bad a finding is; notes do not count for the exit code.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It does not work.
    Error,
    /// It is dangerous, or will not work soon.
    Warning,
    /// It is of no use.
    Note,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The entry or the file.
    pub(super) at: String,
    pub(super) what: String,
    /// The command that mends it.
    pub(super) mend: String,
}

/// What is found, and what it is measured by.
pub(super) struct Findings {
    pub(super) now: Timestamp,
    pub(super) within: Duration,
    pub(super) all: Vec<Finding>,
}

impl Findings {
    pub(super) fn add(&mut self, severity: Severity, at: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.all.push(Finding { severity, at: at.into(), what: what.into(), mend: mend.into() });
    }

    /// Something that has ended, or will within the time that is asked for.
    pub(super) fn end(&mut self, end: Timestamp, at: &str, what: &str, mend: &str) {
        let days = expiry::days(end, self.now);
        if end <= self.now {
            self.add(Severity::Error, at, format!("{what} expired at {end}"), mend);
        } else if end.duration_since(self.now).unsigned_abs() <= self.within {
            self.add(Severity::Warning, at, format!("{what} expires in {days} days, at {end}"), mend);
        }
    }
}

/// How to call an entry.
pub(super) fn entry(list: List, name: &str) -> String {
    format!("{} {name:?}", list.word())
}

/// A word of a shell's command line.
pub(super) fn word(text: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | ':' | '=' | '%' | '+');
    if !text.is_empty() && text.chars().all(safe) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The command that takes a field away.
pub(super) fn unset(list: List, name: &str, field: &str) -> String {
    format!("kubefed config unset {}", word(&format!("{}[\"{name}\"].{field}", list.key())))
}
