//! The log of a process: on stderr, one event a line, its level changeable while the process runs.

#[cfg(any(test, feature = "faults"))]
mod here;
mod level;
mod line;
mod said;

use std::sync::OnceLock;

use program::failure::Failure;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::trace::{Export, exporting};
#[cfg(any(test, feature = "faults"))]
pub use here::{here, within};
pub use level::{LogLevel, PATH};
pub use line::one_line;
pub use said::{Said, Sparing};

static LEVEL: OnceLock<LogLevel> = OnceLock::new();

/// What of the log the command line says, in both programs.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LogOptions {
    /// Log verbosity: 0 and 1 are info, 2 to 5 debug with a line for each request, 6 and more trace; RUST_LOG goes before
    #[arg(long = "v", short = 'v', default_value_t = 0, value_name = "LEVEL")]
    pub verbosity: u8,
    /// OTLP endpoint (gRPC) of a collector that traces are sent to, for example http://127.0.0.1:4317; none are sent without
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub tracing_otlp_endpoint: Option<String>,
}

/// The log of the process, to be [`Logs::end`]ed with it.
#[derive(Debug)]
#[must_use = "the last traces are sent when it ends"]
pub struct Logs(Option<Export>);

impl Logs {
    /// Sends the last traces; blocks for a moment where there is a collector. The runtime has to be
    /// running still.
    pub fn end(self) {
        if let Some(export) = self.0 {
            export.end();
        }
    }
}

/// Begins to log: what `RUST_LOG` lets through where it is set and understood, else what `-v` does; and
/// to export traces. To be called within a tokio runtime. Where somebody else logs already, as in tests
/// and larger programs, that stays.
///
/// # Errors
/// An endpoint that cannot be one; exit code 64.
pub fn install(program: &'static str, options: &LogOptions) -> Result<Logs, Failure> {
    let rust_log = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let (filter, handle) = reload::Layer::new(level::at_start(rust_log.as_deref(), options.verbosity));
    // No colours: what peers sent is made harmless in whole lines, escapes and all.
    let log = fmt::layer().with_writer(line::stderr).with_ansi(false).with_filter(filter);
    let endpoint = options.tracing_otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let (export, layer) = endpoint.map(|endpoint| exporting(program, endpoint)).transpose()?.unzip();
    if tracing_subscriber::registry().with(log).with(layer).try_init().is_ok() {
        let _ = LEVEL.set(LogLevel::reloading(handle));
    }
    Ok(Logs(export))
}

/// The level of this process' log; nothing where [`install`] did not install it.
pub fn level() -> Option<&'static LogLevel> {
    LEVEL.get()
}
