//! The log of a process: on stderr, one event a line, its level changeable while the process runs.

mod level;
mod line;
mod said;

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, reload};

pub use level::{LogLevel, PATH};
pub use line::one_line;
pub use said::{Said, Sparing};

static LEVEL: OnceLock<LogLevel> = OnceLock::new();

/// Begins to log: what `RUST_LOG` lets through where it is set and understood, else what `-v` does.
/// Where somebody else logs already, as in tests and larger programs, that stays.
pub fn install(verbosity: u8) {
    let rust_log = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let (filter, handle) = reload::Layer::new(level::at_start(rust_log.as_deref(), verbosity));
    // No colours: what peers sent is made harmless in whole lines, escapes and all.
    let log = fmt::layer().with_writer(line::stderr).with_ansi(false);
    if tracing_subscriber::registry().with(filter).with(log).try_init().is_ok() {
        let _ = LEVEL.set(LogLevel::reloading(handle));
    }
}

/// The level of this process' log; nothing where [`install`] did not install it.
pub fn level() -> Option<&'static LogLevel> {
    LEVEL.get()
}
