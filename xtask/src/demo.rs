//! `cargo xtask demo`: build what it takes, then let `kubefed up` tell its story.

use anyhow::Result;
use kit::setup;

use crate::shell::{self, built, cargo, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave the federation running at the end and print the kubeconfig to use
    #[arg(long)]
    keep: bool,
}

pub(crate) fn story(keep: bool) -> Result<()> {
    let mut story = std::process::Command::new(built("debug", "kubefed")?);
    story.args(["up", "--story"]);
    if keep {
        story.arg("--keep");
    }
    shell::run(&mut story)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[setup::BUILD], &say)?;
    say("building kubefed (some minutes the first time)");
    shell::run(&mut cargo(&["build", "--quiet", "--package", "kubefed", "--bin", "kubefed"]))?;
    story(args.keep)
}
