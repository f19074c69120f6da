//! `kubefed config lint`: what is wrong with kubeconfig files, or soon will be, each with the command that mends it.

mod clusters;
mod contexts;
mod files;
mod finding;
mod users;

use federation_client::config::Config;
use jiff::Timestamp;

use self::finding::{Finding, Findings, Severity};
use crate::cli::LintArgs;
use crate::commands::Session;
use crate::error::{EXIT_FOUND, EXIT_OK, Failure};

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
