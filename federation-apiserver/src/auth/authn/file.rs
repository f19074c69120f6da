//! Static credential files, held as digests so that comparing them takes the same time for every
//! guess, and followed when they change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::csv;
use crate::auth::UserInfo;

type Digest = [u8; 32];

/// A credential file that cannot be used. Nothing secret is in the message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialFileError {
    /// The file cannot be read.
    #[error("{what} file {path}: {source}")]
    Read {
        /// `token` or `basic-auth`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is wrong; correct it.
    #[error("{what} file {path}:{line}: {problem}")]
    Line {
        /// `token` or `basic-auth`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Line of the record, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What the first column of a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A bearer token; records are found by it.
    Token,
    /// A password; records are found by user name.
    Password,
}

impl Kind {
    fn what(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Password => "basic-auth",
        }
    }

    fn columns(self) -> &'static str {
        match self {
            Self::Token => "token, user name, user uid",
            Self::Password => "password, user name, user uid",
        }
    }
}

/// What a file held when it was last read.
#[derive(Debug, Default)]
struct Loaded {
    file: Digest,
    by_token: HashMap<Digest, UserInfo>,
    by_name: HashMap<String, (Digest, UserInfo)>,
}

/// One credential file.
#[derive(Debug)]
pub(super) struct Credentials {
    path: PathBuf,
    kind: Kind,
    loaded: ArcSwap<Loaded>,
}

impl Credentials {
    pub(super) fn load(path: &Path, kind: Kind) -> Result<Self, CredentialFileError> {
        let loaded = parse(path, kind, &read(path, kind)?)?;
        Ok(Self { path: path.to_owned(), kind, loaded: ArcSwap::from_pointee(loaded) })
    }

    /// Takes over a changed file; keeps what it has when the new one is bad.
    pub(super) fn reload(&self) -> Result<(), CredentialFileError> {
        let text = read(&self.path, self.kind)?;
        if digest(&text) != self.loaded.load().file {
            self.loaded.store(parse(&self.path, self.kind, &text)?.into());
            tracing::info!("{} file {} reloaded", self.kind.what(), self.path.display());
        }
        Ok(())
    }

    pub(super) fn by_token(&self, token: &str) -> Option<UserInfo> {
        // Looked up by digest: how long it takes says nothing about the tokens there are.
        self.loaded.load().by_token.get(&digest(token)).cloned()
    }

    pub(super) fn by_password(&self, name: &str, password: &str) -> Option<UserInfo> {
        let loaded = self.loaded.load();
        let given = digest(password);
        // An unknown name costs the same comparison as a known one.
        let (expected, user) = match loaded.by_name.get(name) {
            Some((expected, user)) => (*expected, Some(user)),
            None => ([0; 32], None),
        };
        let same = bool::from(given.ct_eq(&expected));
        user.filter(|_| same).cloned()
    }
}

fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

fn read(path: &Path, kind: Kind) -> Result<String, CredentialFileError> {
    std::fs::read_to_string(path).map_err(|source| CredentialFileError::Read { what: kind.what(), path: path.to_owned(), source })
}

/// kube-apiserver's rules: at least three columns, a fourth holds the groups; an empty secret is
/// left out and of two records with the same key the later counts, both with a warning.
fn parse(path: &Path, kind: Kind, text: &str) -> Result<Loaded, CredentialFileError> {
    let bad = |line, problem: String| CredentialFileError::Line { what: kind.what(), path: path.to_owned(), line, problem };
    let warn = |line, what: &str| tracing::warn!("{} file {}, line {line}: {what}", kind.what(), path.display());
    let mut out = Loaded { file: digest(text), ..Loaded::default() };
    for record in csv::parse(text).map_err(|e| bad(e.line, e.what.to_owned()))? {
        let [secret, name, uid, rest @ ..] = record.fields.as_slice() else {
            return Err(bad(record.line, format!("must have at least 3 columns ({}), found {}", kind.columns(), record.fields.len())));
        };
        if name.is_empty() {
            return Err(bad(record.line, "the user name is empty".to_owned()));
        }
        if secret.is_empty() {
            warn(record.line, "the first column is empty, record left out");
            continue;
        }
        let groups = rest.first().map(|g| g.split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned).collect());
        let user = UserInfo { name: name.clone(), uid: uid.clone(), groups: groups.unwrap_or_default() };
        let replaced = match kind {
            Kind::Token => out.by_token.insert(digest(secret), user).is_some(),
            Kind::Password => out.by_name.insert(name.clone(), (digest(secret), user)).is_some(),
        };
        if replaced {
            warn(record.line, "replaces an earlier record");
        }
    }
    Ok(out)
}
