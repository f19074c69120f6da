//! `cargo xtask kit`: real clusters by hand.
//!
//! `up` stays in the foreground and holds the machines; the other verbs find them by their folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;
use kit::{Machine, Site, cache_dir, kubeconfig, programs};

use crate::shell::{self, answer, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the programs of a real cluster, once, into the cache folder
    Build,
    /// Start machines and hold them until Ctrl-C (default: rivendell gondor rohan)
    Up {
        /// Names of the machines; contexts of the printed kubeconfig are named alike
        names: Vec<String>,
    },
    /// End a machine and remove its state
    Down {
        /// Its name
        name: String,
    },
    /// Load an OCI image archive into a machine
    Load {
        /// Its name
        name: String,
        /// The archive
        archive: PathBuf,
    },
    /// Cut a machine off the network
    Cut {
        /// Its name
        name: String,
    },
    /// Connect a machine again
    Mend {
        /// Its name
        name: String,
    },
    /// Run a command as a process of a machine
    Run {
        /// Its name
        name: String,
        /// The command
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
}

/// Where `up` keeps its machines.
fn state() -> PathBuf {
    cache_dir().join("machines")
}

static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: Args) -> Result<()> {
    match args.verb {
        Verb::Build => {
            answer(&programs::ensure(&say)?.display().to_string());
            Ok(())
        }
        Verb::Up { names } => up(&names),
        Verb::Down { name } => down(&name),
        Verb::Load { name, archive } => held(&name)?.load(&archive),
        Verb::Cut { name } => held(&name)?.cut(),
        Verb::Mend { name } => held(&name)?.mend(),
        Verb::Run { name, command } => {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            answer(held(&name)?.run(&words)?.trim_end());
            Ok(())
        }
    }
}

/// A machine that some `up` holds.
fn held(name: &str) -> Result<kit::Held> {
    kit::Held::find(&state(), name)
}

fn up(names: &[String]) -> Result<()> {
    let names: Vec<&str> = if names.is_empty() { vec!["rivendell", "gondor", "rohan"] } else { names.iter().map(String::as_str).collect() };
    programs::ensure(&say)?;
    let dir = state();
    let mut machines = vec![];
    for name in &names {
        let site = if *name == "rohan" { Site::new("east", "edoras") } else { Site::new("west", name) };
        machines.push(Machine::boot(&dir, name, &site)?);
    }
    for machine in &mut machines {
        machine.wait()?;
        say(&format!("{} is up at {}", machine.name(), machine.address()));
    }
    let contexts = machines.iter().map(|m| m.context()).collect::<Result<Vec<_>>>()?;
    let file = dir.join("kubeconfig");
    kubeconfig::write(&contexts, &file)?;
    answer(&format!("export KUBECONFIG={}", file.display()));
    say("the machines run until Ctrl-C; `cargo xtask kit down NAME` removes what one leaves");
    // Dropping the machines removes their cables and cgroups too; dying by the signal would not.
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed))?;
    #[expect(clippy::disallowed_methods, reason = "machines die with the thread that started them, which has nothing else to do")]
    while !STOP.load(Ordering::Relaxed) && machines.iter_mut().any(|m| !m.ended()) {
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn down(name: &str) -> Result<()> {
    let dir = state().join(name);
    if !dir.exists() {
        bail!("there is no machine {name} under {}", state().display());
    }
    if let Ok(held) = held(name) {
        held.end()?;
    }
    remove(&dir)
}

/// Pods may have left mounts and files of other users.
fn remove(dir: &Path) -> Result<()> {
    shell::run(Command::new("rm").arg("-rf").arg(dir))
}
