//! Why a text cannot be read.

/// Why a text is not YAML that kubectl would read. Says nothing of the text's contents, which may be secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}")]
pub struct Wrong {
    /// The line, the first one is 1; 0 where none is to blame.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// Whether quotes would mend it: the value is read as something else than the text it should be.
    pub unquoted: bool,
}

impl Wrong {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into(), unquoted: false }
    }
}
