//! From arguments to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use program::command_line::{Instead, parse};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, normalise};
use crate::commands::{self, Session};
use crate::error::{EXIT_OK, Failure};
use crate::printer::Printer;

/// Where to read on.
const HELP: &str = "kubefed --help lists commands, kubefed COMMAND --help their flags";

/// Runs `kubefed` with these arguments, the program's name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    // A second call in one process finds the provider installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let printer = Printer::standard();
    let (args, renamed) = normalise(args);
    for (old, new) in renamed {
        printer.warn(&format!("{old} is DEPRECATED and will be removed in a future version. Use {new} instead."));
    }
    let cli: Cli = match parse(args, HELP) {
        Ok(cli) => cli,
        Err(Instead::Text(text)) => {
            printer.raw(&text);
            return finish(&printer, EXIT_OK);
        }
        Err(Instead::Wrong(failure)) => return fail(&printer, &failure),
    };
    log(cli.global.verbosity);
    let session = Session { printer, global: cli.global };
    // Only a whole federation has work for more than one thread.
    let mut builder = match cli.command {
        Command::Up(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&session.printer, &Failure::new(format!("starting: {e}"))),
    };
    match runtime.block_on(Box::pin(commands::run(&session, cli.command))) {
        Ok(code) => finish(&session.printer, code),
        Err(failure) => fail(&session.printer, &failure),
    }
}

/// The exit code of a command that did what it was asked, unless what it printed is not whole.
fn finish(printer: &Printer, code: u8) -> ExitCode {
    match printer.finish() {
        Ok(()) => ExitCode::from(code),
        Err(failure) => fail(printer, &failure),
    }
}

fn fail(printer: &Printer, failure: &Failure) -> ExitCode {
    printer.failure(&failure.clone().or_hint("repeat the command with -v 6 to see what was asked and what was answered"));
    ExitCode::from(failure.code)
}

/// Logs go to stderr; `RUST_LOG` says more precisely what `-v` says roughly.
fn log(verbosity: u8) {
    let default = match verbosity {
        // A client's errors are told by the command itself.
        0 => "error,kube_client=off",
        1 => "warn",
        2 | 3 => "warn,kubefed=info",
        4 | 5 => "info,kubefed=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(args: &[&str]) -> Failure {
        match parse::<Cli>(args.iter().map(OsString::from).collect(), HELP) {
            Err(Instead::Wrong(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_line_that_is_not_understood_is_told_in_two_lines() {
        let f = error_of(&["kubefed", "jion", "gondor"]);
        assert_eq!(f.message, "unrecognized subcommand 'jion'");
        assert_eq!(f.hint.as_deref(), Some("a similar subcommand exists: 'join'"));
        let f = error_of(&["kubefed", "join", "--use-credentials-kubeconfig"]);
        assert!(f.message.starts_with("unexpected argument '--use-credentials-kubeconfig' found"), "{f}");
        let f = error_of(&["kubefed", "init", "--timeout=soon"]);
        assert!(f.message.contains("\"soon\" is not a duration such as 30s, 5m or 1h30m"), "{f}");
        assert_eq!(f.code, crate::error::EXIT_USAGE);
    }
}
