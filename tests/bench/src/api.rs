//! Requests to one API server.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Method, Request};
use kit::Etcd;

use crate::client::{config_map, send};
use crate::measure::{calls, resident};
use crate::report::{Report, progress};
use crate::servers::{self, Subject};

const PATH: &str = "/api/v1/namespaces/bench/configmaps";

#[derive(clap::Args)]
pub(crate) struct Size {
    /// ConfigMaps to create; LIST reads them all
    #[arg(long, default_value_t = 3000)]
    objects: usize,
    /// Connections at once
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Objects read one by one
    #[arg(long, default_value_t = 10_000)]
    gets: usize,
    /// Lists
    #[arg(long, default_value_t = 60)]
    lists: usize,
    /// Watchers at once
    #[arg(long, default_value_t = 200)]
    watchers: usize,
    /// Changes that each watcher sees
    #[arg(long, default_value_t = 100)]
    changes: usize,
}

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
    let workers = size.connections;
    report.add(name, "start to ready", subject.start.as_secs_f64() * 1e3, "ms");
    report.add(name, "memory idle", resident(subject.pid)?, "MB");
    let namespace = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"bench"}}"#;
    send(&subject.client, Method::POST, "/api/v1/namespaces", namespace).await.context("creating the namespace")?;

    let client = subject.client.clone();
    let create = calls(size.objects, workers, move |i| {
        let client = client.clone();
        async move { send(&client, Method::POST, PATH, config_map(&format!("c{i}"))).await.map(drop) }
    })
    .await
    .context("create")?;
    report.add(name, "create", create.per_second, "1/s");
    report.add(name, "create p99", create.p99_ms, "ms");

    let client = subject.client.clone();
    let get = calls(size.gets, workers, move |_| {
        let client = client.clone();
        async move { send(&client, Method::GET, &format!("{PATH}/c7"), "").await.map(drop) }
    })
    .await
    .context("get")?;
    report.add(name, "get", get.per_second, "1/s");
    report.add(name, "get p99", get.p99_ms, "ms");

    let client = subject.client.clone();
    let list = calls(size.lists, 4, move |_| {
        let client = client.clone();
        async move {
            let bytes = send(&client, Method::GET, &format!("{PATH}?resourceVersion=0"), "").await?;
            ensure!(bytes > 100, "an empty list");
            Ok(())
        }
    })
    .await
    .context("list")?;
    report.add(name, "list", list.per_second, "1/s");

    report.add(name, "watch events", fan_out(subject, size).await.context("watch")?, "1/s");
    report.add(name, "memory loaded", resident(subject.pid)?, "MB");
    Ok(())
}

/// The floor of every API server over etcd: the same bodies, put into it without one.
async fn measure_etcd(dir: &Path, size: &Size, report: &mut Report) -> Result<()> {
    let name = "etcd alone";
    progress(&format!("measuring {name}"));
    let etcd = Etcd::start(&dir.join("alone"), true)?;
    let client = etcd_client::Client::connect([etcd.url()], None).await?;
    let put = calls(size.objects, size.connections, move |i| {
        let mut client = client.kv_client();
        async move { client.put(format!("/bench/c{i}"), config_map(&format!("c{i}")), None).await.map(drop).map_err(Into::into) }
    })
    .await?;
    report.add(name, "create", put.per_second, "1/s");
    report.add(name, "create p99", put.p99_ms, "ms");
    report.add(name, "memory loaded", resident(etcd.id())?, "MB");
    Ok(())
}

/// Events a second that many watchers see together while one object changes again and again.
async fn fan_out(subject: &Subject, size: &Size) -> Result<f64> {
    send(&subject.client, Method::POST, PATH, config_map("watched")).await?;
    let path = format!("{PATH}?watch=1&fieldSelector=metadata.name%3Dwatched");
    let mut tasks = vec![];
    for _ in 0..size.watchers {
        let stream = subject.client.request_stream(Request::get(&path).body(vec![])?).await?;
        let changes = size.changes;
        tasks.push(tokio::spawn(async move {
            let mut lines = std::pin::pin!(stream.lines());
            let mut seen = 0;
            while seen < changes {
                match lines.try_next().await? {
                    Some(line) if line.starts_with(r#"{"type":"MODIFIED""#) => seen += 1,
                    Some(_) => {}
                    None => anyhow::bail!("a watch ended after {seen} events"),
                }
            }
            Ok::<_, anyhow::Error>(())
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    for i in 0..size.changes {
        let body = serde_json::json!({"data": {"text": format!("change {i} {}", "0123456789abcdef".repeat(30))}}).to_string();
        let request =
            Request::patch(format!("{PATH}/watched")).header("content-type", "application/merge-patch+json").body(body.into_bytes())?;
        subject.client.request_text(request).await?;
    }
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task).await.context("waiting for the last event")???;
    }
    Ok((size.watchers * size.changes) as f64 / start.elapsed().as_secs_f64())
}
