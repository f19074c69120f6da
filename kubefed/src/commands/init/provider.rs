//! `init`: a DNS provider's configuration as the controller manager's pod needs it.

use std::path::Path;

use dns_providers::{Ini, coredns, embedded};

use super::resolve::provider_failure;
use crate::error::Failure;
use crate::render::config::Mounted;
use crate::render::controller_manager::{DNS_DIR, DNS_PORT, STATE_DIR};

/// Keys of a coredns configuration that name files, and what these are called in the pod.
const FILE_KEYS: [(&str, &str); 3] =
    [("etcd-ca-file", "etcd-ca.crt"), ("etcd-cert-file", "etcd-client.crt"), ("etcd-key-file", "etcd-client.key")];

/// Reads the files a coredns configuration names, relative ones from its own directory, and makes the text name them
/// where they will be mounted.
///
/// # Errors
/// A file that cannot be read, with the line that names it.
pub(super) fn coredns(path: &Path, text: &str) -> Result<(String, Vec<Mounted>), Failure> {
    let ini = Ini::parse(path, text, coredns::KEYS).map_err(|e| provider_failure(&e))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut files = Vec::new();
    for (key, name) in FILE_KEYS {
        let Some(entry) = ini.get(key).filter(|entry| !entry.value.is_empty()) else { continue };
        let file = path.parent().unwrap_or(Path::new("")).join(&entry.value);
        let content = std::fs::read_to_string(&file).map_err(|e| {
            Failure::usage(format!("{}:{}: {key}: cannot read {}: {e}", path.display(), entry.line, file.display()))
                .hint("name a readable PEM file; a relative path begins at the configuration's own directory")
        })?;
        lines[entry.line - 1] = format!("{key} = {DNS_DIR}/{name}");
        files.push(Mounted { name, content });
    }
    if files.is_empty() {
        return Ok((text.to_owned(), files));
    }
    Ok((lines.join("\n") + "\n", files))
}

/// What the embedded DNS server is told when no configuration file is given.
pub(super) fn embedded_default() -> String {
    format!("[Global]\nlisten = 0.0.0.0:{DNS_PORT}\nsnapshot = {STATE_DIR}/dns.json\n")
}

/// Checks what only matters in a pod: that queries reach the server and that it can write its snapshot.
///
/// # Errors
/// Which of the two fails.
pub(super) fn embedded(path: &Path, config: &embedded::Config) -> Result<(), Failure> {
    let at = path.display();
    let mut reachable = config.listen.iter().filter(|a| !a.ip().is_loopback()).peekable();
    let hint = format!("write listen = 0.0.0.0:{DNS_PORT}");
    if reachable.peek().is_none() {
        return Err(Failure::usage(format!("{at}: listen is a loopback address, so nobody outside the pod could ask")).hint(hint));
    }
    if !reachable.any(|a| a.port() == DNS_PORT) {
        return Err(Failure::usage(format!("{at}: listen does not use port {DNS_PORT}, to which the Service maps port 53")).hint(hint));
    }
    match &config.snapshot {
        Some(file) if !is_in(file, Path::new(STATE_DIR)) => {
            Err(Failure::usage(format!("{at}: snapshot = {} is not in {STATE_DIR}, the one place the pod can write to", file.display()))
                .hint(format!("write snapshot = {STATE_DIR}/dns.json")))
        }
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

    #[test]
    fn named_files_are_read_and_named_as_mounted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), "authority").unwrap();
        std::fs::write(dir.path().join("me.pem"), "certificate").unwrap();
        std::fs::write(dir.path().join("me.key"), "key").unwrap();
        let conf = dir.path().join("coredns.conf");
        let absolute = dir.path().join("me.pem");
        let text = format!(
            "# ours\n[Global]\netcd-endpoints = https://a:1\n  ETCD-CA-FILE=\"ca.pem\" ; theirs\nzones = example.com.\netcd-cert-file = {}\netcd-key-file = me.key",
            absolute.display()
        );
        let (text, files) = coredns(&conf, &text).unwrap();
        assert_eq!(
            text,
            "# ours\n[Global]\netcd-endpoints = https://a:1\netcd-ca-file = /etc/federation/dns-provider/etcd-ca.crt\nzones = example.com.\n\
             etcd-cert-file = /etc/federation/dns-provider/etcd-client.crt\netcd-key-file = /etc/federation/dns-provider/etcd-client.key\n"
        );
        let read: Vec<&str> = files.iter().map(|f| f.content.as_str()).collect();
        assert_eq!(read, ["authority", "certificate", "key"]);
        assert!(!format!("{files:?}").contains("authority"), "content stays out of debug output");
        coredns::Config::parse(&conf, &text).expect("the mounted text is a configuration still");
    }

    #[test]
    fn a_text_without_files_stays_as_it_is() {
        let text = "[Global]\r\nzones = example.com.\netcd-endpoints = a:1";
        assert_eq!(coredns(Path::new("c.conf"), text).unwrap(), (text.to_owned(), Vec::new()));
    }

    #[test]
    fn what_init_writes_by_default_passes_its_own_checks() {
        let path = Path::new("default");
        let zone = dns_providers::DnsName::parse("example.com").ok();
        let config = embedded::Config::parse(path, &embedded_default(), zone).unwrap();
        embedded(path, &config).unwrap();
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
            assert_eq!(is_in(Path::new(file), Path::new(STATE_DIR)), want, "{file}");
        }
    }
}
