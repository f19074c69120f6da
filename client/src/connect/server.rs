//! The `server` of a cluster entry.

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::redact::without_secret;

/// A server and the name and password that stood in its URL.
pub(super) struct Server {
    pub(super) uri: Uri,
    pub(super) userinfo: Option<(String, String)>,
}

/// Reads a server as client-go does: a URL, or `HOST:PORT`, which kubectl speaks http to, without credentials.
/// Where the entries are made for TLS (`needs_tls`) that can only be a mistake, and is refused.
///
/// # Errors
/// What is wrong and what to do about it.
pub(super) fn parse(server: &str, needs_tls: bool) -> Result<Server, (String, String)> {
    let shown = without_secret(server);
    let wrong = |why: &str| (format!("server \"{shown}\" {why}"), "it has to be a URL such as https://10.0.0.1:6443".to_owned());
    let (scheme, rest) = match server.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if needs_tls => {
            return Err((format!("server \"{shown}\" has no scheme"), format!("write it as a URL: https://{shown}")));
        }
        None if server.trim_end_matches('/').contains('/') => return Err(wrong("is neither a URL nor HOST:PORT")),
        None => ("http".to_owned(), server),
    };
    if scheme != "http" && scheme != "https" {
        return Err(wrong(&format!("has scheme \"{scheme}\", which no API server speaks")));
    }
    // What comes after the path means nothing to an API server.
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((info, host)) => (Some(info), host),
        None => (None, authority),
    };
    let path = path.trim_end_matches('/');
    let uri: Uri = format!("{scheme}://{host}/{path}").parse().map_err(|_| wrong("is not a URL"))?;
    let port_is_number = uri.authority().is_some_and(|a| match a.as_str().rsplit_once(':') {
        Some((before, port)) if !port.ends_with(']') => !before.is_empty() && port.parse::<u16>().is_ok(),
        _ => true,
    });
    if uri.host().is_none_or(|h| h.is_empty() || h == "[]") || !port_is_number {
        return Err(wrong("is not a URL with a host and, if any, a port"));
    }
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let userinfo = userinfo.map(|info| info.split_once(':').map_or((decode(info), String::new()), |(n, p)| (decode(n), decode(p))));
    Ok(Server { uri, userinfo })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue7_case_01_a_server_without_a_scheme_or_with_another_is_told_and_never_panics() {
        let said = |server: &str| parse(server, true).err().unwrap().0;
        assert_eq!(said("gondor:6443"), "server \"gondor:6443\" has no scheme");
        assert_eq!(parse("gondor:6443", true).err().unwrap().1, "write it as a URL: https://gondor:6443");
        assert_eq!(said("mordor.example.net"), "server \"mordor.example.net\" has no scheme");
        assert_eq!(said("ftp://gondor"), "server \"ftp://gondor\" has scheme \"ftp\", which no API server speaks");
        for server in [
            "https://",
            "https://:6443",
            "https:///x",
            "https://a b",
            "https://x:port",
            "https://x:99999",
            "https://[::1",
            "://x",
            "http://[]:1",
            "",
            "%",
        ] {
            assert!(parse(server, true).is_err(), "{server}");
        }
        assert_eq!(parse("gondor:8080", false).unwrap().uri, "http://gondor:8080/", "kubectl takes http");
        assert!(parse("gondor:8080/x", false).is_err());
    }

    #[test]
    fn a_url_is_taken_as_client_go_takes_it() {
        for (server, uri) in [
            ("https://gondor:6443", "https://gondor:6443/"),
            ("HTTPS://gondor/", "https://gondor/"),
            ("https://rancher/k8s/clusters/c-x/", "https://rancher/k8s/clusters/c-x"),
            ("https://[2001:db8::1]:6443", "https://[2001:db8::1]:6443/"),
            ("https://gondor/a?b=c#d", "https://gondor/a"),
        ] {
            assert_eq!(parse(server, true).unwrap().uri.to_string(), uri, "{server}");
        }
        let with = parse("https://me:p%40ss@gondor", true).unwrap();
        assert_eq!((with.uri.to_string().as_str(), with.userinfo.unwrap()), ("https://gondor/", ("me".to_owned(), "p@ss".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn issue7_case_01_no_text_makes_it_panic(text in "\\PC{0,40}", needs in proptest::bool::ANY) {
            if let Ok(server) = parse(&text, needs) {
                proptest::prop_assert!(server.uri.host().is_some() && server.uri.scheme().is_some());
            }
        }
    }
}
