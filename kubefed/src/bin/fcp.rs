//! `fcp`: every program of the federation in one file, chosen by the first argument or by the name it is called by.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use program::failure::Failure;

/// A quarter of a server's time went into glibc's. How it is set up is in `.cargo/config.toml`, why it was chosen in
/// `docs/architecture.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One program: it gets its own name and then its arguments.
type Program = fn(Vec<OsString>) -> ExitCode;

const PROGRAMS: [(&str, Program); 3] = [
    ("federation-apiserver", federation_apiserver::run::run),
    ("federation-controller-manager", federation_controller_manager::program),
    ("kubefed", kubefed::run),
];

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
    let failure = Failure::usage(what).hint(format!("fcp PROGRAM [FLAGS]; programs: {names}"));
    let _ = failure.tell(&mut std::io::stderr().lock());
    ExitCode::from(failure.code)
}
