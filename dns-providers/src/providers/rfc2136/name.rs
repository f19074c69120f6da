//! The provider's name, which its errors tell.

/// The name the provider is registered under.
pub const NAME: &str = "rfc2136";
