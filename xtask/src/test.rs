//! `cargo xtask test`: the suites, in one place. CI calls only this.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kit::{ApiServer, Options, programs, setup};

use crate::shell::{self, cargo, say};
use crate::{demo, image, unused};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also run the suites on real clusters (root, Linux); one that cannot run is a failure
    #[arg(long)]
    real: bool,
    /// Only suites whose name contains this
    #[arg(value_name = "SUITE")]
    only: Option<String>,
}

struct Suite {
    name: &'static str,
    what: &'static str,
    real: bool,
    run: fn() -> Result<()>,
}

const fn suite(name: &'static str, real: bool, what: &'static str, run: fn() -> Result<()>) -> Suite {
    Suite { name, what, real, run }
}

/// `cargo test`, always of the whole workspace: asked for one package, cargo builds the libraries it shares with others anew,
/// with fewer features.
fn tests(more: &[&str]) -> Command {
    cargo(&[&["test", "--quiet", "--workspace"], more].concat())
}

/// How long the tests of a suite may take, without what is built for them but examples in documentation: four times what the longest takes, on half of such a
/// machine. One that hangs is told as such, and the suites after it run.
const LONGEST: Duration = Duration::from_secs(25 * 60);

/// Runs tests, after they were built.
fn run_tests(more: &[&str], change: impl Fn(&mut Command)) -> Result<()> {
    let targets = more.split(|word| *word == "--").next().unwrap_or_default();
    shell::run(&mut tests(&[&["--no-run"], targets].concat()))?;
    let mut command = tests(more);
    change(&mut command);
    shell::run_within(&mut command, LONGEST)
}

/// A test target whose tests are ignored elsewhere, because they need what only some machines have.
fn real(target: &str) -> Result<()> {
    real_with(target, |_| ())
}

fn real_with(target: &str, change: impl Fn(&mut Command)) -> Result<()> {
    run_tests(&["--test", target, "--", "--ignored", "--nocapture"], change)
}

/// Builds the programs of the package that this test target is of.
fn programs_beside(target: &str) -> Result<()> {
    shell::run(&mut tests(&["--no-run", "--test", target]))
}

/// The dependencies keep to `deny.toml`. cargo-deny is built once, into the cache folder.
fn dependencies() -> Result<()> {
    let tools = kit::cache_dir().join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.exists() {
        say("building cargo-deny (some minutes, once)");
        shell::run(cargo(&["install", "--quiet", "--locked", "cargo-deny", "--root"]).arg(&tools))?;
    }
    shell::run(Command::new(deny).args(["--offline", "check", "bans", "licenses", "sources"]).current_dir(shell::root()))
}

/// A test that also holds for kube-apiserver demands nothing that only we do.
fn requests() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let peer = ApiServer::start(dir.path(), Options::default())?;
    run_tests(&["--test", "requests"], |tests| {
        tests.env("KUBE_SUBJECT_URL", peer.url()).env("KUBE_SUBJECT_TOKEN", peer.token());
    })
}

/// The suite that runs our image.
const FELLOWSHIP: &str = "fellowship";

const SUITES: &[Suite] = &[
    suite("format", false, "rustfmt", || shell::run(&mut cargo(&["fmt", "--all", "--check"]))),
    suite("lints", false, "clippy, warnings are errors", || {
        shell::run(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"]))
    }),
    suite("doc", false, "rustdoc of every item, private ones too; warnings are errors", || {
        let args = ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"];
        shell::run(cargo(&args).env("RUSTDOCFLAGS", "--deny warnings"))
    }),
    suite("unused", false, "every dependency of a crate is used by it", unused::check),
    suite("workspace", false, "unit, property, snapshot and in-process tests; storage on a real etcd", || run_tests(&[], |_| ())),
    suite("dependencies", true, "cargo deny: one crypto library, known licences, known registries", dependencies),
    suite("demo", false, "the first run, told by `kubefed up --story`", || {
        programs_beside("flags")?;
        demo::story(false)
    }),
    suite("kit", true, "a real one-node cluster: pods, images, network cuts, crash and restart", || real("kit")),
    suite("oracle", true, "our API server against a real kube-apiserver, through kubectl", || {
        programs_beside("requests")?;
        real("oracle")
    }),
    suite("kubeconfigs", true, "what a real kubectl reads of generated kubeconfigs and what it refuses, against ours; tutorials", || {
        real("real_kubectl")?;
        real("bad_input")
    }),
    suite("config", true, "random commands of kubefed config on random files, against a real kubectl config", || real("real_config")),
    suite("requests", true, "the tests of our API server's answers, asked of a real kube-apiserver", requests),
    suite("coredns", true, "a real CoreDNS answers from the records we write", || {
        let kit = programs::built()?;
        real_with("real_coredns", |tests| {
            tests.env("KIT_BIN", &kit);
        })
    }),
    suite(FELLOWSHIP, true, "the on-prem tutorial on three real clusters", || {
        image::build(None, image::REFERENCE)?;
        programs_beside("flags")?;
        real("fellowship")
    }),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let chosen = |s: &&Suite| args.only.as_ref().is_none_or(|only| s.name.contains(only.as_str()));
    let (now, left): (Vec<&Suite>, Vec<&Suite>) = SUITES.iter().filter(chosen).partition(|s| args.real || !s.real);
    if now.is_empty() {
        let names: Vec<&str> = SUITES.iter().map(|s| s.name).collect();
        bail!("no suite to run; the suites are {}\nhint: those on real clusters need --real", names.join(", "));
    }
    setup::ensure(&[setup::BUILD, setup::PROCESSES], &say)?;
    setup::moto(&say)?;
    if args.real {
        setup::ensure(&[setup::REAL], &say)?;
        programs::ensure(&say)?;
    }
    // Minutes of all processors; the suites before leave enough of them idle.
    let image = if now.iter().any(|s| s.name == FELLOWSHIP) { Some(image::ahead()?) } else { None };
    let mut failed = vec![];
    for suite in now {
        say(&format!("== {}: {}", suite.name, suite.what));
        let start = Instant::now();
        let result = (suite.run)();
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(()) => say(&format!("== {}: passed in {seconds} s", suite.name)),
            Err(error) => {
                say(&format!("== {}: FAILED after {seconds} s: {error:#}", suite.name));
                failed.push(suite.name);
            }
        }
    }
    if let Some(mut image) = image {
        image.wait().context("waiting for the build of the image")?;
    }
    if !left.is_empty() {
        say("left out, because they need real clusters (root, Linux) or build tools of their own:");
        left.iter().for_each(|s| say(&format!("  {}: {}", s.name, s.what)));
        say("run them with `cargo xtask test --real`");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
