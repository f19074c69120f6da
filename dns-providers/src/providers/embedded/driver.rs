//! The `embedded` provider before it is started.

use std::path::Path;
use std::sync::Arc;

use crate::{Deployment, Error, Pod, PodNeeds, Provider, Settings};

use super::Embedded;
use super::config::Config;

/// As [`crate::Driver::deploys`].
pub(in crate::providers) fn deploys(wanted: &Deployment<'_>) -> Result<PodNeeds, Error> {
    let config = match wanted.config {
        None => default_config(&wanted.pod),
        Some((path, text)) => {
            let config = Config::parse(path, text, wanted.zone_name())?;
            wanted.published_in(path, &config.zones)?;
            fits(path, &config, &wanted.pod)?;
            text.to_owned()
        }
    };
    Ok(PodNeeds { config: Some(config), answers: true, state: true, ..PodNeeds::default() })
}

/// As [`crate::Driver::open`].
pub(in crate::providers) async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    let config = Config::load(settings.config.as_deref(), settings.zone.clone())?;
    Ok(Arc::new(Embedded::start(config).await?))
}

/// What the server is told when no configuration file is given.
fn default_config(pod: &Pod<'_>) -> String {
    format!("[Global]\nlisten = 0.0.0.0:{}\nsnapshot = {}/dns.json\n", pod.dns_port, pod.state_dir)
}

/// Checks what only matters in a pod: that queries reach the server and that it can write its snapshot.
fn fits(path: &Path, config: &Config, pod: &Pod<'_>) -> Result<(), Error> {
    let (at, port, dir) = (path.display(), pod.dns_port, pod.state_dir);
    let deaf = |message: String| Err(Error::Undeployable { message, hint: format!("write listen = 0.0.0.0:{port}") });
    let mut reachable = config.listen.iter().filter(|a| !a.ip().is_loopback()).peekable();
    if reachable.peek().is_none() {
        return deaf(format!("{at}: listen is a loopback address, so nobody outside the pod could ask"));
    }
    if !reachable.any(|a| a.port() == port) {
        return deaf(format!("{at}: listen does not use port {port}, to which the Service maps port 53"));
    }
    match &config.snapshot {
        Some(file) if !is_in(file, Path::new(dir)) => Err(Error::Undeployable {
            message: format!("{at}: snapshot = {} is not in {dir}, the one place the pod can write to", file.display()),
            hint: format!("write snapshot = {dir}/dns.json"),
        }),
        _ => Ok(()),
    }
}

/// Whether `file` is the path of something directly in `dir`; nobody makes directories there.
fn is_in(file: &Path, dir: &Path) -> bool {
    file.parent() == Some(dir) && file.file_name().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: Pod<'_> = Pod { config_dir: "/etc/x", state_dir: "/var/lib/federation", dns_port: 10053 };

    #[test]
    fn what_is_written_by_default_passes_its_own_checks() {
        let path = Path::new("default");
        let zone = crate::DnsName::parse("example.com").ok();
        let config = Config::parse(path, &default_config(&POD), zone).unwrap();
        fits(path, &config, &POD).unwrap();
        assert!(config.snapshot.is_some());
    }

    #[test]
    fn in_is_neither_beside_nor_further_below() {
        for (file, want) in [
            ("/var/lib/federation/dns.json", true),
            ("/var/lib/federation", false),
            ("/var/lib/federation/..", false),
            ("/var/lib/federation/../x", false),
            ("/var/lib/federation-2/x", false),
            ("/var/lib/federation/not/there", false),
            ("dns.json", false),
        ] {
            assert_eq!(is_in(Path::new(file), Path::new(POD.state_dir)), want, "{file}");
        }
    }
}
