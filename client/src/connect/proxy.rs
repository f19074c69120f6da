//! Proxies: those that cluster entries name, and those of the environment, as Go's `httpproxy` understands them.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

use crate::redact::without_secret;

/// A proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Its address: scheme `http`, `https` or `socks5`, host and port.
    pub(crate) uri: Uri,
    /// Name and password for it.
    pub(crate) login: Option<(String, String)>,
    /// The URL as it was written.
    url: String,
}

impl Proxy {
    /// The URL as it was written, which may have a password in it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL without the name and the password that may be in it.
    pub fn bare_url(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("http", &self.url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    }
}

/// Why a proxy cannot be used, in client-go's words where it has some.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ProxyError {
    /// No URL; shown without what is secret.
    #[error("could not parse: {0}")]
    Unparsable(String),
    /// A scheme that no proxy has.
    #[error("unsupported scheme \"{0}\", must be http, https, or socks5")]
    Scheme(String),
    /// What a variable of the environment says.
    #[error("{variable} of the environment: {why}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        why: Box<Self>,
    },
}

/// Reads `proxy-url` of a cluster entry.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(url: &str) -> Result<Proxy, ProxyError> {
    let unparsable = || ProxyError::Unparsable(without_secret(url));
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(unparsable());
    };
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        "socks5" => 1080,
        _ => return Err(ProxyError::Scheme(scheme)),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (info, host) = authority.rsplit_once('@').map_or((None, authority), |(info, host)| (Some(info), host));
    let with_port = if has_port(host) { host.to_owned() } else { format!("{}:{port}", host.trim_end_matches(':')) };
    let uri: Uri = format!("{scheme}://{with_port}/").parse().map_err(|_| unparsable())?;
    if uri.host().is_none_or(|h| h.is_empty() || h == "[]") || uri.port_u16().is_none() {
        return Err(unparsable());
    }
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = info.map(|i| i.split_once(':').map_or((decode(i), String::new()), |(n, p)| (decode(n), decode(p))));
    Ok(Proxy { uri, login, url: url.to_owned() })
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(before, port)| !port.is_empty() && !port.ends_with(']') && (!before.contains(':') || before.ends_with(']')))
}

/// What the environment says about proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    /// For servers on https.
    pub https_proxy: String,
    /// For servers on http.
    pub http_proxy: String,
    /// What is reached without.
    pub no_proxy: String,
}

impl Environment {
    /// This process's: each variable in capitals, else in small letters.
    pub fn of_process() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    /// As [`Environment::of_process`] with the variables given.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let set = |name: &str| variable(name).filter(|v| !v.is_empty());
            set(name).or_else(|| set(&name.to_lowercase())).unwrap_or_default()
        };
        Self { https_proxy: either("HTTPS_PROXY"), http_proxy: either("HTTP_PROXY"), no_proxy: either("NO_PROXY") }
    }

    /// The proxy to a server, if one is to be used.
    ///
    /// # Errors
    /// A variable that names no proxy.
    pub(super) fn proxy_for(&self, server: &Uri) -> Result<Option<Proxy>, ProxyError> {
        let (variable, text, port) = match server.scheme_str() {
            Some("https") => ("HTTPS_PROXY", &self.https_proxy, 443),
            _ => ("HTTP_PROXY", &self.http_proxy, 80),
        };
        if text.is_empty() || !self.applies(server.host().unwrap_or_default(), server.port_u16().unwrap_or(port)) {
            return Ok(None);
        }
        // Without a scheme it is http.
        let parsed = if text.contains("://") { parse(text) } else { parse(&format!("http://{text}")) };
        parsed.map(Some).map_err(|why| ProxyError::Variable { variable, why: Box::new(why) })
    }

    /// Whether a server is reached by a proxy at all: not if it is this machine, nor if `NO_PROXY` has it.
    fn applies(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let ip: Option<IpAddr> = host.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return false;
        }
        !self.no_proxy.split(',').map(|e| e.trim().to_lowercase()).any(|entry| matches(&entry, &host, ip, port))
    }
}

