//! A complete one-node cluster as one value: start, cut, crash, restart; gone when dropped.

use std::fs::{File, TryLockError};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kubeconfig::{Context, Login};
use crate::process::{Running, eventually, output};
use crate::{network, programs};

mod files;
mod held;

pub use held::{Held, Site};

/// Folder of its etcd, as `boot.sh` names it.
const STORE: &str = "etcd.data";
const BOOT: &str = include_str!("../data/boot.sh");
/// A machine is up after 6 s on two idle cores; three at once on a busy host take a minute.
const START: Duration = Duration::from_secs(180);

/// A machine this process holds: it ends when this is dropped.
#[derive(Debug)]
pub struct Machine {
    held: Held,
    running: Option<Running>,
    /// Keeps the index ours while the machine lives.
    _index: File,
}

impl Deref for Machine {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl Held {
    /// The machine of that name with its state in `dir/<name>`, if it runs.
    pub fn find(dir: &Path, name: &str) -> Result<Self> {
        let dir = dir.join(name);
        let index = std::fs::read_to_string(dir.join("index")).ok().and_then(|s| s.trim().parse().ok());
        let pid = std::fs::read_to_string(dir.join("pid")).unwrap_or_default();
        match index {
            Some(index) if !pid.is_empty() && Path::new("/proc").join(&pid).exists() && network::in_use(index) => {
                Ok(Self { name: name.into(), index, dir, programs: programs::built()? })
            }
            _ => bail!("machine {name} does not run\nhint: start it with `cargo xtask kit up {name}`"),
        }
    }

    /// Kills its first process, and everything in it with it.
    pub fn end(&self) -> Result<()> {
        output(Command::new("kill").arg("-9").arg(std::fs::read_to_string(self.dir.join("pid"))?))?;
        network::unplug(self.index);
        network::tidy();
        files::remove_cgroups(&self.name);
        Ok(())
    }

    /// Its index, from which its addresses are made.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Its name, which is its hostname, its node's name and its context's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the wire.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 0, 10 + self.index)
    }

    /// Kubeconfig of its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// The administrator's context, for a kubeconfig over several machines.
    pub fn context(&self) -> Result<Context> {
        let read = |file: &str| std::fs::read(self.dir.join(file)).with_context(|| format!("reading {file} of {}", self.name));
        Ok(Context {
            name: self.name.clone(),
            server: format!("https://{}:6443", self.address()),
            ca: Some(read("ca.crt")?),
            login: Login::Certificate(read("admin.crt")?, read("admin.key")?),
        })
    }

    /// Runs kubectl as its administrator and answers what it prints.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(Command::new(self.programs.join("kubectl")).arg("--kubeconfig").arg(self.kubeconfig()).args(args))
    }

    /// Runs a command as a process of the machine.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        output(self.enter(args)?.stdin(Stdio::null()))
    }

    fn enter(&self, args: &[&str]) -> Result<Command> {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--all", "--target"]).arg(std::fs::read_to_string(self.dir.join("pid"))?).arg("--").args(args);
        Ok(nsenter)
    }

    /// Loads an OCI image archive into its containerd.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let (ctr, archive) =
            (self.programs.join("ctr"), archive.canonicalize().with_context(|| format!("no image archive {}", archive.display()))?);
        self.run(&[&ctr.to_string_lossy(), "-n", "k8s.io", "images", "import", &archive.to_string_lossy()])?;
        Ok(())
    }

    /// Cuts it off the network.
    pub fn cut(&self) -> Result<()> {
        network::cut(self.index)
    }

    /// Connects it again.
    pub fn mend(&self) -> Result<()> {
        network::mend(self.index)
    }
}

impl Machine {
    /// Boots a machine with its state in `dir/<name>` and does not wait for it; see [`Machine::wait`].
    ///
    /// It dies with the thread that started it, so start machines on the thread that uses them.
    pub fn boot(dir: &Path, name: &str, site: &Site) -> Result<Self> {
        let programs = programs::built()?;
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        network::bridge()?;
        let (index, lock) = free_index(&dir)?;
        let held = Held { name: name.into(), index, dir, programs };
        files::write(&held, site)?;
        let mut machine = Self { held, running: None, _index: lock };
        machine.start()?;
        Ok(machine)
    }

