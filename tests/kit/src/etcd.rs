//! An etcd of one member on free ports of the loopback.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Running, free_port};
use crate::programs;

/// A running etcd; gone when dropped.
#[derive(Debug)]
pub struct Etcd {
    process: Running,
    port: u16,
}

impl Etcd {
    /// Starts it with state and log in `dir`, and waits until it is healthy: it listens long before it has elected
    /// itself. Without `fsync` it answers before the disk has what it was given: right for every test that does not
    /// measure.
    ///
    /// # Errors
    /// There is no etcd, or it is not healthy within 20 seconds: the end of its log tells why.
    pub fn start(dir: &Path, fsync: bool) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (port, peer) = (free_port()?, free_port()?);
        let mut command = Command::new(programs::find("etcd")?);
        command.arg("--data-dir").arg(dir.join("etcd"));
        for (flag, port) in [
            ("listen-client-urls", port),
            ("advertise-client-urls", port),
            ("listen-peer-urls", peer),
            ("initial-advertise-peer-urls", peer),
        ] {
            command.arg(format!("--{flag}=http://127.0.0.1:{port}"));
        }
        command.arg(format!("--initial-cluster=default=http://127.0.0.1:{peer}"));
        if !fsync {
            command.arg("--unsafe-no-fsync");
        }
        let mut process = Running::start(&command, &dir.join("etcd.log"))?;
        process.wait_until(Duration::from_secs(20), || is_healthy(port).unwrap_or(false))?;
        Ok(Self { process, port })
    }

    /// Where clients reach it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

fn is_healthy(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains(r#""health":"true""#))
}
