//! The federation controller manager: watches the federation API and makes the member clusters follow.

use std::{process::ExitCode, sync::Arc};

use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) mod clusters;
pub mod config;
pub mod dns;
pub(crate) mod election;
pub(crate) mod endpoint;
pub mod events;
pub mod kinds;
mod manager;
pub mod members;
pub mod options;
pub mod placement;
pub mod planner;
pub(crate) mod propagation;
pub mod services;
pub mod time;

pub use config::Config;
pub use manager::{Context, run, run_with, run_with_dns};
pub use members::connect::{Connection, HostConnector, HostCredentials, MemberConnector};

/// What `federation-controller-manager` does with its command line: logs to stderr, runs until SIGTERM or
/// SIGINT, and answers with the exit code.
pub async fn serve(options: options::Options) -> ExitCode {
    let level = match options.v {
        0..=3 => "info",
        4 | 5 => "debug",
        _ => "trace",
    };
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("warn,federation_controller_manager={level}")));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // Another logger may be installed where this runs as a part of something larger.
    let _ = tracing_subscriber::registry().with(filter).with(log).try_init();
    // Another provider may be installed, likewise.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match start(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(options: &options::Options) -> anyhow::Result<()> {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let config = options.resolve(hostname.trim())?;
    let federation = options.federation().await?;
    let connector = Arc::new(HostConnector::new(options.host().await?));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stop.cancel();
    });
    run_with(config, federation, connector, shutdown).await
}
