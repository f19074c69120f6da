//! The programs under test, as cargo built them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Folder where cargo puts the programs of this profile.
fn target() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    Ok(exe.parent().and_then(Path::parent).context("the test is not where cargo puts tests")?.to_owned())
}

/// A program of the workspace, in the profile of the test.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = target()?.join(name);
    if !path.exists() {
        bail!("{} is not built\nhint: cargo xtask test builds it", path.display());
    }
    Ok(path)
}

/// The image archive that `cargo xtask image` wrote.
pub fn image() -> Result<PathBuf> {
    let path = target()?.parent().context("no target folder")?.join("image/fcp.tar");
    if !path.exists() {
        bail!("{} is not built\nhint: cargo xtask image", path.display());
    }
    Ok(path)
}

/// What a program printed.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a program with a kubeconfig and answers what it printed, whether it failed or not.
pub fn ask(program: &Path, kubeconfig: &Path, args: &[&str]) -> Result<Said> {
    let mut command = Command::new(program);
    command.args(args).env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
    let done = command.output().with_context(|| format!("running {}", program.display()))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Said { ok: done.status.success(), out: text(done.stdout), err: text(done.stderr) })
}

/// Runs a program that has to succeed; the error shows everything it printed.
pub fn run(program: &Path, kubeconfig: &Path, args: &[&str]) -> Result<Said> {
    let said = ask(program, kubeconfig, args)?;
    if !said.ok {
        bail!("{} {} failed:\n{}{}", program.display(), args.join(" "), said.out, said.err);
    }
    Ok(said)
}
