//! What flags and files give where no kubeconfig is read: bounded, checked, and never told where it is secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Session;
use crate::error::Failure;
use crate::expiry;

/// Most bytes of a file with a key, a token or authorities.
const MOST: usize = 1 << 20;
/// Longest token, in bytes: it is sent in a header, and servers take headers of a few KiB.
const LONGEST_TOKEN: usize = 4096;

/// The text of a file, or of standard input for `-`.
///
/// # Errors
/// It cannot be read, or is no text, or too large.
pub(super) fn text(flag: &str, path: &Path) -> Result<String, Failure> {
    let standard = path.as_os_str() == "-";
    let name = if standard { "standard input".to_owned() } else { path.display().to_string() };
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MOST as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = if standard { read(&mut io::stdin().lock()) } else { File::open(path).and_then(|mut file| read(&mut file)) };
    let bytes = bytes.map_err(|e| {
        Failure::usage(format!("{flag}: cannot read {name}: {e}")).hint("check the path and its permissions; - is standard input")
    })?;
    if bytes.len() > MOST {
        return Err(Failure::usage(format!("{flag}: {name} has more than {MOST} bytes")).hint("name the file that was meant"));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{flag}: {name} is no text")).hint("name the file that was meant"))
}

/// A URL that a kubeconfig can lead to. What stands in it is not told: it may hold a password.
///
/// # Errors
/// It is none, or not of https, or has more than a host, a port and a path.
pub(super) fn https(flag: &str, url: &str) -> Result<(), Failure> {
    let plain = |uri: &http::Uri| {
        let authority = uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'));
        uri.scheme_str() == Some("https") && authority && uri.query().is_none()
    };
    if url.parse().is_ok_and(|uri| plain(&uri)) {
        return Ok(());
    }
    Err(Failure::usage(format!("{flag}: it has to be a URL that begins with https://"))
        .hint(format!("for example {flag}=https://federation.example.com:6443")))
}

/// The server of `--server`.
///
/// # Errors
/// It is not given, or cannot be one.
pub(super) fn server(session: &Session) -> Result<&str, Failure> {
    let server = session.global.access.server.as_deref();
    let server = server
        .ok_or_else(|| Failure::usage("--server: no server is given").hint("for example --server=https://federation.example.com:6443"))?;
    https("--server", server).map(|()| server)
}

/// Authorities in PEM, and nothing besides them: the file is copied into what is handed to others.
///
/// # Errors
/// There is none in it, or something secret.
pub(super) fn authorities(flag: &str, path: &Path) -> Result<String, Failure> {
    let (text, name) = (text(flag, path)?, path.display());
    if text.contains("PRIVATE KEY-----") {
        return Err(Failure::usage(format!("{flag}: {name} holds a private key, which everybody would get"))
            .hint("name a file with the certificate alone"));
    }
    expiry::certificates(text.as_bytes())
        .map_err(|why| Failure::usage(format!("{flag}: {name}: {why}")).hint("name the authority of the server's certificate, in PEM"))?;
    Ok(text)
}

/// The token of `--token`, or of a file.
///
/// # Errors
/// Both are given; the file cannot be read; what is given cannot be a token.
pub(super) fn token(session: &Session, file: Option<&Path>) -> Result<Option<String>, Failure> {
    let (flag, token) = match (&session.global.access.token, file) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--token and --token-file exclude each other").hint("leave --token out, which others can see"));
        }
        (None, None) => return Ok(None),
        (Some(token), None) => ("--token", token.clone()),
        // As echo and editors leave it.
        (None, Some(file)) => ("--token-file", text("--token-file", file)?.trim_end_matches(['\n', '\r']).to_owned()),
    };
    let bad = token.is_empty() || token.len() > LONGEST_TOKEN || !token.bytes().all(|c| c.is_ascii_graphic() && !b",\"".contains(&c));
    if bad {
        return Err(Failure::usage(format!("{flag}: what is given cannot be a token")).hint(format!(
            "a token has 1 to {LONGEST_TOKEN} characters of ASCII, no blanks, commas and quotes among them, and nothing else may be there"
        )));
    }
    Ok(Some(token))
}

/// Refuses flags that say which entries of a kubeconfig are used, for what is made without one.
///
/// # Errors
/// Some are given.
pub(super) fn no_kubeconfig(session: &Session) -> Result<(), Failure> {
    let (global, access) = (&session.global, &session.global.access);
    let given = [
        ("--kubeconfig", global.kubeconfig.is_some()),
        ("--context", global.context.is_some()),
        ("--cluster", access.cluster.is_some()),
        ("--user", access.user.is_some()),
        ("--insecure-skip-tls-verify", access.insecure_skip_tls_verify.is_some()),
        ("--username", access.username.is_some() || access.password.is_some()),
        ("--client-certificate", access.client_certificate.is_some() || access.client_key.is_some()),
        ("--as", global.impersonate.is_some() || !global.impersonate_groups.is_empty()),
    ];
    let given: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(flag, _)| *flag).collect();
    if given.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!("nothing comes of {} here: no kubeconfig is read", given.join(", ")))
        .hint("leave it out; --output names the file to write"))
}
