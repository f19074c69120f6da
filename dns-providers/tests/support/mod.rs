//! Processes and queries for the tests of this crate.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test target uses its own part")]
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]
#![allow(clippy::print_stderr, reason = "what is installed is told")]

pub mod hosted;
pub mod nameserver;
pub mod proxy;
pub mod route53;
pub mod xml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_providers::{Change, Data, DnsName, Error, Kind, Provider, RecordSet, Rejected, Zone};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

pub fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

pub fn a(at: &str, ips: &[&str]) -> RecordSet {
    RecordSet { name: name(at), ttl: 180, data: Data::A(ips.iter().map(|ip| ip.parse().unwrap()).collect()) }
}

pub fn aaaa(at: &str, ips: &[&str]) -> RecordSet {
    RecordSet { name: name(at), ttl: 180, data: Data::Aaaa(ips.iter().map(|ip| ip.parse().unwrap()).collect()) }
}

pub fn cname(at: &str, to: &str) -> RecordSet {
    RecordSet { name: name(at), ttl: 180, data: Data::Cname(name(to)) }
}

pub fn upsert(at: &str, ips: &[&str]) -> Change {
    Change::Upsert(a(at, ips))
}

pub fn delete(at: &str, kind: Kind) -> Change {
    Change::Delete { name: name(at), kind }
}

/// A provider and its zone.
pub struct Opened {
    pub provider: Arc<dyn Provider>,
    pub zone: Zone,
}

impl Opened {
    pub async fn apply(&self, batch: &[Change]) -> Result<Vec<Rejected>, Error> {
        self.provider.apply(&self.zone, batch).await
    }

    /// As text, those that are not ours in brackets.
    pub async fn read(&self) -> Result<Vec<String>, Error> {
        let held = self.provider.read(&self.zone, &self.zone.name).await?;
        Ok(held.iter().map(|h| if h.owned() { h.set.to_string() } else { format!("[{}]", h.set) }).collect())
    }
}

/// A process that ends with the test, also when the test panics.
pub struct Process {
    child: Child,
    _directory: Arc<tempfile::TempDir>,
}

impl Process {
    /// Starts a program that is quiet; its directory stays as long as anybody has it.
    pub fn spawn(command: &mut Command, directory: Arc<tempfile::TempDir>) -> Self {
        let child = command.current_dir(directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Process { child: child.unwrap_or_else(|e| panic!("{command:?}: {e}")), _directory: directory }
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program from `$KIT_BIN`, from PATH, or from where Debian keeps servers, which may not be in PATH.
pub fn program(name: &str) -> PathBuf {
    let kit = std::env::var_os("KIT_BIN").map(|dir| PathBuf::from(dir).join(name)).filter(|path| path.is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|d| d.join(name)).find(|p| p.is_file());
    kit.or_else(in_path).unwrap_or_else(|| panic!("{name} is needed: put it into PATH or name its directory in KIT_BIN"))
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts etcd on a free port and waits until it accepts connections.
pub async fn etcd() -> (Process, String) {
    etcd_with("http", &[]).await
}

/// As [`etcd`], with a scheme for clients and more flags.
pub async fn etcd_with(scheme: &str, more: &[&str]) -> (Process, String) {
    let directory = tempfile::tempdir().unwrap();
    let (client, peer) = (format!("{scheme}://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
    let mut command = Command::new(program("etcd"));
    command.arg("--data-dir").arg(directory.path().join("data")).args(["--name", "t", "--initial-cluster"]);
    command.arg(format!("t={peer}"));
    for (flag, value) in [
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
    ] {
        command.arg(flag).arg(value);
    }
    let process = Process::spawn(command.args(more), Arc::new(directory));
    let address: SocketAddr = client.rsplit('/').next().unwrap().parse().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < end, "etcd does not listen at {address}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (process, client)
}

/// Starts a program with a configuration file.
pub fn run_with_file(program: PathBuf, file: &str, text: &str, args: &[&str]) -> Process {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(file), text).unwrap();
    Process::spawn(Command::new(program).args(args), Arc::new(directory))
}

pub fn query(name: &str, kind: RecordType, edns: Option<u16>) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(size) = edns {
        let mut own = Edns::new();
        own.set_max_payload(size);
        message.edns = Some(own);
    }
    message
}

pub async fn udp(server: SocketAddr, message: &Message) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&message.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let got = tokio::time::timeout(Duration::from_secs(2), socket.recv(&mut buffer)).await;
    got.ok()?.ok().map(|size| Message::from_vec(&buffer[..size]).unwrap())
}

pub async fn tcp(server: SocketAddr, message: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = message.to_vec().unwrap();
    stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut size = [0; 2];
    stream.read_exact(&mut size).await.unwrap();
    let mut answer = vec![0; u16::from_be_bytes(size).into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

/// Asks by UDP: the response code and the answers as text, sorted.
pub async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Option<(ResponseCode, Vec<String>)> {
    let answer = udp(server, &query(name, kind, Some(1232))).await?;
    let mut lines: Vec<String> = answer.answers.iter().map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data)).collect();
    lines.sort();
    Some((answer.metadata.response_code, lines))
}
