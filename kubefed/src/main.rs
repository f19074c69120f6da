//! The command `kubefed`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubefed::run(std::env::args_os().collect())
}
