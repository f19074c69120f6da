//! The subjects: our API server over both stores, and kube-apiserver.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use kit::process::{Running, free_port};
use kit::{ApiServer, Etcd, Options};
use kube::Client;

use crate::client::connect;

const TOKEN: &str = "bench-administrator";

/// A running subject.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) token: &'static str,
    pub(crate) pid: u32,
    /// Its etcd, where it has one.
    pub(crate) etcd: Option<u32>,
    /// From start to the first ready answer.
    pub(crate) start: Duration,
    _processes: Processes,
}

enum Processes {
    Ours { _server: Running, _etcd: Option<Etcd> },
    Peer { _server: ApiServer },
}

/// Our API server over the embedded store.
pub(crate) async fn embedded(fcp: &Path, dir: &Path) -> Result<Subject> {
    let dir = dir.join("embedded");
    let data = dir.join("data").display().to_string();
    ours("ours, embedded", fcp, &dir, &["--storage=embedded", "--data-dir", &data], None).await
}

/// A federation's API server over the embedded store, as `kubefed init` starts it.
pub(crate) async fn federation(fcp: &Path, dir: &Path) -> Result<Subject> {
    let dir = dir.join("federation");
    let data = dir.join("data").display().to_string();
    let options = ["--storage=embedded", "--data-dir", &data, "--enable-admission-plugins=FederationFinalizers"];
    ours("federation", fcp, &dir, &options, None).await
}

/// Our API server over etcd.
pub(crate) async fn etcd(fcp: &Path, dir: &Path) -> Result<Subject> {
    let dir = dir.join("etcd");
    let etcd = Etcd::start(&dir, true)?;
    let servers = format!("--etcd-servers={}", etcd.url());
    ours("ours, etcd", fcp, &dir, &["--storage=etcd", &servers], Some(etcd)).await
}

async fn ours(name: &'static str, fcp: &Path, dir: &Path, storage: &[&str], etcd: Option<Etcd>) -> Result<Subject> {
    std::fs::create_dir_all(dir)?;
    let port = free_port()?;
    let tokens = dir.join("tokens.csv");
    std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))?;
    let mut command = Command::new(fcp);
    command.arg("federation-apiserver").args(["--bind-address=127.0.0.1", "--authorization-mode=RBAC"]).args(storage);
    command.arg(format!("--secure-port={port}")).arg("--cert-dir").arg(dir.join("certs")).arg("--token-auth-file").arg(&tokens);
    let url = format!("https://127.0.0.1:{port}");
    let client = connect(&url, TOKEN)?;
    let start = Instant::now();
    let server = Running::start(&command, &dir.join("server.log"))?;
    let end = start + Duration::from_secs(20);
    while client.request_text(http::Request::get("/readyz").body(vec![])?).await.is_err() {
        anyhow::ensure!(Instant::now() < end, "{name} was not ready within 20 s:\n{}", server.last_lines());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let start = start.elapsed();
    let (pid, etcd_pid) = (server.id(), etcd.as_ref().map(Etcd::id));
    Ok(Subject {
        name,
        client,
        url,
        token: TOKEN,
        pid,
        etcd: etcd_pid,
        start,
        _processes: Processes::Ours { _server: server, _etcd: etcd },
    })
}

/// kube-apiserver with its own etcd, which writes to the disk before it answers.
pub(crate) fn peer(dir: &Path) -> Result<Subject> {
    let server = ApiServer::start(&dir.join("peer"), Options { fsync: true, controllers: false })?;
    let client = connect(&server.url(), server.token())?;
    Ok(Subject {
        name: "kube-apiserver",
        client,
        url: server.url(),
        token: server.token(),
        pid: server.id(),
        etcd: Some(server.etcd().id()),
        start: server.ready_after(),
        _processes: Processes::Peer { _server: server },
    })
}
