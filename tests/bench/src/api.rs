//! Requests to one API server: how many a second, and what each costs it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kit::Etcd;

use crate::client::config_map;
use crate::cost::{PATH, Size, asked, used};
use crate::lists;
use crate::measure::{calls, resident, worked};
use crate::report::{Report, progress};
use crate::servers::{self, Subject};
use crate::wire::{Ask, Pool, Wire};

pub(crate) async fn run(fcp: &Path, with_peer: bool, size: &Size) -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let mut report = Report::default();
    measure(&servers::embedded(fcp, dir.path()).await?, size, &mut report).await?;
    measure(&servers::etcd(fcp, dir.path()).await?, size, &mut report).await?;
    measure_etcd(dir.path(), size, &mut report).await?;
    if with_peer {
        measure(&servers::peer(dir.path())?, size, &mut report).await?;
    }
    Ok(report)
}

async fn measure(subject: &Subject, size: &Size, report: &mut Report) -> Result<()> {
    progress(&format!("measuring {}", subject.name));
    let name = subject.name;
    report.add(name, "start to ready", subject.start.as_secs_f64() * 1e3, "ms");
    report.add(name, "memory idle", resident(subject.pid)?, "MB");
    let wire = Wire::new(&subject.url, subject.token)?;
    let pool = Pool::new(wire.clone());
    let namespace = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"bench"}}"#;
    pool.send(Ask::post("/api/v1/namespaces", namespace)).await.context("creating the namespace")?;

    let ask = |i| Ask::post(PATH, config_map(&format!("c{i}")));
    let (create, cost) = asked(subject, &pool, size.objects, size.connections, ask, None).await.context("create")?;
    report.add(name, "create", create.per_second, "1/s");
    report.add(name, "create p99", create.p99_ms, "ms");
    cost.report(report, name, "create");

    let path = format!("{PATH}/c7");
    let one = pool.send(Ask::get(&path)).await?.body;
    ensure!(one.starts_with(b"{") && one.windows(11).any(|w| w == br#""name":"c7""#), "{path} is not whole");
    let (get, cost) = asked(subject, &pool, size.gets, size.connections, move |_| Ask::get(&path), Some(one.len())).await.context("get")?;
    report.add(name, "get", get.per_second, "1/s");
    report.add(name, "get p99", get.p99_ms, "ms");
    cost.report(report, name, "get");

    lists::measure(subject, &pool, size, report).await?;
    drop(pool);
    fan_out(subject, &wire, size, 1, report).await.context("watch")?;
    fan_out(subject, &wire, size, size.connections, report).await.context("watch")
}

/// The floor of every API server over etcd: the same bodies, put into it without one.
async fn measure_etcd(dir: &Path, size: &Size, report: &mut Report) -> Result<()> {
    let name = "etcd alone";
    progress(&format!("measuring {name}"));
    let etcd = Etcd::start(&dir.join("alone"), true)?;
    let client = etcd_client::Client::connect([etcd.url()], None).await?;
    let before = worked(etcd.id())?;
    let put = calls(size.objects, size.connections, move |i| {
        let mut client = client.kv_client();
        async move { client.put(format!("/bench/c{i}"), config_map(&format!("c{i}")), None).await.map(drop).map_err(Into::into) }
    })
    .await?;
    report.add(name, "create", put.per_second, "1/s");
    report.add(name, "create p99", put.p99_ms, "ms");
    let used = worked(etcd.id())?.saturating_sub(before);
    report.add(name, "create, CPU of etcd", used.as_secs_f64() * 1e6 / size.objects as f64, "µs");
    report.add(name, "memory loaded", resident(etcd.id())?, "MB");
    Ok(())
}

/// Events that many watchers see together while objects change again and again: a second, and a second of the server's CPU
/// time. One writer waits for each answer; of many each has an object of its own.
async fn fan_out(subject: &Subject, wire: &Wire, size: &Size, writers: usize, report: &mut Report) -> Result<()> {
    let pool = Pool::new(wire.clone());
    let space = format!("watched{writers}");
    let namespace = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{space}"}}}}"#);
    pool.send(Ask::post("/api/v1/namespaces", namespace)).await?;
    let path = format!("/api/v1/namespaces/{space}/configmaps");
    for i in 0..writers {
        pool.send(Ask::post(&path, config_map(&format!("c{i}")))).await?;
    }
    let mut tasks = vec![];
    for _ in 0..size.watchers {
        let ask = Ask::get(format!("{path}?watch=1"));
        tasks.push(tokio::spawn(follow(wire.stream(ask).await?, size.changes)));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (start, before) = (Instant::now(), used(subject)?);
    calls(size.changes, writers, move |i| {
        let body = serde_json::json!({"data": {"text": format!("change {i} {}", "0123456789abcdef".repeat(24))}}).to_string();
        let (pool, path) = (pool.clone(), format!("{path}/c{}", i % writers));
        async move { pool.send(Ask::merge(path, body)).await.map(drop) }
    })
    .await?;
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task).await.context("waiting for the last event")???;
    }
    let events = (size.watchers * size.changes) as f64;
    let what = if writers == 1 { "watch events".into() } else { format!("watch events, {writers} writers") };
    report.add(subject.name, what.clone(), events / start.elapsed().as_secs_f64(), "1/s");
    let cost = used(subject)?.0.saturating_sub(before.0).as_secs_f64();
    report.add(subject.name, format!("{what} for a second of CPU"), events / cost.max(0.01), "1/s");
    Ok(())
}

/// Reads whole events until an object has changed so many times.
async fn follow(mut stream: Incoming, changes: usize) -> Result<()> {
    let (mut seen, mut line) = (0, Vec::new());
    while seen < changes {
        let Some(frame) = stream.frame().await else { anyhow::bail!("a watch ended after {seen} events") };
        let Ok(data) = frame?.into_data() else { continue };
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                seen += usize::from(line.starts_with(br#"{"type":"MODIFIED""#) && line.ends_with(b"}}\n"));
                line.clear();
            }
        }
    }
    Ok(())
}
