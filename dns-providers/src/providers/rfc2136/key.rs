//! The TSIG key (RFC 8945), from the lines of a configuration or from files that may change while we run.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};

use crate::{DnsName, Error, Ini};

use super::name::NAME;
use super::value::wire;

/// Seconds the clocks of server and federation may differ (RFC 8945 10).
const FUDGE: u16 = 300;
/// Shortest secret taken, in bytes: 128 bits.
const MIN_SECRET: usize = 16;
/// Longest file that is read for a key, in bytes.
const MAX_FILE: u64 = 64 * 1024;

const EXAMPLE: &str = "write tsig-key-file = federation.key, the file that `tsig-keygen federation` prints; or tsig-name = federation and \
                       tsig-secret-file = federation.secret";
const SECRETS: &str = "copy the text between the quotes of secret \"...\" in the server's key, as tsig-keygen prints it";
const READABLE: &str = "name a readable file; a relative path begins at the configuration's own directory";

/// A key, and where it is read from again.
pub(super) struct Key {
    source: Source,
    now: ArcSwap<Told>,
}

/// A key as it was last read: the text, to know whether it has changed.
struct Told {
    text: String,
    signer: TSigner,
}

#[derive(Clone)]
enum Source {
    /// The configuration itself.
    Line,
    /// A file with the secret in base64.
    Secret { path: PathBuf, name: Name, algorithm: TsigAlgorithm },
    /// A file with a key clause of BIND's configuration.
    Clause { path: PathBuf },
}

impl Key {
    /// Reads what the configuration says of the key, and the file it names.
    pub(super) fn read(ini: &Ini) -> Result<Self, Error> {
        let given = |key| ini.get(key).filter(|entry| !entry.value.is_empty());
        let path = |value: &str| ini.path().parent().unwrap_or(Path::new("")).join(value);
        if let Some(file) = given("tsig-key-file") {
            if let Some(other) =
                ["tsig-name", "tsig-algorithm", "tsig-secret", "tsig-secret-file"].into_iter().find(|key| given(key).is_some())
            {
                return Err(config(format!("{other} is given beside tsig-key-file, which has it already"), "leave one of the two out"));
            }
            return Source::Clause { path: path(&file.value) }.open();
        }
        let name = ini.parsed("tsig-name", DnsName::parse)?.ok_or_else(|| config("no TSIG key is named", EXAMPLE))?;
        let name = wire(&name);
        let algorithm = ini.parsed("tsig-algorithm", algorithm)?.unwrap_or(TsigAlgorithm::HmacSha256);
        match (given("tsig-secret"), given("tsig-secret-file")) {
            (Some(line), None) => {
                let signer = signer(&line.value, algorithm, name).map_err(|e| config(format!("tsig-secret {e}"), SECRETS))?;
                Ok(Key { source: Source::Line, now: ArcSwap::from_pointee(Told { text: String::new(), signer }) })
            }
            (None, Some(file)) => Source::Secret { path: path(&file.value), name, algorithm }.open(),
            (Some(_), Some(_)) => Err(config("both tsig-secret and tsig-secret-file are given", "leave one of the two out")),
            (None, None) => Err(config("the TSIG key has no secret", EXAMPLE)),
        }
    }

    /// The key as its file has it now. While the file cannot be read or is none, the last one stays: the server says if
    /// it is none any more.
    pub(super) fn signer(&self) -> TSigner {
        match self.source.text() {
            Ok(Some(text)) if text != self.now.load().text => match self.source.parse(&text) {
                Ok(signer) => {
                    tracing::info!(key = %signer.signer_name(), "the TSIG key was read anew");
                    self.now.store(Arc::new(Told { text, signer }));
                }
                Err(error) => tracing::warn!(%error, "the TSIG key's file has changed and is no key; the last one is used"),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the TSIG key's file cannot be read; the last one is used"),
        }
        self.now.load().signer.clone()
    }
}

impl Source {
    fn open(self) -> Result<Key, Error> {
        let text = self.text()?.unwrap_or_default();
        let signer = self.parse(&text)?;
        Ok(Key { source: self, now: ArcSwap::from_pointee(Told { text, signer }) })
    }

    /// What the file says; none where there is no file.
    fn text(&self) -> Result<Option<String>, Error> {
        let (Source::Secret { path, .. } | Source::Clause { path }) = self else { return Ok(None) };
        let bounded = || match std::fs::metadata(path)?.len() {
            0..=MAX_FILE => std::fs::read_to_string(path),
            size => Err(std::io::Error::other(format!("it has {size} bytes, which is no key"))),
        };
        bounded().map(Some).map_err(|e| config(format!("{}: cannot read {}: {e}", self.key(), path.display()), READABLE))
    }

