//! The provider's name, which its errors tell.

/// The name the provider is registered under; v1's.
pub const NAME: &str = "aws-route53";
