//! Rates and latencies of many calls by a fixed number of workers; memory and CPU time of processes.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What many calls took.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) per_second: f64,
    /// 99 of 100 calls were at most that long, in milliseconds.
    pub(crate) p99_ms: f64,
}

/// Calls `call(0..count)` with so many workers.
pub(crate) async fn calls<F, Fut>(count: usize, workers: usize, call: F) -> Result<Calls>
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let (call, next) = (Arc::new(call), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let mut tasks = vec![];
    for _ in 0..workers {
        let (call, next) = (call.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut took = vec![];
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    return Ok::<_, anyhow::Error>(took);
                }
                let start = Instant::now();
                call(i).await?;
                took.push(start.elapsed());
            }
        }));
    }
    let mut took: Vec<Duration> = vec![];
    for task in tasks {
        took.extend(task.await??);
    }
    let elapsed = start.elapsed();
    took.sort();
    let slow = (took.len() * 99 / 100).min(took.len().saturating_sub(1));
    let p99_ms = took.get(slow).map_or(0.0, |d| d.as_secs_f64() * 1e3);
    Ok(Calls { per_second: count as f64 / elapsed.as_secs_f64(), p99_ms })
}

/// Resident memory of a process in megabytes.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading the process status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1e3)
}

/// Processor time a process took until now, in the kernel and outside, of all its threads.
pub(crate) fn worked(pid: u32) -> Result<Duration> {
    /// `USER_HZ`, which Linux shows to programs whatever the kernel's own clock is.
    const TICKS: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading the process times")?;
    // The name in brackets may hold anything; utime and stime are the 14th and 15th field of the line.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / TICKS))
}
