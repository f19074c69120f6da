//! What requests cost a server and its etcd.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::measure::{Calls, calls, worked};
use crate::report::Report;
use crate::servers::Subject;
use crate::wire::{Ask, Pool};

pub(crate) const PATH: &str = "/api/v1/namespaces/bench/configmaps";

#[derive(clap::Args)]
pub(crate) struct Size {
    /// ConfigMaps to create; LIST reads them all
    #[arg(long, default_value_t = 4000)]
    pub(crate) objects: usize,
    /// Connections at once
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Objects read one by one
    #[arg(long, default_value_t = 20_000)]
    pub(crate) gets: usize,
    /// Lists of each form
    #[arg(long, default_value_t = 100)]
    pub(crate) lists: usize,
    /// Watchers at once, each on a connection of its own
    #[arg(long, default_value_t = 1000)]
    pub(crate) watchers: usize,
    /// Changes that each watcher sees
    #[arg(long, default_value_t = 100)]
    pub(crate) changes: usize,
}

/// CPU time of each call, in microseconds.
pub(crate) struct Cost {
    pub(crate) server: f64,
    pub(crate) etcd: Option<f64>,
}

impl Cost {
    pub(crate) fn report(&self, report: &mut Report, subject: &'static str, what: &str) {
        report.add(subject, format!("{what}, CPU"), self.server, "µs");
        if let Some(etcd) = self.etcd {
            report.add(subject, format!("{what}, CPU of etcd"), etcd, "µs");
        }
    }
}

/// CPU time that a subject and its etcd have used.
pub(crate) fn used(subject: &Subject) -> Result<(Duration, Option<Duration>)> {
    Ok((worked(subject.pid)?, subject.etcd.map(worked).transpose()?))
}

/// Asks many times; each answer must have `length` bytes, if that is known.
pub(crate) async fn asked(
    subject: &Subject,
    pool: &Arc<Pool>,
    count: usize,
    workers: usize,
    ask: impl Fn(usize) -> Ask + Send + Sync + 'static,
    length: Option<usize>,
) -> Result<(Calls, Cost)> {
    let (pool, before) = (pool.clone(), used(subject)?);
    let done = calls(count, workers, move |i| {
        let (pool, ask) = (pool.clone(), ask(i));
        async move {
            let got = pool.send(ask).await?.body.len();
            // Resource versions and ages differ by some digits.
            ensure!(length.is_none_or(|length| got.abs_diff(length) <= length / 50), "{got} bytes instead of about {length:?}");
            Ok(())
        }
    })
    .await?;
    let after = used(subject)?;
    let each = |before: Duration, after: Duration| (after.saturating_sub(before)).as_secs_f64() * 1e6 / count as f64;
    let cost = Cost { server: each(before.0, after.0), etcd: before.1.zip(after.1).map(|(before, after)| each(before, after)) };
    Ok((done, cost))
}
