//! What a follower tells.

use serde::Deserialize;

/// What happened in the collection.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// All there is.
    Listed(Listing<K>),
    /// Made or changed.
    Changed(K),
    /// Gone, as it was last; or, of an object that cannot be read, nothing but its head.
    Gone(Head, Option<K>),
    /// It is there and cannot be read; with the reason.
    Unreadable(Head, String),
    /// The watch works again after failures.
    Watching,
    /// It can neither be listed nor watched; it is tried again.
    Failing(String),
}

/// Everything in a collection at one moment.
#[derive(Debug)]
pub(crate) struct Listing<K> {
    pub(crate) objects: Vec<K>,
    /// Objects that are there and cannot be read.
    pub(crate) unreadable: Vec<Head>,
    /// Version of the whole; absent where the server's versions are not numbers.
    pub(crate) version: Option<u64>,
    pub(crate) why: Why,
    /// How large the answers were.
    pub(crate) bytes: u64,
}

impl<K> Listing<K> {
    pub(super) fn new(why: Why) -> Self {
        Self { objects: Vec::new(), unreadable: Vec::new(), version: None, why, bytes: 0 }
    }
}

/// Why a collection was listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// It was not known yet.
    First,
    /// Its history is too short to go on.
    Expired,
    /// Versions are lower than before: the store is an older copy of itself, and what was known is worth nothing.
    WentBack,
    /// Only to see whether what is known is true.
    Comparison,
}

/// What can be read of any object, however it is made.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl Head {
    pub(super) fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}
