//! The name servers that are asked: those that are named, or those the zone is delegated to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_providers::DnsName;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use serde::Serialize;
use tokio::time::timeout;

use crate::error::Failure;

/// DNS's port.
const PORT: u16 = 53;
/// Most name servers that are asked.
const MOST: usize = 16;

/// A name server.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct Server {
    /// As it was named.
    pub(super) name: String,
    pub(super) address: SocketAddr,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.address.to_string();
        let plain = self.address.port() == PORT && self.name == self.address.ip().to_string();
        if plain || self.name == address { f.write_str(&self.name) } else { write!(f, "{} ({address})", self.name) }
    }
}

/// The servers of a zone: `named` ones, else those that the zone's NS records name, else those that members forward to.
///
/// # Errors
/// There are none, or a name has no address.
pub(super) async fn find(named: &[String], zone: &DnsName, forwarded: &[String], limit: Duration) -> Result<Vec<Server>, Failure> {
    let resolver = Resolver::default();
    if !named.is_empty() {
        return resolver.all(named, limit).await;
    }
    let why = match resolver.delegated(zone, limit).await {
        Ok(names) => match resolver.all(&names, limit).await {
            Ok(servers) => return Ok(servers),
            Err(failure) => failure.message,
        },
        Err(why) => why,
    };
    if !forwarded.is_empty() {
        return resolver.all(forwarded, limit).await;
    }
    Err(Failure::new(format!("the name servers of zone {zone} are not found: {why}"))
        .hint("name them with --name-server; if nobody outside finds them either, the parent zone lacks NS records for the zone"))
}

/// The resolver of this machine, where it has one.
struct Resolver(Option<TokioResolver>);

impl Default for Resolver {
    fn default() -> Self {
        Self(TokioResolver::builder_tokio().and_then(|builder| builder.build()).ok())
    }
}

impl Resolver {
    fn get(&self) -> Result<&TokioResolver, String> {
        self.0.as_ref().ok_or_else(|| "this machine names no name servers to ask".to_owned())
    }

    /// Names in the zone's NS records.
    async fn delegated(&self, zone: &DnsName, limit: Duration) -> Result<Vec<String>, String> {
        let looked = timeout(limit, self.get()?.ns_lookup(zone.as_str())).await;
        let found = looked.map_err(|_| format!("no answer in {} s", limit.as_secs()))?.map_err(|e| e.to_string())?;
        let name = |data: &RData| if let RData::NS(ns) = data { Some(ns.0.to_ascii()) } else { None };
        let mut names: Vec<String> = found.answers().iter().filter_map(|record| name(&record.data)).collect();
        names.sort();
        names.dedup();
        if names.is_empty() { Err("it has no NS records".to_owned()) } else { Ok(names) }
    }

    async fn all(&self, named: &[String], limit: Duration) -> Result<Vec<Server>, Failure> {
        let mut servers = Vec::new();
        for name in named {
            let (host, port) = parts(name);
            let addresses: Vec<IpAddr> = match host.parse() {
                Ok(address) => vec![address],
                Err(_) => self.addresses(&host, limit).await.map_err(|why| {
                    Failure::new(format!("the address of name server {name} is not found: {why}"))
                        .hint("name its address with --name-server, as 10.0.0.53, 10.0.0.53:5353 or [2001:db8::53]:53")
                })?,
            };
            servers.extend(addresses.into_iter().map(|ip| Server { name: name.clone(), address: (ip, port).into() }));
        }
        servers.sort();
        servers.dedup();
        servers.truncate(MOST);
        Ok(servers)
    }

    async fn addresses(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
        // The final dot keeps search domains out of it.
        let absolute = format!("{}.", host.trim_end_matches('.'));
        let looked = timeout(limit, self.get()?.lookup_ip(absolute)).await;
        let found = looked.map_err(|_| format!("no answer in {} s", limit.as_secs()))?.map_err(|e| e.to_string())?;
        Ok(found.iter().collect())
    }
}

/// Host and port of `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
fn parts(text: &str) -> (String, u16) {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.ip().to_string(), address.port());
    }
    if text.parse::<IpAddr>().is_ok() {
        return (text.to_owned(), PORT);
    }
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host.to_owned(), port),
        _ => (text.trim_matches(['[', ']']).to_owned(), PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_as_people_name_them() {
        let told = |text| parts(text);
        assert_eq!(told("10.0.0.53"), ("10.0.0.53".into(), 53));
        assert_eq!(told("10.0.0.53:5353"), ("10.0.0.53".into(), 5353));
        assert_eq!(told("2001:db8::53"), ("2001:db8::53".into(), 53));
        assert_eq!(told("[2001:db8::53]"), ("2001:db8::53".into(), 53));
        assert_eq!(told("[2001:db8::53]:54"), ("2001:db8::53".into(), 54));
        assert_eq!(told("ns.example.com:54"), ("ns.example.com".into(), 54));
        assert_eq!(told("ns.example.com."), ("ns.example.com.".into(), 53));
        let server = |name: &str, address: &str| Server { name: name.into(), address: address.parse().unwrap() }.to_string();
        assert_eq!(server("10.0.0.53", "10.0.0.53:53"), "10.0.0.53");
        assert_eq!(server("10.0.0.53:54", "10.0.0.53:54"), "10.0.0.53:54");
        assert_eq!(server("ns.example.com", "10.0.0.53:53"), "ns.example.com (10.0.0.53:53)");
    }
}
