//! The wire between machines: a bridge on the host, a cable for each machine.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::output;

const BRIDGE: &str = "kit0";

/// Runs iproute2.
pub(crate) fn ip(args: &str) -> Result<String> {
    output(Command::new("ip").args(args.split_whitespace()))
}

fn exists(link: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(link).exists()
}

/// Makes the bridge, its address 198.18.0.1 and the black hole for what no machine answers.
pub(crate) fn bridge() -> Result<()> {
    if exists(BRIDGE) {
        return Ok(());
    }
    if ip(&format!("link add {BRIDGE} type bridge")).is_err() && !exists(BRIDGE) {
        bail!("cannot make a network bridge\nhint: real clusters need root, with CAP_NET_ADMIN and CAP_SYS_ADMIN");
    }
    ip(&format!("addr replace 198.18.0.1/24 dev {BRIDGE}"))?;
    ip(&format!("link set {BRIDGE} up"))?;
    ip("route replace blackhole 198.18.0.0/15")?;
    output(Command::new("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]))?;
    Ok(())
}

fn cable(index: u8) -> String {
    format!("kit-{index}")
}

/// Whether a machine of that index has its cable plugged in.
pub(crate) fn in_use(index: u8) -> bool {
    exists(&cable(index))
}

/// Plugs a machine in.
pub(crate) fn plug(index: u8, pid: u32) -> Result<()> {
    let cable = cable(index);
    ip(&format!("link add {cable} type veth peer name eth0 netns {pid}"))?;
    ip(&format!("link set {cable} master {BRIDGE} up"))?;
    routes(index)
}

fn routes(index: u8) -> Result<()> {
    ip(&format!("route replace 198.18.{}.0/24 via 198.18.0.{}", 200 + u32::from(index), 10 + u32::from(index)))?;
    Ok(())
}

/// Pulls the cable's plug; nothing gets through any more.
pub(crate) fn cut(index: u8) -> Result<()> {
    ip(&format!("link set {} down", cable(index)))?;
    Ok(())
}

/// Plugs it in again.
pub(crate) fn mend(index: u8) -> Result<()> {
    ip(&format!("link set {} up", cable(index)))?;
    routes(index)
}

/// Removes what a machine left on the host. The bridge and its black hole stay: nothing that a test
/// sends to a crashed machine may leave the host.
pub(crate) fn unplug(index: u8) {
    let cable = cable(index);
    // The kernel may be taking the cable away with its namespace at this moment; either way it must be gone.
    for _ in 0..100 {
        if !exists(&cable) {
            break;
        }
        let _ = ip(&format!("link del {cable}"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _ = ip(&format!("route del 198.18.{}.0/24", 200 + u32::from(index)));
}

/// Removes the bridge after the last machine.
pub(crate) fn tidy() {
    let others = std::fs::read_dir(format!("/sys/class/net/{BRIDGE}/brif")).map(|d| d.count()).unwrap_or(0);
    if others == 0 && exists(BRIDGE) {
        let _ = ip("route del blackhole 198.18.0.0/15");
        let _ = ip(&format!("link del {BRIDGE}"));
    }
}
