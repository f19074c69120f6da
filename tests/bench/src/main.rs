//! `cargo xtask bench`: the same client against ours and, with `--peer`, against a real
//! kube-apiserver with its own etcd in the same run. fsync is on for both. A table for people on
//! standard error, JSON on standard output.

mod api;
mod client;
mod cost;
#[cfg(feature = "engines")]
mod engines;
mod hollow;
mod lists;
mod manager;
mod measure;
mod propagate;
mod report;
mod servers;
mod spread;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// The program under test
    #[arg(long, value_name = "FILE")]
    fcp: PathBuf,
    /// Also measure a real kube-apiserver with its own etcd
    #[arg(long, global = true)]
    peer: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Requests to the API server
    Api(cost::Size),
    /// From the federation into a member
    Propagate(propagate::Size),
    /// What `propagate --members` spreads objects over
    #[command(hide = true)]
    Hollow(hollow::Count),
    /// Storage engines the embedded store could be built on
    #[cfg(feature = "engines")]
    Engines(engines::Size),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match &cli.what {
                What::Api(size) => api::run(&cli.fcp, cli.peer, size).await,
                What::Propagate(size) => propagate::run(&cli.fcp, cli.peer, size).await,
                What::Hollow(count) => hollow::serve(count).await.map(|()| report::Report::default()),
                #[cfg(feature = "engines")]
                What::Engines(size) => engines::run(size),
            }
        })
    });
    match result {
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}
