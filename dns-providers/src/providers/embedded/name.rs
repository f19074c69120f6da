//! What the provider is called.

/// The name the provider is registered under.
pub const NAME: &str = "embedded";
