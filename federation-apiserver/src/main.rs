//! The `federation-apiserver` program. It only wires.
//!
//! Exit codes: 0 after an orderly shutdown, 1 when the start failed, 2 for flags that cannot be
//! understood, 64 for flags that contradict each other or name something unusable.

use std::process::ExitCode;

use clap::Parser;
use federation_apiserver::options::Options;
use federation_apiserver::run;

/// The API server of a federation of Kubernetes clusters
#[derive(Parser)]
#[command(name = "federation-apiserver", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    run::run(Cli::parse().options)
}
