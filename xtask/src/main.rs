//! The one command runner.

mod generate;

use std::path::Path;
use std::process::ExitCode;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the outermost layer of a command")]
fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let result = match std::env::args().nth(1).as_deref() {
        Some("generate") => generate::run(root),
        other => Err(format!("unknown command {}; commands: generate", other.unwrap_or("(none)"))),
    };
    match result {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
