//! What the watch of one kind in a member tells.

use super::Seen;
use crate::{compact::Uid, follow::Why, kinds::ObjectKey};

/// Something seen in a member.
pub(crate) enum Observed {
    /// Everything of one kind that carries our label.
    Listed(Seeing),
    Changed(ObjectKey, Box<Seen>),
    /// Gone, or without our label now; with the uid it had and the version of its end.
    Gone {
        key: ObjectKey,
        uid: Uid,
        version: Option<u64>,
    },
    /// The watch works again.
    Watching,
    /// The watch does not work.
    Failing(String),
}

/// A complete look at one kind of a member.
pub(crate) struct Seeing {
    pub(crate) objects: Vec<(ObjectKey, Seen)>,
    /// Objects that are there and cannot be read: what is known of them stays.
    pub(crate) unreadable: Vec<ObjectKey>,
    /// Version of the whole.
    pub(crate) version: Option<u64>,
    pub(crate) why: Why,
    /// How large the answers were.
    pub(crate) bytes: u64,
}
