//! Names of resources: most are written in this program, those of custom resources are made while it runs.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A name that costs nothing to copy.
#[derive(Clone, Debug)]
pub enum Name {
    /// Written in the program.
    Fixed(&'static str),
    /// Made while it runs.
    Made(Arc<str>),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Fixed(name) => name,
            Self::Made(name) => name,
        }
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::Fixed("")
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self::Made(name.into())
    }
}

impl From<Name> for metrics::SharedString {
    fn from(name: Name) -> Self {
        match name {
            Name::Fixed(name) => Self::const_str(name),
            Name::Made(name) => Self::from(name),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Names {}

/// Several names.
#[derive(Clone, Debug)]
pub enum Names {
    /// Written in the program.
    Fixed(&'static [&'static str]),
    /// Made while it runs.
    Made(Arc<[String]>),
}

impl<const N: usize> From<&'static [&'static str; N]> for Names {
    fn from(names: &'static [&'static str; N]) -> Self {
        Self::Fixed(names)
    }
}

impl Names {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (fixed, made): (&[&str], &[String]) = match self {
            Self::Fixed(names) => (names, &[]),
            Self::Made(names) => (&[], names),
        };
        fixed.iter().copied().chain(made.iter().map(String::as_str))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
