//! The `federation-controller-manager` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    federation_controller_manager::program(std::env::args_os().collect())
}
