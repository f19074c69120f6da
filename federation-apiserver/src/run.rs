//! Runs the server as a process: flags, log, build, listen, drain, exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use federation_api::command_line;
use federation_api::failure::{EXIT_FAILED, EXIT_USAGE, Failure};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ConfigError};
use crate::options::Options;
use crate::server::{Server, tls};
use crate::store;

/// The API server of a federation of Kubernetes clusters
#[derive(Parser)]
#[command(
    name = "federation-apiserver",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 stopped in good order, 1 the start failed, 64 the command line is wrong."
)]
struct Cli {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    options: Options,
}

/// What it does instead of serving.
#[derive(Subcommand)]
enum Instead {
    /// Look for damage in an embedded store that no server has open
    Store {
        #[command(subcommand)]
        command: store::Command,
    },
}

/// Runs with these arguments, the program's name first, until SIGTERM or SIGINT. The exit code is 0
/// after an orderly shutdown, 1 when the start failed, 64 for flags that cannot be understood,
/// contradict each other or name something unusable.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let options = match command_line::parse::<Cli>(args, "federation-apiserver --help lists the flags") {
        Ok(Cli { instead: Some(Instead::Store { command }), .. }) => return command.run(),
        Ok(cli) => cli.options,
        Err(instead) => return ExitCode::from(instead.say(&mut std::io::stdout().lock(), &mut std::io::stderr().lock())),
    };
    daemon::logs::install(options.verbosity);
    let config = match options.resolve() {
        Ok(config) => config,
        Err(e) => return fail(&e, EXIT_USAGE),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&ConfigError::new(format!("cannot start threads: {e}"), "check the limits of this process"), EXIT_FAILED),
    };
    runtime.spawn_blocking(tls::warm_up);
    let served = runtime.block_on(serve(config));
    // What background work still has to say comes before the reason of a failure, which is told last.
    drop(runtime);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&e, EXIT_FAILED),
    }
}

async fn serve(config: Config) -> Result<(), ConfigError> {
    let no_signals = |e| ConfigError::new(format!("cannot listen for signals: {e}"), "check the limits of this process");
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let server = Server::start(config).await?;
    let listening = server.listen().await?;
    tracing::info!("serving on https://{}", listening.address());
    listening
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("shutting down");
        })
        .await;
    Ok(())
}

fn fail(e: &ConfigError, code: u8) -> ExitCode {
    let failure = Failure { code, ..Failure::new(e.message.as_str()).hint(e.hint.as_str()) };
    let _ = failure.tell(&mut std::io::stderr().lock());
    ExitCode::from(code)
}
