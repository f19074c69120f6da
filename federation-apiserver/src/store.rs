//! `federation-apiserver store check|repair|restore`: damage in an embedded store that no server has open, and copies.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use program::failure::{EXIT_FAILED, Failure};
use serde_json::json;

use crate::storage::embedded::OpenError;
use crate::storage::embedded::check::{self, CheckError, Damage, Report};
use crate::storage::embedded::restore::{self, Restored};

/// Exit code of a check that found damage.
pub const EXIT_DAMAGED: u8 = 3;

/// What can be done with a store.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Read every value of the embedded store and list those that are damaged
    #[command(after_help = "Exit codes: 0 nothing is damaged, 1 it could not be read, 3 values are damaged.")]
    Check(Where),
    /// Move damaged values out of the embedded store, into a file beside it; a copy of the store is kept
    #[command(after_help = "Exit codes: 0 nothing is damaged any more, 1 it could not be repaired and is as it was.")]
    Repair(Where),
    /// Put a copy of the embedded store back, so that all clients notice; the store that was there is kept beside it
    #[command(after_help = "Exit codes: 0 the copy is in place, 1 it could not be and the store is as it was.")]
    Restore {
        /// The copy of federation.redb
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Directory of the embedded store; no server may have it open
        #[arg(long, default_value = "/var/lib/federation-apiserver", value_name = "DIR")]
        data_dir: PathBuf,
    },
}

/// Which store, and how to tell what was found.
#[derive(Args, Clone, Debug)]
pub struct Where {
    /// Directory of the embedded store; no server may have it open
    #[arg(long, default_value = "/var/lib/federation-apiserver", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// How to tell it
    #[arg(long, short = 'o', value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// With -o json, tell what is left of damaged values too, in base64; they may be secret
    #[arg(long)]
    pub values: bool,
}

/// How to tell what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Table,
    /// One JSON object.
    Json,
}

impl Command {
    /// Does it, and says on standard output what was found.
    pub fn run(&self) -> ExitCode {
        let mut out = io::stdout().lock();
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let done = match self {
            Self::Check(at) => check::check(&at.data_dir).map(|report| {
                let _ = tell(&mut out, at, &report, None);
                if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DAMAGED) }
            }),
            Self::Restore { file, data_dir } => restore::restore(file, data_dir, stamp).map(|restored| {
                let _ = tell_restored(&mut out, &restored);
                ExitCode::SUCCESS
            }),
            Self::Repair(at) => check::repair(&at.data_dir, stamp).map(|repaired| {
                let _ = match &repaired {
                    Some(done) => tell(&mut out, at, &done.report, Some((&done.backup, &done.moved))),
                    None => tell(&mut out, at, &Report::default(), None),
                };
                ExitCode::SUCCESS
            }),
        };
        done.unwrap_or_else(|error| {
            let failure = Failure { code: EXIT_FAILED, ..Failure::new(error.to_string()).hint(hint(&error)) };
            let _ = failure.tell(&mut io::stderr().lock());
            ExitCode::from(EXIT_FAILED)
        })
    }
}

fn hint(error: &CheckError) -> &'static str {
    match error {
        CheckError::Open(OpenError::Locked { .. }) => "stop the server first",
        CheckError::Open(OpenError::Corrupt { .. }) => "more than single values is damaged: restore a copy; it was left as it is",
        CheckError::Open(OpenError::Newer { .. }) => "use the newer version that wrote it",
        CheckError::Missing { .. } => "name the directory of the embedded store with --data-dir",
        _ => "check owner, mode and space",
    }
}

fn tell_restored(out: &mut impl Write, Restored { report, backup }: &Restored) -> io::Result<()> {
    writeln!(out, "the copy is in place, with {} keys", report.keys)?;
    if let Some(backup) = backup {
        writeln!(out, "the store that was there is {}", backup.display())?;
    }
    if !report.is_sound() {
        writeln!(out, "some of it is damaged; store check tells what, store repair moves it out")?;
    }
    Ok(())
}

fn tell(out: &mut impl Write, at: &Where, report: &Report, files: Option<(&PathBuf, &PathBuf)>) -> io::Result<()> {
    if at.output == Output::Json {
        let damaged = report.damaged.iter().map(|Damage { key, revision, current, why, rest }| {
            let mut one = json!({"key": key, "revision": revision, "current": current, "why": why});
            if at.values {
                one["value"] = STANDARD.encode(rest).into();
            }
            one
        });
        let mut all = json!({"keys": report.keys, "values": report.values, "damaged": damaged.collect::<Vec<_>>(),
            "lists": report.lists, "unguarded": report.unguarded});
        if let Some((backup, moved)) = files {
            all["backup"] = backup.display().to_string().into();
            all["moved"] = moved.display().to_string().into();
        }
        return writeln!(out, "{all:#}");
    }
    if report.unguarded > 0 {
        writeln!(out, "{} values are from before there were digests; store repair gives them one", report.unguarded)?;
    }
    if report.is_sound() {
        return writeln!(out, "nothing is damaged");
    }
    for why in &report.lists {
        writeln!(out, "{why}")?;
    }
    let width = report.damaged.iter().map(|d| d.key.len()).max().unwrap_or_default().max(3);
    writeln!(out, "{:width$}  {:>10}  {:8}  WHY", "KEY", "REVISION", "STATE")?;
    for Damage { key, revision, current, why, .. } in &report.damaged {
        writeln!(out, "{key:width$}  {revision:>10}  {:8}  {why}", if *current { "current" } else { "history" })?;
    }
    writeln!(
        out,
        "{} of {} values are damaged, {} of {} keys",
        report.damaged.len(),
        report.values,
        report.damaged.iter().filter(|d| d.current).count(),
        report.keys
    )?;
    if let Some((backup, moved)) = files {
        writeln!(out, "they were moved to {}; the store as it was is {}", moved.display(), backup.display())?;
    }
    Ok(())
}
