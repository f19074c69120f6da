//! Talking to the user and running commands.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One line on standard error.
#[expect(clippy::print_stderr, reason = "the one place where this program talks")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// One line on standard output: what a caller asked for.
#[expect(clippy::print_stdout, reason = "the one place where this program answers")]
pub(crate) fn answer(line: &str) {
    println!("{line}");
}

/// Root of the work tree.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// The cargo that runs us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs a command with our own input and output; an error when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = format!(
        "{} {}",
        command.get_program().display(),
        command.get_args().map(|a| a.display().to_string()).collect::<Vec<_>>().join(" ")
    );
    let status = command.status().with_context(|| format!("running {line}"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Where cargo puts what it builds, and in it a program of a profile.
pub(crate) fn built(profile: &str, program: &str) -> Result<PathBuf> {
    let out = cargo(&["metadata", "--format-version", "1", "--no-deps"]).output().context("running cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).context("reading cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata has no target_directory")?;
    Ok(PathBuf::from(target).join(profile).join(program))
}
