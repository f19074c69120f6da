//! Why a kubeconfig cannot be read, written or used.

use std::io;
use std::path::PathBuf;

use program::failure::{Failure, chain};

/// What is wrong, by file, entry and field. Never shows a value: values are secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("reading kubeconfig {file}: {cause}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A text that is no kubeconfig.
    #[error("reading kubeconfig {file}{}: {what}", at(*.line))]
    Content {
        /// The file, or what else the text is.
        file: String,
        /// The line, 0 where none is to blame.
        line: usize,
        /// What is wrong there.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Nothing to read.
    #[error("no configuration has been provided")]
    None {
        /// Where it was looked for.
        looked: String,
    },
    /// A context, cluster or user that is not there.
    #[error("{what}")]
    Missing {
        /// Which.
        what: String,
        /// What there is.
        hint: String,
    },
    /// A path of a property, or a value for it, that cannot be taken.
    #[error("{what}")]
    Property {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Entries that cannot be used, in kubectl's sentences.
    #[error("invalid configuration: {}", joined(.0))]
    Unusable(Vec<String>),
    /// An entry's server, proxy, certificate or the like that cannot be used.
    #[error("{entry}: {what}")]
    Entry {
        /// The entry, as `cluster "x"`, or the flag.
        entry: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// An entry that reads or runs something outside of the secret its kubeconfig stands in.
    #[error("{kind} \"{name}\": {field} is not allowed here")]
    NotInline {
        /// `cluster` or `user`.
        kind: &'static str,
        /// The entry.
        name: String,
        /// What reads or runs something.
        field: &'static str,
    },
    /// A credential plugin that does not do its work.
    #[error("user \"{user}\": exec: {what}")]
    Plugin {
        /// The user entry.
        user: String,
        /// What went wrong.
        what: String,
        /// The entry's own advice, or ours.
        hint: String,
    },
    /// A client that cannot be made of what looked right.
    #[error("{entry}: {}", chain(&**.cause))]
    Client {
        /// The context.
        entry: String,
        /// What the library says.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that cannot be changed; it is as it was.
    #[error("{doing} {}: {what}", .file.display())]
    Write {
        /// What was being done.
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What is in the way.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Somebody else holds the file's lock.
    #[error("{} is locked{age}", .file.display())]
    Locked {
        /// The file.
        file: PathBuf,
        /// Its lock.
        lock: PathBuf,
        /// For how long, as half a sentence.
        age: String,
    },
}

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

fn joined(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

impl Error {
    /// What to do about it.
    fn hint(&self) -> String {
        match self {
            Self::Read { .. } => "name another one with --kubeconfig or KUBECONFIG".to_owned(),
            Self::None { looked } => format!("no kubeconfig at {looked}; name one with --kubeconfig or KUBECONFIG"),
            Self::Unusable(_) | Self::Client { .. } => {
                "check what its cluster and user say in the kubeconfig, and the flags that replace it".to_owned()
            }
            Self::NotInline { .. } => {
                "a kubeconfig in a secret has to hold all data itself: use token and the fields that end in -data".to_owned()
            }
            Self::Content { hint, .. }
            | Self::Missing { hint, .. }
            | Self::Property { hint, .. }
            | Self::Entry { hint, .. }
            | Self::Plugin { hint, .. }
            | Self::Write { hint, .. } => hint.clone(),
            Self::Locked { lock, .. } => format!("if no kubectl or kubefed is writing it, remove {}", lock.display()),
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let failure = if matches!(e, Error::Locked { .. }) { Self::timed_out(e.to_string()) } else { Self::new(e.to_string()) };
        failure.hint(e.hint())
    }
}
