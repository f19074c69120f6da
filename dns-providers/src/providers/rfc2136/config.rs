//! Configuration of the `rfc2136` provider.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::{DnsName, Error, Ini};

use super::key::Key;
use super::name::NAME;
use super::tls::Tls;

/// The keys there are.
pub(super) const KEYS: &[&str] = &[
    "server",
    "zones",
    "tsig-key-file",
    "tsig-name",
    "tsig-algorithm",
    "tsig-secret",
    "tsig-secret-file",
    "tls-ca-file",
    "tls-server-name",
    "nameservers",
];
/// The keys that name files, and what the files are called in a pod.
pub(super) const FILE_KEYS: [(&str, &str); 3] =
    [("tsig-key-file", "tsig.key"), ("tsig-secret-file", "tsig.secret"), ("tls-ca-file", "tls-ca.crt")];

/// Port of DNS where an address names none, and that of DNS over TLS.
const PORTS: [u16; 2] = [53, 853];

const EXAMPLE: &str = "write for example: [Global] / server = 10.0.0.53 / zones = example.com. / tsig-key-file = federation.key (each on \
                       its own line)";

/// What the configuration file says, checked.
pub struct Config {
    /// `host:port` of the primary server; others are tried in order where it cannot be connected to.
    pub servers: Vec<String>,
    /// Zones to write to, at least one. A zone's id is its name without the final dot.
    pub zones: Vec<DnsName>,
    /// Where members' own DNS forwards the zone to; only `kubefed` uses it.
    pub nameservers: Vec<String>,
    /// The key every message is signed with.
    pub(super) key: Key,
    /// Messages go over TLS.
    pub(super) tls: Option<Tls>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("servers", &self.servers).field("zones", &self.zones).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the file, and the one with the key.
    ///
    /// # Errors
    /// No file was named, one cannot be read, a line is wrong, or it does not make a provider.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let path = path.ok_or_else(|| config("a configuration file is needed"))?;
        Self::from_ini(&Ini::read(path, KEYS)?)
    }

    /// As [`Config::load`], for text that is already here; `path` is named in errors, and relative paths begin at its
    /// directory.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        Self::from_ini(&Ini::parse(path, text, KEYS)?)
    }

    fn from_ini(ini: &Ini) -> Result<Self, Error> {
        let tls = Tls::read(ini)?;
        let port = PORTS[usize::from(tls.is_some())];
        let servers = ini.parsed_list("server", |text| server(text, port))?;
        if servers.is_empty() {
            return Err(config("server is empty"));
        }
        let zones = ini.parsed_list("zones", DnsName::parse)?;
        if zones.is_empty() {
            return Err(config("need to provide at least one zone"));
        }
        Ok(Config { servers, zones, nameservers: ini.list("nameservers"), key: Key::read(ini)?, tls })
    }
}

fn config(message: &str) -> Error {
    Error::Config { provider: NAME, message: message.to_owned(), hint: EXAMPLE.to_owned() }
}

/// `host`, `host:port`, `[v6]:port` or a bare IPv6 address, as `host:port`.
fn server(text: &str, default: u16) -> Result<String, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, default).to_string());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)),
        None => (text, Some(default)),
    };
    let is_v6 = || host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    match port {
        Some(port) if DnsName::parse(host).is_ok() || is_v6() => Ok(format!("{host}:{port}")),
        _ => Err(format!("\"{text}\" is no address, for example 10.0.0.53 or ns.example.com:5353")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(Path::new("r.conf"), &text.replace("SECRET", SECRET))
    }

    #[test]
    fn servers_zones_and_key_are_understood() {
        let config = parse(
            "[Global]\nserver = 10.0.0.53, ns.example.com:5353, ::1, [::1]:54\nzones = example.com.\ntsig-name = Fed.Key\n\
             tsig-algorithm = HMAC-SHA512\ntsig-secret = SECRET\nnameservers = 10.0.0.53\n",
        )
        .unwrap();
        assert_eq!(config.servers, ["10.0.0.53:53", "ns.example.com:5353", "[::1]:53", "[::1]:54"]);
        assert_eq!(config.key.signer().signer_name().to_string(), "fed.key.");
        assert_eq!(config.key.signer().algorithm().to_string(), "hmac-sha512");
        let debug = format!("{config:?}");
        assert!(!debug.contains("0123") && !debug.contains(SECRET), "{debug}");
    }

    #[test]
    fn what_does_not_make_a_provider_is_refused_with_a_hint() {
        for (text, want) in [
            ("[Global]\nzones = a.", "server is empty"),
            ("[Global]\nserver = a:b", "r.conf:2: server: \"a:b\" is no address"),
            ("[Global]\nserver = [a]:53", "is no address"),
            ("[Global]\nserver = a", "at least one zone"),
            ("[Global]\nserver = a\nzones = a.", "no TSIG key is named"),
            ("[Global]\nserver = a\nzones = a.\ntsig-name = k", "the TSIG key has no secret"),
            ("[Global]\nserver = a\nzones = a.\ntsig-name = k\ntsig-secret = SECRET\ntsig-secret-file = s", "both tsig-secret and"),
            ("[Global]\nserver = a\nzones = a.\ntsig-name = k\ntsig-key-file = s", "tsig-name is given beside tsig-key-file"),
            (
                "[Global]\nserver = a\nzones = a.\ntsig-name = k\ntsig-algorithm = hmac-md5",
                "r.conf:5: tsig-algorithm: \"hmac-md5\" is none",
            ),
            ("[Global]\nserver = a\nzones = a.\ntsig-name = k\ntsig-secret = ?", "tsig-secret is no base64"),
            ("[Global]\nserver = a\nzones = a.\ntsig-name = k\ntsig-secret = AAAA", "less than 16 bytes"),
            ("[Global]\nserver = a\nzones = a.\ntsig-name = k\ntsig-secret-file = /nonexistent/s", "cannot read /nonexistent/s"),
            ("[Global]\nserver = a\nzones = a.\ntsig-key-file = /nonexistent/s", "tsig-key-file: cannot read /nonexistent/s"),
            ("[Global]\ntls-ca-file = /nonexistent/s", "tls-ca-file: /nonexistent/s: No such file"),
            ("[Global]\ntls-ca-file = /dev/null", "tls-ca-file: /dev/null: it has no certificate"),
            ("[Global]\ntls-server-name = ns.example.com", "tls-server-name is given without tls-ca-file"),
            ("[Global]\ntls-server-name = ?", "r.conf:2: tls-server-name: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(want), "{text:?}: {error}");
            assert!(error.is_configuration() && error.hint().is_some());
        }
    }
}
