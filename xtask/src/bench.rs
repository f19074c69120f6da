//! `cargo xtask bench`: speed, side by side with a peer.

use std::process::Command;

use anyhow::Result;
use kit::{programs, setup};

use crate::image::build_static;
use crate::shell::{self, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `api`, `propagate` or `engines`, and what to give on; `api --help` lists the sizes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[setup::BUILD, setup::PROCESSES], &say)?;
    if args.rest.iter().any(|a| a == "--peer") {
        programs::ensure(&say)?;
    }
    say("building fcp and the benchmark, optimised (some minutes the first time)");
    let engines = args.rest.first().is_some_and(|a| a == "engines");
    let fcp = build_static("kubefed", "fcp", &[])?;
    let bench = build_static("bench", "bench", if engines { &["--features=engines"] } else { &[] })?;
    shell::run(Command::new(bench).arg("--fcp").arg(fcp).args(&args.rest))
}
