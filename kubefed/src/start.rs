//! From arguments to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, normalise};
use crate::commands::{self, Session};
use crate::error::{EXIT_FAILED, EXIT_OK, EXIT_USAGE, Failure};
use crate::printer::Printer;

/// Runs `kubefed` with these arguments, the program's name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    // A second call in one process finds the provider installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let printer = Printer::standard();
    let (args, renamed) = normalise(args);
    for (old, new) in renamed {
        printer.warn(&format!("{old} is DEPRECATED and will be removed in a future version. Use {new} instead."));
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return misunderstood(&printer, &e),
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
        Ok(code) => ExitCode::from(code),
        Err(failure) => fail(&session.printer, &failure),
    }
}

fn fail(printer: &Printer, failure: &Failure) -> ExitCode {
    printer.failure(failure);
    ExitCode::from(failure.code)
}

/// Help goes to stdout and is no error; everything else is one line and a hint.
fn misunderstood(printer: &Printer, error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printer.raw(&error.render().to_string());
            ExitCode::from(EXIT_OK)
        }
        _ => fail(printer, &usage(error)),
    }
}

/// clap's report on one line, its advice on the next.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut parts = text.split("\n\n");
    let first = parts.next().unwrap_or_default().trim().trim_start_matches("error: ");
    let tips: Vec<&str> = text.lines().filter_map(|l| l.trim().strip_prefix("tip: ")).collect();
    let hint =
        if tips.is_empty() { "kubefed --help lists commands, kubefed COMMAND --help their flags".to_owned() } else { tips.join("; ") };
    Failure { code: if error.kind() == ErrorKind::Io { EXIT_FAILED } else { EXIT_USAGE }, ..Failure::usage(first).hint(hint) }
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
        usage(&Cli::try_parse_from(args).err().unwrap())
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
        assert_eq!(f.code, EXIT_USAGE);
    }
}
