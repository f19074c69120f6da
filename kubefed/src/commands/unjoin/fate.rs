//! What becomes of objects.

use federation_api::keys;

/// What becomes of the federation's objects in a leaving member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// They stay, marked as the federation's.
    Orphan,
    /// They are deleted.
    Delete,
    /// They stay, and the marks go.
    Handover,
}

/// Label selector of everything the federation put into a member.
pub(super) fn managed(federation: &str) -> String {
    format!("{}={federation}", keys::MANAGED_BY)
}
