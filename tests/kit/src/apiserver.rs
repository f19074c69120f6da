//! A kube-apiserver with its own etcd and no node: host of nothing, or the oracle of comparisons.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::etcd::Etcd;
use crate::kubeconfig::{self, Context, Login};
use crate::process::{Running, free_port, output};
use crate::programs;

/// What the API server is started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// etcd writes to the disk before it answers; for benchmarks.
    pub fsync: bool,
    /// Also runs kube-controller-manager (service account tokens, namespaces, garbage).
    pub controllers: bool,
}

/// A running API server; gone when dropped.
#[derive(Debug)]
pub struct ApiServer {
    port: u16,
    dir: PathBuf,
    _controllers: Option<Running>,
    server: Running,
    etcd: Etcd,
    ready_after: Duration,
}

/// Token of its administrator, in group system:masters.
const TOKEN: &str = "kit-administrator";

impl ApiServer {
    /// Starts etcd and kube-apiserver on free ports with state in `dir`, and waits until it is ready.
    pub fn start(dir: &Path, options: Options) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let etcd = Etcd::start(dir, options.fsync)?;
        let port = free_port()?;
        std::fs::write(dir.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        if !dir.join("sa.key").exists() {
            let key = ["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "sa.key"];
            output(Command::new("openssl").args(key).current_dir(dir))?;
        }
        let mut command = Command::new(programs::find("kube-apiserver")?);
        command.current_dir(dir).args([
            "--bind-address=127.0.0.1",
            "--cert-dir=certs",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
        ]);
        command.args(["--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=198.19.255.0/24"]);
        command.args(["--service-account-key-file=sa.key", "--service-account-signing-key-file=sa.key"]);
        command.arg(format!("--secure-port={port}")).arg(format!("--etcd-servers={}", etcd.url()));
        let start = Instant::now();
        let mut server = Running::start(&command, &dir.join("apiserver.log"))?;

        let kubeconfig = dir.join("admin.kubeconfig");
        kubeconfig::write(&[context("oracle", port)], &kubeconfig)?;
        let kubectl = programs::find("kubectl")?;
        let ready = || output(Command::new(&kubectl).arg("--kubeconfig").arg(&kubeconfig).args(["get", "--raw", "/readyz"])).is_ok();
        server.wait_until(Duration::from_secs(90), ready)?;
        let ready_after = start.elapsed();
        let controllers = if options.controllers { Some(start_controllers(dir, &kubeconfig)?) } else { None };
        Ok(Self { port, dir: dir.to_owned(), _controllers: controllers, server, etcd, ready_after })
    }

    /// `https://127.0.0.1:port`; its certificate is self-signed.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Bearer token of its administrator.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Kubeconfig of its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// The administrator's context under a name of the caller's choice.
    pub fn context(&self, name: &str) -> Context {
        context(name, self.port)
    }

    /// Process id of kube-apiserver, to measure it.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Where it stores.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// From the start of kube-apiserver, with etcd up, to its first ready answer.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }
}

fn context(name: &str, port: u16) -> Context {
    Context { name: name.into(), server: format!("https://127.0.0.1:{port}"), ca: None, login: Login::Token(TOKEN.into()) }
}

fn start_controllers(dir: &Path, kubeconfig: &Path) -> Result<Running> {
    let mut command = Command::new(programs::find("kube-controller-manager")?);
    command
        .current_dir(dir)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--leader-elect=false", "--service-account-private-key-file=sa.key"]);
    command.args(["--root-ca-file=certs/apiserver.crt", "--bind-address=127.0.0.1"]).arg(format!("--secure-port={}", free_port()?));
    Running::start(&command, &dir.join("controllers.log"))
}
