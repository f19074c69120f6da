//! The one command runner: `cargo xtask`.

mod bench;
mod demo;
mod generate;
mod image;
mod kit_command;
mod shell;
mod test;
mod unused;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and shows the project; sets up what it needs first")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show a working federation in a minute: no cluster and no root needed
    Demo(demo::Args),
    /// Run the tests
    Test(test::Args),
    /// Real Kubernetes clusters on this machine (root, Linux)
    Kit(kit_command::Args),
    /// Build the static binary `fcp` and an OCI image archive of it
    Image(image::Args),
    /// Derive the table of built-in types from upstream's Go modules again
    Generate,
    /// Measure speed; with --peer side by side with a real kube-apiserver
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Kit(args) => kit_command::run(args),
        Task::Image(args) => image::run(&args),
        Task::Generate => generate::run(&shell::root()).map(|done| shell::say(&done)).map_err(anyhow::Error::msg),
        Task::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
