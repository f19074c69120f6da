//! What an authorizer answers.

/// The answer of the authorizer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Which binding allowed it, or what went wrong; may be empty.
    pub reason: String,
}