    // The texts themselves stay out of messages: they are secrets.
    fn parse(&self, text: &str) -> Result<TSigner, Error> {
        match self {
            Source::Secret { path, name, algorithm } => signer(text, algorithm.clone(), name.clone())
                .map_err(|e| config(format!("{}: {} {e}", self.key(), path.display()), SECRETS)),
            Source::Clause { path } => clause(text).map_err(|e| {
                let hint = "it has to be as tsig-keygen prints it: key \"NAME\" { algorithm hmac-sha256; secret \"...\"; };";
                config(format!("{}: {} {e}", self.key(), path.display()), hint)
            }),
            Source::Line => Err(config("the key does not change", EXAMPLE)),
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Source::Clause { .. } => "tsig-key-file",
            _ => "tsig-secret-file",
        }
    }
}

fn config(message: impl Display, hint: &str) -> Error {
    Error::Config { provider: NAME, message: message.to_string(), hint: hint.to_owned() }
}

fn signer(secret: &str, algorithm: TsigAlgorithm, name: Name) -> Result<TSigner, String> {
    let bytes = STANDARD.decode(secret.trim()).map_err(|_| "is no base64".to_owned())?;
    if bytes.len() < MIN_SECRET {
        return Err(format!("has less than {MIN_SECRET} bytes"));
    }
    TSigner::new(bytes, algorithm, name, FUDGE).map_err(|e| e.to_string())
}

fn algorithm(text: &str) -> Result<TsigAlgorithm, String> {
    match text.trim_end_matches('.').to_ascii_lowercase().as_str() {
        "hmac-sha256" => Ok(TsigAlgorithm::HmacSha256),
        "hmac-sha384" => Ok(TsigAlgorithm::HmacSha384),
        "hmac-sha512" => Ok(TsigAlgorithm::HmacSha512),
        _ => Err(format!("\"{text}\" is none of hmac-sha256, hmac-sha384, hmac-sha512")),
    }
}

/// `key NAME { algorithm ALGORITHM; secret SECRET; };` of BIND's configuration, with its comments and quotes.
fn clause(text: &str) -> Result<TSigner, String> {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (name, body) = match words.as_slice() {
        ["key", name, "{", body @ .., "}", ";"] | ["key", name, "{", body @ .., "}"] if !body.contains(&"}") => (name, body),
        _ => return Err("is no single key clause".to_owned()),
    };
    let name = DnsName::parse(name).map_err(|e| format!("names the key wrongly: {e}"))?;
    let of = |wanted: &str| {
        let mut statements = body.split(|word| *word == ";").filter(|statement| !statement.is_empty());
        statements.find_map(|statement| match statement {
            [key, value] if *key == wanted => Some(*value),
            _ => None,
        })
    };
    let (Some(named), Some(secret)) = (of("algorithm"), of("secret")) else {
        return Err("has no algorithm or no secret".to_owned());
    };
    let algorithm = algorithm(named).map_err(|e| format!("has the wrong algorithm: {e}"))?;
    signer(secret, algorithm, wire(&name)).map_err(|e| format!("has a secret that {e}"))
}

/// The words of a text in BIND's form; braces and semicolons are words, quotes are taken off.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.split(['#']).next().unwrap_or_default();
        let mut parts = line.split('"');
        // Every second part stands in quotes, and may have slashes there.
        while let Some(bare) = parts.next() {
            let (bare, comment) = bare.split_once("//").map_or((bare, false), |(before, _)| (before, true));
            let spaced = bare.replace('{', " { ").replace('}', " } ").replace(';', " ; ");
            words.extend(spaced.split_whitespace().map(str::to_owned));
            match parts.next() {
                Some(quoted) if !comment => words.push(quoted.to_owned()),
                _ => break,
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";
    const KEYS: &[&str] = &["tsig-name", "tsig-secret-file"];

    #[test]
    fn a_key_of_bind_is_read() {
        let text = format!("# ours\nkey \"Fed.Key\" {{\n\talgorithm hmac-sha512; // strong\n\tsecret \"{SECRET}\";\n}};\n");
        let key = clause(&text).unwrap();
        assert_eq!(key.signer_name().to_string(), "fed.key.");
        assert_eq!((key.algorithm(), key.key()), (&TsigAlgorithm::HmacSha512, b"0123456789abcdef".as_slice()));
        assert!(clause(&format!("key k {{ secret {SECRET}; algorithm hmac-sha256; }};")).is_ok());
    }

    #[test]
    fn what_is_no_key_of_bind_says_why_and_not_what() {
        for (text, want) in [
            ("", "no single key clause"),
            ("key k { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };\nkey l { };", "no single key clause"),
            ("key k { algorithm hmac-sha256; };", "no secret"),
            ("key k { algorithm hmac-md5; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };", "\"hmac-md5\" is none of"),
            ("key k { algorithm hmac-sha256; secret \"verysecret!\"; };", "a secret that is no base64"),
            ("key k..l { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };", "names the key wrongly"),
        ] {
            let error = clause(text).err().unwrap();
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains("verysecret") && !error.contains("MDEy"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_read_anew_when_its_file_changes_and_stays_while_it_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, SECRET).unwrap();
        let text = "[Global]\ntsig-name = k\ntsig-secret-file = secret\n";
        let key = Key::read(&Ini::parse(&dir.path().join("r.conf"), text, KEYS).unwrap()).unwrap();
        assert_eq!(key.signer().key(), b"0123456789abcdef");
        std::fs::write(&file, "no base64").unwrap();
        assert_eq!(key.signer().key(), b"0123456789abcdef");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(key.signer().key(), b"0123456789abcdef");
        std::fs::write(&file, "QUJDREVGR0hJSktMTU5PUA==\n").unwrap();
        assert_eq!(key.signer().key(), b"ABCDEFGHIJKLMNOP");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\PC\n\"{};/]{0,80}") {
            let _ = clause(&text);
            let _ = clause(&format!("key k {{ {text} }};"));
        }
    }
}
