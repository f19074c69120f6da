//! Runs the server as a process: flags, log, build, listen, drain, exit code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use daemon::{logs, signals::Signals};
use program::command_line;
use program::failure::{EXIT_USAGE, Failure};

use crate::config::Config;
use crate::options::Options;
use crate::server::{Server, tls};
use crate::store;

/// The API server of a federation of Kubernetes clusters
#[derive(Parser)]
#[command(
    name = "federation-apiserver",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 stopped in good order, 1 the start failed, 64 the command line is wrong, 70 a task ended that never should."
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
/// contradict each other or name something unusable, 70 when a task ended that the server cannot do
/// without.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let options = match command_line::parse::<Cli>(args, "federation-apiserver --help lists the flags") {
        Ok(Cli { instead: Some(Instead::Store { command }), .. }) => return command.run(),
        Ok(cli) => cli.options,
        Err(instead) => return ExitCode::from(instead.say(&mut std::io::stdout().lock(), &mut std::io::stderr().lock())),
    };
    match process(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = failure.tell(&mut std::io::stderr().lock());
            ExitCode::from(failure.code)
        }
    }
}

/// How long work that cannot be stopped may go on after the server ended.
const LEFT_OVER: Duration = Duration::from_secs(2);

fn process(options: Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("cannot start threads: {e}")).hint("check the limits of this process"))?;
    let logs = {
        let _entered = runtime.enter();
        logs::install("federation-apiserver", &options.log)?
    };
    let config = options.resolve().map_err(|e| Failure { code: EXIT_USAGE, ..e.into() })?;
    runtime.spawn_blocking(tls::warm_up);
    let served = runtime.block_on(serve(config));
    logs.end();
    // What background work still has to say comes before the reason of a failure, which is told last. Work on bodies
    // that nobody waits for any more cannot be stopped, and is not waited for either.
    runtime.shutdown_timeout(LEFT_OVER);
    served
}

async fn serve(config: Config) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let server = Server::start(config).await?;
    let listening = server.listen().await?;
    tracing::info!("serving on https://{}", listening.address());
    listening
        .serve(async move {
            signals.received().await;
            tracing::info!("shutting down");
        })
        .await?;
    Ok(())
}
