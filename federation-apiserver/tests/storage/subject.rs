//! What the battery is run on.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use federation_apiserver::storage::Backend;
use federation_apiserver::storage::embedded::Embedded;
use federation_apiserver::storage::etcd::{Etcd, EtcdConfig};
use federation_apiserver::storage::store::{Store, Tuning};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Subject {
    pub(crate) backend: Arc<dyn Backend>,
    // Dropped behind the backend.
    _etcd: Option<EtcdServer>,
    _dir: Option<TempDir>,
}

impl Subject {
    pub(crate) fn memory() -> Self {
        Self { backend: Arc::new(Embedded::in_memory()), _etcd: None, _dir: None }
    }

    pub(crate) fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { backend: Arc::new(Embedded::open(dir.path()).unwrap()), _etcd: None, _dir: Some(dir) }
    }

    pub(crate) async fn etcd() -> Self {
        let server = EtcdServer::start();
        Self { backend: Arc::new(server.client().await), _etcd: Some(server), _dir: None }
    }

    /// A store with short times.
    pub(crate) fn store(&self) -> Arc<Store> {
        Store::open_with(self.backend.clone(), quick())
    }
}

pub(crate) fn quick() -> Tuning {
    Tuning { history: Duration::from_secs(3600), bookmark: Duration::from_millis(300), wait: Duration::from_secs(2), ..Tuning::default() }
}

/// An etcd process with a data directory of its own.
pub(crate) struct EtcdServer {
    child: Child,
    dir: TempDir,
    member: Member,
    tls: Option<Tls>,
}

/// How etcd is started, and started again.
#[derive(Clone)]
struct Member {
    name: String,
    client: u16,
    peer: u16,
    /// `name=url` of all members.
    cluster: String,
}

impl Member {
    /// Members of one cluster.
    fn cluster_of(size: usize) -> Vec<Self> {
        let ports: Vec<_> = (0..size).map(|_| free_ports()).collect();
        let name = |n| format!("t{n}");
        let cluster = ports.iter().enumerate().map(|(n, (_, peer))| format!("{}=http://127.0.0.1:{peer}", name(n)));
        let cluster = cluster.collect::<Vec<_>>().join(",");
        let member = |(n, (client, peer))| Self { name: name(n), client, peer, cluster: cluster.clone() };
        ports.into_iter().enumerate().map(member).collect()
    }
}

impl EtcdServer {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// Speaks TLS, and only with those who show a certificate.
    pub(crate) fn start_tls() -> Self {
        Self::start_with(Some(Tls::new()))
    }

    fn start_with(tls: Option<Tls>) -> Self {
        let server = Self::spawned(Member::cluster_of(1).remove(0), tls);
        server.wait();
        server
    }

    /// The members of one cluster; it works when [`EtcdServer::joined`] of each has come back.
    pub(crate) fn start_cluster(size: usize) -> Vec<Self> {
        let members: Vec<_> = Member::cluster_of(size).into_iter().map(|member| Self::spawned(member, None)).collect();
        members.iter().for_each(Self::wait);
        members
    }

    fn spawned(member: Member, tls: Option<Tls>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(dir.path(), &member, tls.as_ref());
        Self { child, dir, member, tls }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.member.client)
    }

    /// The settings to reach it.
    pub(crate) fn config(&self) -> EtcdConfig {
        let file = |name| self.tls.as_ref().map(|tls| tls.0.path().join(name));
        EtcdConfig {
            servers: vec![self.url()],
            prefix: String::new(),
            ca_file: file("ca.crt"),
            cert_file: file("tls.crt"),
            key_file: file("tls.key"),
            largest_answer: None,
        }
    }

    pub(crate) async fn client(&self) -> Etcd {
        Etcd::connect(&self.config()).await.unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), &self.member, self.tls.as_ref());
        self.wait();
    }

    /// Lets it hang (`STOP`) or go on (`CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Comes back when it has a leader and all that was written.
    pub(crate) async fn joined(&self) {
        let client = self.client().await;
        soon(async {
            while client.revision().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// The same address with nothing in it.
    pub(crate) fn lose_data(&mut self) {
        self.dir = tempfile::tempdir().unwrap();
    }

    /// A copy of what it holds; it must not run.
    pub(crate) fn backup(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        let done = Command::new("cp").arg("-a").arg(self.dir.path().join("member")).arg(copy.path()).status().unwrap();
        assert!(done.success());
        copy
    }

    /// Holds what it held when the copy was made.
    pub(crate) fn restore(&mut self, copy: TempDir) {
        self.dir = copy;
    }

    #[expect(clippy::disallowed_methods, reason = "a process is waited for on the thread of its test")]
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.member.client)).is_err() {
            assert!(Instant::now() < deadline, "etcd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports() -> (u16, u16) {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    (ports[0].local_addr().unwrap().port(), ports[1].local_addr().unwrap().port())
}

/// A CA and one certificate of it, for server and client alike.
struct Tls(TempDir);

impl Tls {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "etcd");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &ca).unwrap();
        for (name, pem) in [("ca.crt", ca.pem()), ("tls.crt", cert.pem()), ("tls.key", key.serialize_pem())] {
            std::fs::write(dir.path().join(name), pem).unwrap();
        }
        Self(dir)
    }
}

fn spawn(dir: &Path, member: &Member, tls: Option<&Tls>) -> Child {
    let program = std::env::var("ETCD").unwrap_or_else(|_| "etcd".into());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (client, peer) = (format!("{scheme}://127.0.0.1:{}", member.client), format!("http://127.0.0.1:{}", member.peer));
    let mut command = Command::new(&program);
    if let Some(Tls(dir)) = tls {
        command.arg("--client-cert-auth");
        for (flag, file) in [("trusted-ca-file", "ca.crt"), ("cert-file", "tls.crt"), ("key-file", "tls.key")] {
            command.arg(format!("--{flag}={}", dir.path().join(file).display()));
        }
    }
    command.args(["--log-level=error", "--logger=zap"]).arg(format!("--data-dir={}", dir.display()));
    for (flag, value) in [
        ("name", &member.name),
        ("listen-client-urls", &client),
        ("advertise-client-urls", &client),
        ("listen-peer-urls", &peer),
        ("initial-advertise-peer-urls", &peer),
        ("initial-cluster", &member.cluster),
    ] {
        command.arg(format!("--{flag}={value}"));
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{program} is needed for this test (Debian package etcd-server): {e}"))
}

/// A ConfigMap with a label and a number.
pub(crate) fn map(name: &str, app: &str, n: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"app": app}},
        "data": {"n": n.to_string()}})
}

/// Fails the test when something takes too long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes too long")
}
