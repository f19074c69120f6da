//! `init`: names and addresses that clients know the API servers by, beside those of their Service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use federation_api::names::is_rfc1123_subdomain;

use crate::error::Failure;
use crate::render::config::{Endpoint, Names};

const ENDPOINT: &str = "--control-plane-endpoint";

/// What `--control-plane-endpoint` names: a name or an address, and a port; an IPv6 address with a port in brackets.
///
/// # Errors
/// What is none of these.
pub(super) fn endpoint(text: &str) -> Result<Option<Endpoint>, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("invalid {ENDPOINT}: \"{text}\" {why}")).hint("for example fed.example.com, 10.0.0.5:6443 or [fd00::5]:6443")
    };
    if text.is_empty() {
        return Ok(None);
    }
    if text.contains("://") {
        return Err(wrong("is a URL, and only a host and a port are meant"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(Some(Endpoint { host: text.to_owned(), port: None }));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse::<u16>() {
            Ok(port) if port > 0 => (host, Some(port)),
            _ => return Err(wrong("has no valid port")),
        },
        _ => (text, None),
    };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) if ip.parse::<Ipv6Addr>().is_ok() => Ok(Some(Endpoint { host: ip.to_owned(), port })),
        None if is_host(host) => Ok(Some(Endpoint { host: host.to_owned(), port })),
        _ => Err(wrong("is neither a name nor an address")),
    }
}

/// What `--apiserver-cert-extra-sans` names.
///
/// # Errors
/// The first that is neither a name nor an address.
pub(super) fn extra(all: &[String]) -> Result<Names, Failure> {
    let mut names = Names::default();
    for text in all {
        // RFC 6125 6.4.3: a wildcard stands for the leftmost label; clients want two behind it.
        let wildcard = text.strip_prefix("*.");
        let fits = wildcard.map_or_else(
            || is_host(text) || text.parse::<IpAddr>().is_ok(),
            |rest| rest.contains('.') && is_host(rest) && rest.parse::<IpAddr>().is_err(),
        );
        if !fits {
            return Err(Failure::usage(format!("invalid --apiserver-cert-extra-sans: \"{text}\" is neither a name nor an address"))
                .hint("for example --apiserver-cert-extra-sans=fed.example.com,10.0.0.5"));
        }
        names.add(text);
    }
    Ok(names)
}

/// An IPv4 address or a name in DNS; one of digits alone is none.
fn is_host(text: &str) -> bool {
    let name = || is_rfc1123_subdomain(text) && text.split('.').all(|label| label.len() <= 63);
    text.parse::<Ipv4Addr>().is_ok() || (name() && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_perhaps_a_port() {
        let read = |text: &str| endpoint(text).map(|found| found.map(|e| e.to_string())).map_err(|failure| failure.message);
        for (text, told) in [
            ("fed.example.com", "fed.example.com"),
            ("fed.example.com:6443", "fed.example.com:6443"),
            ("10.0.0.5", "10.0.0.5"),
            ("10.0.0.5:6443", "10.0.0.5:6443"),
            ("fd00::5", "[fd00::5]"),
            ("[fd00::5]:6443", "[fd00::5]:6443"),
            ("[fd00::5]", "[fd00::5]"),
        ] {
            assert_eq!(read(text), Ok(Some(told.to_owned())), "{text}");
        }
        assert_eq!(read(""), Ok(None));
        for text in [
            "https://fed.example.com",
            "fed.example.com:",
            "fed:0",
            "fed:65536",
            "Fed_1",
            "10.0.0",
            "[10.0.0.5]:1",
            "[fd00::5",
            ":6443",
            "é.example.com",
        ] {
            assert!(read(text).unwrap_err().starts_with("invalid --control-plane-endpoint: "), "{text}");
        }
    }
}
