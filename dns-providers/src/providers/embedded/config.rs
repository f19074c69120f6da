//! Configuration of the `embedded` provider.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::{DnsName, Error, Ini};

use super::name::NAME;

const KEYS: &[&str] = &["listen", "zones", "nameservers", "ttl", "snapshot", "rate-limit"];

/// Where queries are answered unless `listen` says otherwise: reachable from this machine only, no privilege needed.
const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 10053);
/// TTL of SOA, NS and negative answers unless `ttl` says otherwise, in seconds; short, so that a new name is soon seen.
const DEFAULT_TTL: u32 = 30;
/// Answers a second by UDP to one network unless `rate-limit` says otherwise: many times what resolvers with a cache ask.
const DEFAULT_RATE_LIMIT: u32 = 200;

/// What the configuration file says, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where to answer, by UDP and TCP. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Zones to answer for, at least one.
    pub zones: Vec<DnsName>,
    /// Names of the zones' name servers, the first is the primary. Empty: `ns.dns.<zone>` at the addresses listened on.
    pub nameservers: Vec<Nameserver>,
    /// TTL of SOA, NS and negative answers, in seconds.
    pub ttl: u32,
    /// File that keeps the records over a restart.
    pub snapshot: Option<PathBuf>,
    /// Answers a second by UDP to one network (IPv4 /24, IPv6 /56); 0 is no limit.
    pub rate_limit: u32,
}

/// A name server as written in the configuration: `name` or `name=address`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nameserver {
    /// Its name.
    pub name: DnsName,
    /// Its address, published where the name lies in the zone.
    pub address: Option<IpAddr>,
}

impl Config {
    /// Listens on one address for one zone, without a snapshot.
    pub fn new(listen: SocketAddr, zone: DnsName) -> Self {
        let (zones, nameservers) = (vec![zone], Vec::new());
        Config { listen: vec![listen], zones, nameservers, ttl: DEFAULT_TTL, snapshot: None, rate_limit: DEFAULT_RATE_LIMIT }
    }

    /// Reads the file, if one is named. Without `zones` in it, `zone` is served.
    ///
    /// # Errors
    /// The file cannot be read, a line is wrong, or there is no zone.
    pub fn load(path: Option<&Path>, zone: Option<DnsName>) -> Result<Self, Error> {
        let ini = path.map_or_else(|| Ok(Ini::default()), |path| Ini::read(path, KEYS))?;
        Self::from_ini(&ini, zone)
    }

    /// As [`Config::load`], for text that is already here; `path` is only named in errors.
    ///
    /// # Errors
    /// A line is wrong, or there is no zone.
    pub fn parse(path: &Path, text: &str, zone: Option<DnsName>) -> Result<Self, Error> {
        Self::from_ini(&Ini::parse(path, text, KEYS)?, zone)
    }

    fn from_ini(ini: &Ini, zone: Option<DnsName>) -> Result<Self, Error> {
        let name = |text: &str| DnsName::parse(text).map_err(|e| e.to_string());
        let mut listen = ini.parsed_list("listen", |text| {
            text.parse::<SocketAddr>().map_err(|_| format!("\"{text}\" is no address with port, for example 127.0.0.1:10053 or [::]:53"))
        })?;
        if listen.is_empty() {
            listen.push(DEFAULT_LISTEN.into());
        }
        let mut zones = ini.parsed_list("zones", DnsName::parse)?;
        if zones.is_empty() {
            zones.extend(zone);
        }
        zones.sort();
        zones.dedup();
        let nameservers = ini.parsed_list("nameservers", |text| {
            let (host, address) = text.split_once('=').map_or((text, None), |(host, address)| (host, Some(address)));
            let parse = |a: &str| a.trim().parse::<IpAddr>().map_err(|_| format!("\"{a}\" is no IP address"));
            Ok::<_, String>(Nameserver { name: name(host.trim())?, address: address.map(parse).transpose()? })
        })?;
        let seconds = |text: &str| match text.parse::<u32>() {
            Ok(ttl) if ttl <= 86_400 => Ok(ttl),
            _ => Err(format!("\"{text}\" is no number of seconds from 0 to 86400")),
        };
        let ttl = ini.parsed("ttl", seconds)?.unwrap_or(DEFAULT_TTL);
        let answers = |text: &str| text.parse::<u32>().map_err(|_| format!("\"{text}\" is no number of answers a second; 0 is no limit"));
        let rate_limit = ini.parsed("rate-limit", answers)?.unwrap_or(DEFAULT_RATE_LIMIT);
        let snapshot = ini.get("snapshot").map(|e| PathBuf::from(&e.value)).filter(|p| !p.as_os_str().is_empty());
        if zones.is_empty() {
            return Err(Error::Config {
                provider: NAME,
                message: "need to provide at least one zone".to_owned(),
                hint: "name the zone on the command line, or write zones = example.com. in the configuration".to_owned(),
            });
        }
        Ok(Config { listen, zones, nameservers, ttl, snapshot, rate_limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(Path::new("e.conf"), text, None)
    }

    #[test]
    fn every_key_is_understood() {
        let config = parse(
            "[Global]\nlisten = 127.0.0.1:0, [::1]:53\nzones = example.com.\nnameservers = ns1.example.com.=192.0.2.1, ns.other.net\nttl = 5\nsnapshot = /var/lib/x.json\nrate-limit = 7\n",
        )
        .unwrap();
        assert_eq!(config.listen, ["127.0.0.1:0".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!(config.nameservers[0].address, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(config.nameservers[1].address, None);
        assert_eq!((config.ttl, config.snapshot, config.rate_limit), (5, Some("/var/lib/x.json".into()), 7));
    }

    #[test]
    fn without_a_file_the_federations_zone_is_served() {
        let config = Config::load(None, Some(DnsName::parse("example.com").unwrap())).unwrap();
        assert_eq!(config.listen, ["127.0.0.1:10053".parse().unwrap()]);
        assert!(Config::load(None, None).unwrap_err().to_string().contains("at least one zone"));
    }

    #[test]
    fn wrong_values_name_their_line() {
        for (text, want) in [
            ("[Global]\nlisten = 53", "e.conf:2: listen: \"53\" is no address"),
            ("[Global]\nrate-limit = many", "e.conf:2: rate-limit: \"many\" is no number"),
            ("[Global]\nttl = -1", "e.conf:2: ttl: \"-1\" is no number"),
            ("[Global]\nnameservers = ns.a.=x", "e.conf:2: nameservers: \"x\" is no IP"),
            ("[Global]\nzone = a.", "unknown key \"zone\""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        }
    }
}