    /// Waits until the node is ready.
    pub fn wait(&mut self) -> Result<()> {
        let (booted, dir) = (self.dir.join("booted"), self.dir.display().to_string());
        let running = self.running.as_mut().context("the machine was crashed")?;
        running.wait_until(START, || booted.exists()).with_context(|| format!("booting {} (logs in {dir})", self.name))?;
        eventually(&format!("node {} to be ready (logs in {dir})", self.name), START, || {
            self.kubectl(&["wait", "node", "--all", "--for=condition=Ready", "--timeout=5s"])
        })?;
        eventually("the default service account", START, || self.kubectl(&["get", "serviceaccount", "default", "-n", "default"]))?;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let _ = std::fs::remove_file(self.dir.join("booted"));
        let boot = self.dir.join("boot.sh");
        std::fs::write(&boot, BOOT)?;
        std::fs::set_permissions(&boot, std::fs::Permissions::from_mode(0o755))?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]).arg(&boot).arg(&self.dir);
        let mut running = Running::start(&unshare, &self.dir.join("boot.log"))?;
        let parent = running.id().to_string();
        let mut first = None;
        running.wait_until(Duration::from_secs(10), || {
            let out = Command::new("pgrep").args(["-P", &parent]).stdin(Stdio::null()).output();
            first = out.ok().and_then(|o| String::from_utf8_lossy(&o.stdout).trim().parse::<u32>().ok());
            first.is_some()
        })?;
        let first = first.context("the machine has no first process")?;
        // unshare's child is in its own network only after it exec'ed; a cable plugged in earlier would hang in ours.
        let own = std::fs::read_link("/proc/self/ns/net")?;
        running.wait_until(Duration::from_secs(10), || std::fs::read_link(format!("/proc/{first}/ns/net")).is_ok_and(|n| n != own))?;
        network::plug(self.index, first)?;
        std::fs::write(self.dir.join("pid"), first.to_string())?;
        self.running = Some(running);
        Ok(())
    }

    /// Whether its first process has ended.
    pub fn ended(&mut self) -> bool {
        self.running.as_mut().is_none_or(Running::ended)
    }

    /// Ends everything in it at once, like a power failure.
    pub fn crash(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
            self.wait_for_end();
        }
        network::unplug(self.index);
        files::remove_cgroups(&self.name);
    }

    /// Waits until the kernel has ended the first process, and with it all others of its namespace.
    fn wait_for_end(&self) {
        let pid = std::fs::read_to_string(self.dir.join("pid")).unwrap_or_default();
        for _ in 0..500 {
            if pid.is_empty() || !Path::new("/proc").join(&pid).exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Copies the store of a crashed machine to a folder that does not exist yet.
    pub fn back_up(&self, to: &Path) -> Result<()> {
        self.copy_store(&self.dir.join(STORE), to)
    }

    /// Puts the store of a crashed machine back to what [`Machine::back_up`] copied.
    pub fn restore(&self, from: &Path) -> Result<()> {
        let store = self.dir.join(STORE);
        std::fs::remove_dir_all(&store).with_context(|| format!("removing {}", store.display()))?;
        self.copy_store(from, &store)
    }

    fn copy_store(&self, from: &Path, to: &Path) -> Result<()> {
        if self.running.is_some() {
            bail!("{} is running: its store would be copied half-written", self.name);
        }
        output(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
    }

    /// Boots a crashed machine on the state it left.
    pub fn restart(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("{} is running", self.name);
        }
        network::bridge()?;
        self.start()?;
        self.wait()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.crash();
        network::tidy();
    }
}

/// An index nobody uses; the one of an earlier boot of the same folder where it is free, since certificates name it.
fn free_index(dir: &Path) -> Result<(u8, File)> {
    let locks = std::env::temp_dir().join("kubefed-kit-indexes");
    std::fs::create_dir_all(&locks)?;
    let earlier = std::fs::read_to_string(dir.join("index")).ok().and_then(|s| s.trim().parse::<u8>().ok());
    let candidates = earlier.map_or_else(|| (1..=50).collect::<Vec<_>>(), |i| vec![i]);
    for index in candidates {
        let file = File::options().create(true).append(true).open(locks.join(index.to_string()))?;
        match file.try_lock() {
            Ok(()) if !network::in_use(index) => {
                std::fs::write(dir.join("index"), index.to_string())?;
                return Ok((index, file));
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("locking a machine index"),
        }
    }
    bail!("no machine index is free (1 to 50)\nhint: `ip link | grep kit-` shows the machines that run")
}
