//! A kube-apiserver with its own etcd and no node: host of nothing, or the oracle of comparisons.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

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
    etcd: Running,
    etcd_port: u16,
}

/// Token of its administrator, in group system:masters.
const TOKEN: &str = "kit-administrator";

impl ApiServer {
    /// Starts etcd and kube-apiserver on free ports with state in `dir`, and waits until it is ready.
    pub fn start(dir: &Path, options: Options) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (etcd_port, peer_port, port) = (free_port()?, free_port()?, free_port()?);
        let mut command = Command::new(programs::find("etcd")?);
        command.arg("--data-dir").arg(dir.join("etcd"));
        for (flag, port) in [
            ("listen-client-urls", etcd_port),
            ("advertise-client-urls", etcd_port),
            ("listen-peer-urls", peer_port),
            ("initial-advertise-peer-urls", peer_port),
        ] {
            command.arg(format!("--{flag}=http://127.0.0.1:{port}"));
        }
        command.arg(format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"));
        if !options.fsync {
            command.arg("--unsafe-no-fsync");
        }
        let etcd = Running::start(&command, &dir.join("etcd.log"))?;

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
        command.arg(format!("--secure-port={port}")).arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"));
        let mut server = Running::start(&command, &dir.join("apiserver.log"))?;

        let kubeconfig = dir.join("admin.kubeconfig");
        kubeconfig::write(&[context("oracle", port)], &kubeconfig)?;
        let kubectl = programs::find("kubectl")?;
        let ready = || output(Command::new(&kubectl).arg("--kubeconfig").arg(&kubeconfig).args(["get", "--raw", "/readyz"])).is_ok();
        server.wait_until(Duration::from_secs(90), ready)?;
        let controllers = if options.controllers { Some(start_controllers(dir, &kubeconfig)?) } else { None };
        Ok(Self { port, dir: dir.to_owned(), _controllers: controllers, server, etcd, etcd_port })
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

    /// Client URL of its etcd.
    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_port)
    }

    /// Process ids of etcd and the API server, to measure them.
    pub fn process_ids(&self) -> (u32, u32) {
        (self.etcd.id(), self.server.id())
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
