//! What it costs to spread many objects over many members: processor time, requests and memory for each object in
//! each member.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use http::{Method, Request};
use kit::process::Running;
use kube::Client;
use serde_json::json;

use crate::client::{config_map, send};
use crate::hollow::Members;
use crate::manager::{self, Manager, Site};
use crate::measure::{calls, resident, worked};
use crate::report::{Report, progress};
use crate::servers::{self, Subject};

/// Nothing new for so long is quiet.
const QUIET: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(170);
/// What is counted of the federation and of members: what goes on by itself is left out.
const FEDERATION: [&str; 3] = ["configmaps", "propagationrecords", "events"];
const MEMBER: [&str; 1] = ["configmaps"];

/// How many.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) members: usize,
    pub(crate) objects: usize,
    pub(crate) connections: usize,
}

/// Requests by verb and resource.
type Requests = BTreeMap<(String, String), f64>;

pub(crate) async fn run(fcp: &Path, size: Spread) -> Result<Report> {
    let Spread { members, objects, connections } = size;
    let dir = tempfile::tempdir()?;
    let mut report = Report::default();
    let name = format!("{members} × {objects}");
    progress(&format!("measuring {objects} objects into {members} hollow members"));
    let hollow = Members::start(members, dir.path())?;
    let federation = servers::federation(fcp, dir.path()).await?;
    let site = |(i, url): (usize, &String)| Site { name: format!("member{i}"), url: url.clone(), token: Members::TOKEN.into() };
    manager::join(&federation, &hollow.urls.iter().enumerate().map(site).collect::<Vec<_>>()).await?;
    let starter = Manager::new(fcp, dir.path(), &federation)?;
    let mut running = starter.start()?;
    manager::until_ready(&federation, members, &running).await?;
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}).to_string();
    send(&federation.client, Method::POST, "/api/v1/namespaces", space).await?;
    let mut world = World { federation, hollow, manager: running };
    world.quiet(|_| true).await?;

    let before = world.look().await?;
    let start = Instant::now();
    let client = world.federation.client.clone();
    let made = calls(objects, connections, move |i| {
        let client = client.clone();
        async move { send(&client, Method::POST, "/api/v1/namespaces/bench/configmaps", config_map(&format!("c{i}"))).await.map(drop) }
    })
    .await?;
    let copies = (members * objects) as f64;
    let from = writes(&before.members);
    let written = move |look: &Look| writes(&look.members) - from >= copies;
    let end = world.quiet(written).await?;
    let after = world.look().await?;
    let mut add = |what: &str, value: f64, unit: &'static str| report.add(&name, what, value, unit);
    let took = end.saturating_duration_since(start).as_secs_f64();
    add("created", made.per_second, "1/s");
    add("until quiet", took, "s");
    add("member objects", copies / took, "1/s");
    for (what, of) in [("controller manager", 0), ("federation", 1), ("members", 2)] {
        add(&format!("CPU of the {what}, a member object"), (after.worked[of] - before.worked[of]).as_secs_f64() * 1e6 / copies, "µs");
    }
    add("memory of the controller manager", after.memory, "MB");
    add("memory, a member object", (after.memory - before.memory) * 1e3 / copies, "kB");
    for (verb, count) in difference(&after.federation, &before.federation) {
        add(&format!("federation: {verb}, an object"), count / objects as f64, "");
    }
    for (verb, count) in difference(&after.members, &before.members) {
        add(&format!("members: {verb}, a member object"), count / copies, "");
    }

    world.manager.kill();
    let before = world.look().await?;
    let start = Instant::now();
    running = starter.start()?;
    world.manager = running;
    let from = lists(&before.members);
    let end = world.quiet(move |look| lists(&look.members) - from >= members as f64).await?;
    let after = world.look().await?;
    add("restart: until quiet", end.saturating_duration_since(start).as_secs_f64(), "s");
    add("restart: member writes", writes(&after.members) - writes(&before.members), "");
    add("restart: federation writes", writes(&after.federation) - writes(&before.federation), "");
    add("restart: CPU of the controller manager", after.worked[0].as_secs_f64(), "s");
    add("restart: memory of the controller manager", after.memory, "MB");
    Ok(report)
}

