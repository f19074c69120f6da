//! The controller manager under test, with the federation as its own host: the members' secrets lie there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use http::{Method, Request};
use kit::kubeconfig::{self, Login};
use kit::process::{Running, free_port};
use serde_json::json;

use crate::client::send;
use crate::servers::Subject;

const PATIENCE: Duration = Duration::from_secs(120);

/// A member to be joined.
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) token: String,
}

fn context(name: &str, server: &str, token: &str) -> kubeconfig::Context {
    kubeconfig::Context { name: name.into(), server: server.into(), ca: None, login: Login::Token(token.into()) }
}

/// Joins the members: a Cluster and a secret for each.
pub(crate) async fn join(federation: &Subject, members: &[Site]) -> Result<()> {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "federation-system"}});
    send(&federation.client, Method::POST, "/api/v1/namespaces", space.to_string()).await?;
    for Site { name, url, token } in members {
        let config = kubeconfig::render(&[context(name, url, token)]).to_string();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"kubeconfig": config}});
        let cluster = json!({
            "apiVersion": "federation/v1beta1", "kind": "Cluster", "metadata": {"name": name},
            "spec": {"serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": url}], "secretRef": {"name": name}},
        });
        send(&federation.client, Method::POST, "/api/v1/namespaces/federation-system/secrets", secret.to_string()).await?;
        send(&federation.client, Method::POST, "/apis/federation/v1beta1/clusters", cluster.to_string()).await?;
    }
    Ok(())
}

/// How the controller manager is started.
pub(crate) struct Manager {
    fcp: PathBuf,
    config: PathBuf,
    log: PathBuf,
}

impl Manager {
    pub(crate) fn new(fcp: &Path, dir: &Path, federation: &Subject) -> Result<Self> {
        let config = dir.join("federation.kubeconfig");
        kubeconfig::write(&[context("federation", &federation.url, federation.token)], &config)?;
        Ok(Self { fcp: fcp.to_owned(), config, log: dir.join("manager.log") })
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut command = Command::new(&self.fcp);
        command.arg("federation-controller-manager").arg("--kubeconfig").arg(&self.config).arg("--host-kubeconfig").arg(&self.config);
        command.args(["--host-namespace=federation-system", "--federation-name=bench", "--address=127.0.0.1", "--leader-elect=false"]);
        command.arg("--controllers=service-dns=false").arg(format!("--port={}", free_port()?));
        Running::start(&command, &self.log)
    }
}

/// Waits until all members are ready.
pub(crate) async fn until_ready(federation: &Subject, members: usize, manager: &Running) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let clusters = federation.client.request_text(Request::get("/apis/federation/v1beta1/clusters").body(vec![])?).await?;
        if clusters.matches("ClusterReady").count() == members {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("the members did not become ready: {clusters}\n{}", manager.last_lines());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
