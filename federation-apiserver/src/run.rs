//! Runs the server as a process: log, build, listen, drain, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::{Config, ConfigError};
use crate::options::Options;
use crate::server::Server;
use crate::server::loglevel::{self, LogLevel};

/// Exit code for flags that contradict each other or name something unusable (`EX_USAGE`).
const USAGE: u8 = 64;

/// Runs until SIGTERM or SIGINT. The exit code is 0 after an orderly shutdown, 1 when the start
/// failed, 64 for an unusable configuration.
pub fn run(options: Options) -> ExitCode {
    let rust_log = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let (filter, handle) = reload::Layer::new(loglevel::at_start(rust_log.as_deref(), options.verbosity));
    let _ = tracing_subscriber::registry().with(filter).with(fmt::layer().with_writer(std::io::stderr)).try_init();
    let config = match options.resolve() {
        Ok(config) => config,
        Err(e) => return fail(&e, USAGE),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&ConfigError::new(format!("cannot start threads: {e}"), "check the limits of this process"), 1),
    };
    match runtime.block_on(serve(config, LogLevel::reloading(handle))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&e, 1),
    }
}

async fn serve(config: Config, log_level: LogLevel) -> Result<(), ConfigError> {
    let no_signals = |e| ConfigError::new(format!("cannot listen for signals: {e}"), "check the limits of this process");
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let server = Server::start_with(config, Some(log_level)).await?;
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

/// Two lines on stderr: what is wrong, and what to do.
fn fail(e: &ConfigError, code: u8) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "error: {}\nhint: {}", e.message, e.hint);
    ExitCode::from(code)
}