/// All processes.
struct World {
    federation: Subject,
    hollow: Members,
    manager: Running,
}

/// What they did until now.
struct Look {
    /// Processor time of the controller manager, the federation and the members.
    worked: [Duration; 3],
    /// Of the controller manager, in megabytes.
    memory: f64,
    federation: Requests,
    members: Requests,
}

impl World {
    async fn look(&self) -> Result<Look> {
        let ids = [self.manager.id(), self.federation.pid, self.hollow.process.id()];
        // One that was killed has done nothing.
        Ok(Look {
            worked: ids.map(|id| worked(id).unwrap_or_default()),
            memory: resident(ids[0]).unwrap_or_default(),
            federation: requests(&self.federation.client, &FEDERATION).await?,
            members: requests(&self.hollow.client, &MEMBER).await?,
        })
    }

    /// When the last thing happened, once nothing has for a while, neither requests nor work, and `done` agrees. As long as the
    /// controller manager works, the servers are not asked what they counted: that would be work of theirs too.
    async fn quiet(&self, done: impl Fn(&Look) -> bool) -> Result<Instant> {
        let begin = Instant::now();
        let (mut last, mut known) = (begin, self.look().await?);
        let (mut worked_until, mut was_busy) = (known.worked[0], false);
        loop {
            tokio::time::sleep(QUIET / 10).await;
            let now = worked(self.manager.id()).unwrap_or_default();
            // A processor that works 20 ms of 100 is not quiet; health checks take less.
            let busy = now.saturating_sub(std::mem::replace(&mut worked_until, now)) > QUIET / 50;
            if busy {
                last = Instant::now();
            } else {
                let look = self.look().await?;
                // What was done while it was busy is no news.
                let same = was_busy || (look.federation == known.federation && look.members == known.members);
                if !same || !done(&look) {
                    last = Instant::now();
                }
                known = look;
            }
            was_busy = busy;
            if last.elapsed() >= QUIET {
                return Ok(last);
            }
            if begin.elapsed() > PATIENCE {
                bail!("not quiet within {} s; the controller manager says:\n{}", PATIENCE.as_secs(), self.manager.last_lines());
            }
        }
    }
}

/// What a server counted, of some resources.
async fn requests(client: &Client, resources: &[&str]) -> Result<Requests> {
    let text = client.request_text(Request::get("/metrics").body(vec![])?).await?;
    let mut all = Requests::new();
    for line in text.lines().filter_map(|l| l.strip_prefix("apiserver_request_total{")) {
        let Some((labels, count)) = line.rsplit_once("} ") else { continue };
        let label = |name: &str| labels.split(',').find_map(|l| l.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'));
        let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else { continue };
        if resources.contains(&resource) {
            *all.entry((verb.to_owned(), resource.to_owned())).or_default() += count.parse::<f64>()?;
        }
    }
    Ok(all)
}

fn sum(requests: &Requests, of: impl Fn(&str) -> bool) -> f64 {
    requests.iter().filter(|((verb, _), _)| of(verb)).map(|(_, count)| count).sum()
}

fn writes(requests: &Requests) -> f64 {
    sum(requests, |verb| ["POST", "PUT", "PATCH", "DELETE"].contains(&verb))
}

fn lists(requests: &Requests) -> f64 {
    sum(requests, |verb| verb == "LIST")
}

/// What was asked between two looks, as `VERB resource`.
fn difference(after: &Requests, before: &Requests) -> Vec<(String, f64)> {
    let before = |key| before.get(key).copied().unwrap_or_default();
    let all = after.iter().map(|(key, count)| (format!("{} {}", key.0, key.1), count - before(key)));
    all.filter(|(_, count)| *count > 0.0).collect()
}
