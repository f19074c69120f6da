//! From the federation into a member: how soon one object is there, how soon many are, and how
//! that compares with what the same member takes from a bare client.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Method, Request};
use kit::process::Running;
use kube::Client;
use serde_json::json;

use crate::client::{config_map, send};
use crate::manager::{self, Manager, Site};
use crate::measure::calls;
use crate::report::{Report, progress};
use crate::servers::{self, Subject};
use crate::spread::{self, Spread};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Size {
    /// ConfigMaps created at once
    #[arg(long, default_value_t = 500)]
    objects: usize,
    /// ConfigMaps created one after the other, for the latency of one
    #[arg(long, default_value_t = 50)]
    singles: usize,
    /// Connections at once
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Hollow members, in a process of their own: what each object costs in each of them is measured instead
    #[arg(long)]
    members: Option<usize>,
}

pub(crate) async fn run(fcp: &Path, with_peer: bool, size: &Size) -> Result<Report> {
    if let Some(members) = size.members {
        return spread::run(fcp, Spread { members, objects: size.objects, connections: size.connections }).await;
    }
    let dir = tempfile::tempdir()?;
    let mut report = Report::default();
    measure("member: ours", fcp, dir.path(), &servers::embedded(fcp, &dir.path().join("member")).await?, size, &mut report).await?;
    if with_peer {
        measure("member: kube-apiserver", fcp, dir.path(), &servers::peer(&dir.path().join("member"))?, size, &mut report).await?;
    }
    Ok(report)
}

async fn measure(name: &'static str, fcp: &Path, dir: &Path, member: &Subject, size: &Size, report: &mut Report) -> Result<()> {
    progress(&format!("measuring propagation into a {name}"));
    let dir = dir.join(if name.ends_with("ours") { "ours" } else { "peer" });
    std::fs::create_dir_all(&dir)?;
    let federation = servers::federation(fcp, &dir).await?;
    let site = Site { name: "member".into(), url: member.url.clone(), token: member.token.into() };
    manager::join(&federation, &[site]).await?;
    let manager = Manager::new(fcp, &dir, &federation)?.start()?;
    manager::until_ready(&federation, 1, &manager).await?;
    let space = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
    send(&member.client, Method::POST, "/api/v1/namespaces", space("bare")).await?;
    send(&federation.client, Method::POST, "/api/v1/namespaces", space("bench")).await?;

    let client = member.client.clone();
    let bare = calls(size.objects, size.connections, move |i| {
        let client = client.clone();
        async move { send(&client, Method::POST, "/api/v1/namespaces/bare/configmaps", config_map(&format!("c{i}"))).await.map(drop) }
    })
    .await
    .context("creating in the member without a federation")?;
    report.add(name, "bare client", bare.per_second, "1/s");

    let mut took = vec![];
    for i in 0..size.singles {
        let seen = watch(&member.client, &format!("single{i}"), 1).await?;
        let start = create(&federation.client, &format!("single{i}")).await?;
        took.push(arrival(seen, &manager).await? - start);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort();
    report.add(name, "one object, p50", took[took.len() / 2].as_secs_f64() * 1e3, "ms");
    report.add(name, "one object, slowest", took[took.len() - 1].as_secs_f64() * 1e3, "ms");

    let seen = watch(&member.client, "", size.objects + size.singles).await?;
    let start = Instant::now();
    let client = federation.client.clone();
    calls(size.objects, size.connections, move |i| {
        let client = client.clone();
        async move { create(&client, &format!("many{i}")).await.map(drop) }
    })
    .await
    .context("creating in the federation")?;
    let total = arrival(seen, &manager).await? - start;
    report.add(name, "many objects", total.as_secs_f64(), "s");
    report.add(name, "many objects, rate", size.objects as f64 / total.as_secs_f64(), "1/s");
    report.add(name, "controller manager memory", crate::measure::resident(manager.id())?, "MB");
    Ok(())
}

/// Creates one and answers when the server had answered.
async fn create(client: &Client, name: &str) -> Result<Instant> {
    send(client, Method::POST, "/api/v1/namespaces/bench/configmaps", config_map(name)).await?;
    Ok(Instant::now())
}

type Seen = tokio::task::JoinHandle<Result<Instant>>;

/// When so many ConfigMaps whose name starts like this were seen in the member.
async fn watch(client: &Client, prefix: &str, count: usize) -> Result<Seen> {
    let path = "/api/v1/namespaces/bench/configmaps?watch=1&labelSelector=bench%3Dyes";
    let mut lines = Box::pin(client.request_stream(Request::get(path).body(vec![])?).await?.lines());
    let mark = format!("\"name\":\"{prefix}");
    Ok(tokio::spawn(async move {
        let mut seen = 0;
        while let Some(line) = lines.try_next().await? {
            if line.starts_with(r#"{"type":"ADDED""#) && line.contains(&mark) {
                seen += 1;
                if seen == count {
                    return Ok(Instant::now());
                }
            }
        }
        bail!("the member's watch ended after {seen} of {count} objects")
    }))
}

async fn arrival(seen: Seen, manager: &Running) -> Result<Instant> {
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(instant) => instant?,
        Err(_) => bail!("not all objects arrived within {} s; the controller manager says:\n{}", PATIENCE.as_secs(), manager.last_lines()),
    }
}