/// Whether one entry of `NO_PROXY` has a server: `*`, an address, a network, a domain, the last but one with a port.
fn matches(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(net) = entry.parse::<IpNet>() {
        return ip.is_some_and(|ip| net.contains(&ip));
    }
    let (name, only) = match entry.rsplit_once(':') {
        Some((name, only)) if !name.contains(':') || name.starts_with('[') && name.ends_with(']') => (name, Some(only)),
        _ => (entry, None),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || only.is_some_and(|only| !only.is_empty() && only != port.to_string()) {
        return false;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address.to_canonical());
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(no_proxy: &str, server: &str) -> bool {
        let environment = Environment { https_proxy: "http://proxy:3128".into(), no_proxy: no_proxy.into(), ..Environment::default() };
        environment.proxy_for(&server.parse().unwrap()).unwrap().is_some()
    }

    #[test]
    fn issue7_case_04_no_proxy_is_compared_with_the_server_as_go_does() {
        for (no_proxy, server, proxied) in [
            ("", "https://gondor.example.net", true),
            ("", "https://127.0.0.1:6443", false),
            ("", "https://127.9.9.9", false),
            ("", "https://[::1]:6443", false),
            ("", "https://localhost:6443", false),
            ("*", "https://gondor.example.net", false),
            ("10.0.0.1", "https://10.0.0.1:6443", false),
            ("10.0.0.1:6443", "https://10.0.0.1:6443", false),
            ("10.0.0.1:443", "https://10.0.0.1:6443", true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", false),
            (" 192.168.0.0/16 , 10.0.0.0/8", "https://10.1.2.3:6443", false),
            ("10.0.0.0/8", "https://11.1.2.3:6443", true),
            ("2001:db8::/32", "https://[2001:db8::1]:6443", false),
            ("[2001:db8::1]:6443", "https://[2001:db8::1]:6443", false),
            ("example.net", "https://gondor.example.net", false),
            ("example.net", "https://EXAMPLE.net", false),
            (".example.net", "https://example.net", true),
            (".example.net", "https://gondor.example.net", false),
            ("*.example.net", "https://gondor.example.net", false),
            ("*.example.net", "https://example.net", true),
            ("ample.net", "https://example.net", true),
            ("example.net:6443", "https://gondor.example.net:6443", false),
            ("example.net:6443", "https://gondor.example.net", true),
            ("proxy", "https://gondor.example.net", true),
            (",,", "https://gondor.example.net", true),
        ] {
            assert_eq!(used(no_proxy, server), proxied, "NO_PROXY={no_proxy} {server}");
        }
    }

    #[test]
    fn variables_are_read_in_both_cases_and_by_scheme() {
        let environment = Environment::from(|name| match name {
            "https_proxy" => Some("proxy:3128".to_owned()),
            "HTTP_PROXY" => Some("socks5://me:p%40ss@other".to_owned()),
            "http_proxy" => Some("weaker".to_owned()),
            _ => None,
        });
        let proxy = |server: &str| environment.proxy_for(&server.parse().unwrap()).unwrap().unwrap();
        assert_eq!(proxy("https://gondor").uri.to_string(), "http://proxy:3128/");
        assert_eq!(proxy("http://gondor").uri.to_string(), "socks5://other:1080/");
        assert_eq!(proxy("http://gondor").login, Some(("me".into(), "p@ss".into())));
        for bad in ["ftp://x", ":x:", "http://", "http://x:port"] {
            let environment = Environment { https_proxy: bad.into(), ..Environment::default() };
            let said = environment.proxy_for(&"https://gondor".parse().unwrap()).unwrap_err().to_string();
            assert!(said.starts_with("HTTPS_PROXY of the environment"), "{bad}: {said}");
        }
    }

    #[test]
    fn issue7_case_03_a_proxy_url_is_read() {
        assert_eq!(parse("http://proxy").unwrap().uri.to_string(), "http://proxy:80/");
        assert_eq!(parse("https://proxy/").unwrap().uri.to_string(), "https://proxy:443/");
        assert_eq!(parse("SOCKS5://[::1]:9").unwrap().uri.to_string(), "socks5://[::1]:9/");
        assert_eq!(parse("socks5h://x").unwrap_err().to_string(), "unsupported scheme \"socks5h\", must be http, https, or socks5");
        assert_eq!(parse("127.0.0.1:9").unwrap_err().to_string(), "could not parse: 127.0.0.1:9");
    }

    #[test]
    fn issue10_a_proxy_can_be_named_without_its_password() {
        for (whole, bare) in [
            ("http://me:se@cret@proxy:3128/a@b", "http://proxy:3128/a@b"),
            ("socks5://me@[::1]:9", "socks5://[::1]:9"),
            ("https://proxy/", "https://proxy/"),
        ] {
            assert_eq!(parse(whole).unwrap().bare_url(), bare);
        }
    }
}
