//! Hollow members: API servers in memory, many in one process of their own, so that what they cost is not counted
//! as ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use federation_apiserver::{Config, Profile, Server};
use kit::process::Running;
use kube::Client;

use crate::client::connect;

const TOKEN: &str = "bench-member";
/// Starting a hundred takes seconds.
const START: Duration = Duration::from_secs(60);

/// What the process of the members is told.
#[derive(clap::Args)]
pub(crate) struct Count {
    /// How many
    #[arg(long)]
    count: usize,
    /// Where their addresses are written, one a line
    #[arg(long, value_name = "FILE")]
    addresses: PathBuf,
}

/// Is the members, until it is killed.
pub(crate) async fn serve(count: &Count) -> Result<()> {
    let tokens = count.addresses.with_extension("tokens");
    std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))?;
    let mut addresses = String::new();
    let mut servers = vec![];
    for _ in 0..count.count {
        let config = Config { token_auth_file: Some(tokens.clone()), ..Config::in_memory(Profile::Member) };
        let server = Server::start(config).await.map_err(|e| anyhow!("{}", e.message))?;
        server.wait_ready(START).await.map_err(|e| anyhow!("a member did not become ready: {e}"))?;
        let listening = server.listen().await.map_err(|e| anyhow!("{}", e.message))?;
        addresses.push_str(&format!("https://{}\n", listening.address()));
        servers.push((server, tokio::spawn(listening.serve(std::future::pending()))));
    }
    // Whoever waits for the file finds it whole.
    let draft = count.addresses.with_extension("draft");
    std::fs::write(&draft, addresses)?;
    std::fs::rename(&draft, &count.addresses)?;
    for (_server, serving) in servers {
        serving.await?.map_err(|death| anyhow!("a member died: {death:?}"))?;
    }
    Ok(())
}

/// The process.
pub(crate) struct Members {
    /// Where they are.
    pub(crate) urls: Vec<String>,
    /// A client of the first; its metrics are those of all.
    pub(crate) client: Client,
    pub(crate) process: Running,
}

impl Members {
    pub(crate) const TOKEN: &str = TOKEN;

    pub(crate) fn start(count: usize, dir: &Path) -> Result<Self> {
        let addresses = dir.join("members");
        // The command line wants a program under test, which this process does not start.
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--fcp", "none", "hollow"]).arg(format!("--count={count}")).arg("--addresses").arg(&addresses);
        let mut process = Running::start(&command, &dir.join("members.log"))?;
        process.wait_until(START, || addresses.exists())?;
        let urls: Vec<String> = std::fs::read_to_string(&addresses)?.lines().map(str::to_owned).collect();
        let client = connect(urls.first().context("no member")?, TOKEN)?;
        Ok(Self { urls, client, process })
    }
}
