//! What a way between two versions of a kind is.

use serde_json::Value;

/// The way between a version and the one that is stored. Neither direction fails: what cannot be understood of what a
/// version carries for the other says nothing.
pub(super) struct Conversion {
    /// The version that is stored.
    pub(super) stored: &'static str,
    pub(super) to_stored: fn(&mut Value),
    pub(super) from_stored: fn(&mut Value),
}
