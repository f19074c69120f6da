//! The `federation-apiserver` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    federation_apiserver::run::run(std::env::args_os().collect())
}
