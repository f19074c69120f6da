//! `federation-controller-manager`.

use std::process::ExitCode;

use clap::Parser;
use federation_controller_manager::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    federation_controller_manager::serve(Options::parse()).await
}
