//! Configuration of the `coredns` provider.

use std::path::{Path, PathBuf};

use crate::{DnsName, Error, Ini};

use super::name::NAME;

/// The keys there are.
pub(super) const KEYS: &[&str] = &["etcd-endpoints", "etcd-ca-file", "etcd-cert-file", "etcd-key-file", "zones", "coredns-endpoints"];

/// What the configuration file says, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// URLs of CoreDNS's etcd, at least one.
    pub endpoints: Vec<String>,
    /// Zones CoreDNS serves from that etcd, at least one. A zone's id is its place in the list.
    pub zones: Vec<DnsName>,
    /// TLS towards etcd.
    pub tls: Option<Tls>,
    /// Addresses at which CoreDNS answers; only `kubefed init` uses them.
    pub nameservers: Vec<String>,
}

/// PEM files for TLS towards etcd.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// The authority etcd's certificate is checked against.
    pub ca: PathBuf,
    /// Our certificate and key, if etcd asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// No file was named, it cannot be read, a line is wrong, or it does not make a provider.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let path = path.ok_or_else(|| config("a configuration file is needed".to_owned(), EXAMPLE))?;
        Self::from_ini(&Ini::read(path, KEYS)?)
    }

    /// As [`Config::load`], for text that is already here; `path` is only named in errors.
    ///
    /// # Errors
    /// A line is wrong, or the whole does not make a provider.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        Self::from_ini(&Ini::parse(path, text, KEYS)?)
    }

    fn from_ini(ini: &Ini) -> Result<Self, Error> {
        let endpoints = ini.parsed_list("etcd-endpoints", endpoint)?;
        if endpoints.is_empty() {
            return Err(config("etcd-endpoints is empty".to_owned(), EXAMPLE));
        }
        let zones = ini.parsed_list("zones", DnsName::parse)?;
        if zones.is_empty() {
            return Err(config("need to provide at least one zone".to_owned(), EXAMPLE));
        }
        let file = |key| ini.get(key).map(|e| e.value.as_str()).filter(|v| !v.is_empty()).map(PathBuf::from);
        let identity = match (file("etcd-cert-file"), file("etcd-key-file")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(config("etcd-cert-file and etcd-key-file go together".to_owned(), "give both or neither")),
        };
        let secure = endpoints.iter().filter(|e| e.starts_with("https://")).count();
        if secure != 0 && secure != endpoints.len() {
            return Err(config("etcd-endpoints mixes http and https".to_owned(), "use one scheme for all endpoints"));
        }
        let tls = match (secure > 0, file("etcd-ca-file"), identity) {
            (true, Some(ca), identity) => Some(Tls { ca, identity }),
            (true, None, _) => return Err(config("https endpoints need etcd-ca-file".to_owned(), "name the PEM file of etcd's authority")),
            (false, None, None) => None,
            (false, ..) => return Err(config("certificates are given but etcd-endpoints are http".to_owned(), "write https:// endpoints")),
        };
        Ok(Config { endpoints, zones, tls, nameservers: ini.list("coredns-endpoints") })
    }
}

const EXAMPLE: &str = "write for example: [Global] / etcd-endpoints = http://etcd:2379 / zones = example.com. (each on its own line)";

pub(super) fn config(message: String, hint: &str) -> Error {
    Error::Config { provider: NAME, message, hint: hint.to_owned() }
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let authority = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match authority.map(|rest| rest.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains([' ', '/', '?', '#']) => Ok(url.trim_end_matches('/').to_owned()),
        Some(_) => Err(format!("\"{text}\" is no address, for example http://etcd:2379")),
        None => Err(format!("\"{text}\" begins neither with http:// nor with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(Path::new("c.conf"), text)
    }

    #[test]
    fn v1s_file_is_understood() {
        let config = parse(
            "[Global]\netcd-endpoints = http://etcd-cluster.ns:2379,10.0.0.1:2379/\nzones = example.com., Example.NET\ncoredns-endpoints = 10.0.0.2:53\n",
        )
        .unwrap();
        assert_eq!(config.endpoints, ["http://etcd-cluster.ns:2379", "http://10.0.0.1:2379"]);
        assert_eq!(config.zones.iter().map(DnsName::as_str).collect::<Vec<_>>(), ["example.com.", "example.net."]);
        assert_eq!(config.nameservers, ["10.0.0.2:53"]);
        assert_eq!(config.tls, None);
    }

    #[test]
    fn what_does_not_make_a_provider_is_refused_with_a_hint() {
        for (text, want) in [
            ("[Global]\netcd-endpoints = http://a:1", "at least one zone"),
            ("[Global]\nzones = a.", "etcd-endpoints is empty"),
            ("[Global]\nzones = a..b\netcd-endpoints = a:1", "c.conf:2: zones: \"a..b\" is no DNS name"),
            ("[Global]\nzones = a.\netcd-endpoints = ftp://a", "c.conf:3: etcd-endpoints: \"ftp://a\" begins"),
            ("[Global]\nzones = a.\netcd-endpoints = http://", "is no address"),
            ("[Global]\nzones = a.\netcd-endpoints = https://a:1", "need etcd-ca-file"),
            ("[Global]\nzones = a.\netcd-endpoints = https://a:1,http://b:1\netcd-ca-file = x", "mixes"),
            ("[Global]\nzones = a.\netcd-endpoints = http://a:1\netcd-cert-file = x", "go together"),
            ("[Global]\nzones = a.\netcd-endpoints = http://a:1\netcd-ca-file = x", "are http"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(want), "{text:?}: {error}");
            assert!(error.hint().is_some());
        }
        assert!(Config::load(None).unwrap_err().to_string().contains("a configuration file is needed"));
        assert!(Config::load(Some(Path::new("/nonexistent/c.conf"))).unwrap_err().to_string().contains("couldn't open DNS provider"));
    }
}
