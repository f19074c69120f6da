//! Talking to the user and running commands.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

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
    let status = command.status().with_context(|| format!("running {}", line(command)))?;
    judge(command, status)
}

/// The same for one that could go on for ever: after that time it is killed, with all it started, and that is an error.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = command.spawn().with_context(|| format!("running {}", line(command)))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return judge(command, status);
        }
        if start.elapsed() > limit {
            kill(child.id())?;
            child.wait()?;
            bail!(
                "`{}` went on for {} s and was killed\nhint: a test that hangs is named above: \"has been running for over 60 seconds\"",
                line(command),
                limit.as_secs()
            );
        }
        pause(Duration::from_millis(100));
    }
}

#[expect(clippy::disallowed_methods, reason = "this program has one thread, and it waits for others")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn judge(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// A process and all that came of it, as far as `/proc` tells.
fn family(first: u32) -> Vec<u32> {
    let mut all = vec![first];
    let mut at = 0;
    while at < all.len() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", all[at])).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        all.extend(children.flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()));
        at += 1;
    }
    all
}

/// Kills a process and all that came of it. They are held first, for one that runs may start others meanwhile.
fn kill(first: u32) -> Result<()> {
    let mut held: Vec<u32> = Vec::new();
    for _ in 0..100 {
        let new: Vec<u32> = family(first).into_iter().filter(|pid| !held.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        signal("STOP", &new)?;
        held.extend(new);
    }
    signal("KILL", &held)
}

fn signal(name: &str, to: &[u32]) -> Result<()> {
    let pids = to.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    // One that has ended meanwhile is no failure.
    Command::new("sh").args(["-c", &format!("kill -{name} {pids} 2>/dev/null")]).status().context("ending what went on for too long")?;
    Ok(())
}

/// Where cargo puts what it builds, and in it a program of a profile.
pub(crate) fn built(profile: &str, program: &str) -> Result<PathBuf> {
    let out = cargo(&["metadata", "--format-version", "1", "--no-deps"]).output().context("running cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).context("reading cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata has no target_directory")?;
    Ok(PathBuf::from(target).join(profile).join(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_for_too_long_is_killed_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 1000' & wait", pid.display());
        let said = run_within(Command::new("sh").args(["-c", &script]), Duration::from_secs(2)).unwrap_err().to_string();
        assert!(said.contains("went on for 2 s and was killed"), "{said}");
        let pid = std::fs::read_to_string(pid).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        let start = Instant::now();
        // Gone, or dead and not yet taken note of by its new parent.
        while state().is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(start.elapsed() < Duration::from_secs(10), "it lives");
            pause(Duration::from_millis(10));
        }
        run_within(&mut Command::new("true"), Duration::from_secs(60)).unwrap();
        run_within(&mut Command::new("false"), Duration::from_secs(60)).unwrap_err();
    }
}
