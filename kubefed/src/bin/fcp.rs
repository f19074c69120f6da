//! `fcp`: every program of the federation in one file, chosen by the first argument or by the name it is called by.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

/// One program: it gets its own name and then its arguments.
type Program = fn(Vec<OsString>) -> ExitCode;

const PROGRAMS: [(&str, Program); 3] =
    [("federation-apiserver", apiserver), ("federation-controller-manager", controller_manager), ("kubefed", kubefed::run)];

/// Exit code of a command line that cannot be understood (`EX_USAGE`).
const USAGE: u8 = 64;

/// The API server of a federation of Kubernetes clusters
#[derive(clap::Parser)]
#[command(name = "federation-apiserver", version)]
struct Apiserver {
    #[command(flatten)]
    options: federation_apiserver::options::Options,
}

fn apiserver(args: Vec<OsString>) -> ExitCode {
    federation_apiserver::run::run(Apiserver::parse_from(args).options)
}

fn controller_manager(args: Vec<OsString>) -> ExitCode {
    let options = federation_controller_manager::options::Options::parse_from(args);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(federation_controller_manager::serve(options)),
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "error: cannot start threads: {e}\nhint: check the limits of this process");
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> Option<Program> {
    PROGRAMS.iter().find(|(known, _)| *known == name).map(|(_, program)| *program)
}

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let called = args.first().and_then(|a| Path::new(a).file_name()?.to_str()).unwrap_or_default();
    if let Some(program) = find(called) {
        return program(args);
    }
    let wanted = args.get(1).and_then(|a| a.to_str()).unwrap_or_default().to_owned();
    if let Some(program) = find(&wanted) {
        args.remove(0);
        return program(args);
    }
    let names = PROGRAMS.map(|(name, _)| name).join(", ");
    let what = if wanted.is_empty() { "no program named".to_owned() } else { format!("no program called \"{wanted}\"") };
    let _ = writeln!(std::io::stderr(), "error: {what}\nhint: fcp PROGRAM [FLAGS]; programs: {names}");
    ExitCode::from(USAGE)
}
