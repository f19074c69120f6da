//! The federation controller manager: watches the federation API and makes the member clusters follow.
//!
//! It runs as a program of its own ([`program()`]), or within another process, over any two clients:
//!
//! ```no_run
//! use federation_controller_manager::{Config, HostCredentials, run};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example(federation: kube::Client, host: kube::Client) -> Result<(), federation_controller_manager::RunError> {
//! let shutdown = CancellationToken::new();
//! let config = Config { federation_name: "fellowship".into(), ..Config::default() };
//! // Credentials of members are read from secrets in this namespace of the host cluster.
//! let host = HostCredentials { client: host, namespace: "federation-system".into() };
//! run(config, federation, host, shutdown.clone()).await
//! # }
//! ```
//!
//! What decides is pure, and can be asked alone:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use federation_api::preferences::ReplicaPreferences;
//! use federation_controller_manager::planner::{ClusterState, plan};
//!
//! let wanted = ReplicaPreferences::parse(r#"{"clusters": {"gondor": {"weight": 2}, "rohan": {"weight": 1}}}"#)?;
//! let clusters = ["gondor", "rohan"].map(|name| (name.to_owned(), ClusterState::default()));
//! let shares = plan("shire/web", 9, &wanted, &BTreeMap::from(clusters));
//! assert_eq!((shares["gondor"].replicas(), shares["rohan"].replicas()), (6, 3));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::{ffi::OsString, io, process::ExitCode, sync::Arc};

use daemon::{logs, signals::Signals};
use program::{command_line, failure::Failure};
use tokio_util::sync::CancellationToken;

mod backoff;
pub(crate) mod clusters;
pub(crate) mod compact;
pub mod config;
pub mod dns;
pub(crate) mod election;
pub(crate) mod endpoint;
mod error;
pub mod events;
#[cfg(test)]
mod exported;
pub(crate) mod follow;
pub mod kinds;
mod manager;
pub mod members;
pub(crate) mod observed;
pub mod options;
pub mod placement;
pub mod planner;
pub(crate) mod propagation;
pub(crate) mod request;
pub mod services;
pub mod time;

pub use config::Config;
pub use election::LeadLost;
pub use error::RunError;
pub use manager::{Context, run, run_with, run_with_dns};
pub use members::connect::{ConnectError, Connection, HostConnector, HostCredentials, MemberConnector, StoreError};
pub use members::credential::{Credential, Stored};

/// The `federation-controller-manager` program, its name first among `args`: runs until SIGTERM or SIGINT.
/// The exit code is 0 after an orderly end, 1 when it could not start or lost the lead, 64 for flags or files
/// that have to be corrected first, 70 when a task died that never should.
pub fn program(args: Vec<OsString>) -> ExitCode {
    let options = match command_line::parse::<options::Options>(args, "federation-controller-manager --help lists the flags") {
        Ok(options) => options,
        Err(instead) => return ExitCode::from(instead.say(&mut io::stdout().lock(), &mut io::stderr().lock())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let _entered = runtime.enter();
            logs::install("federation-controller-manager", &options.log).and_then(|logs| {
                let served = runtime.block_on(serve(&options));
                logs.end();
                served
            })
        }
        Err(e) => Err(Failure::new(format!("cannot start threads: {e}")).hint("check the limits of this process")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = failure.tell(&mut io::stderr().lock());
            ExitCode::from(failure.code)
        }
    }
}

async fn serve(options: &options::Options) -> Result<(), Failure> {
    // Another provider may be installed where this runs as a part of something larger.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let config = options.resolve(hostname.trim())?;
    let federation = options.federation().await?;
    let connector = Arc::new(HostConnector::new(options.host().await?));
    let shutdown = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let mut running = Box::pin(run_with(config, federation, connector, shutdown.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = signals.received() => {
            shutdown.cancel();
            running.await
        }
    };
    ended.map_err(|error| Failure::from(error).or_hint("start it again; its work goes on where it stopped"))
}
