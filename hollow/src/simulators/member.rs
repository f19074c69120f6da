//! What a hollow member is.

/// What a hollow member pretends to be.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Region of its node.
    pub region: String,
    /// Zone of its node.
    pub zone: String,
    /// First three bytes of its load balancers' addresses, from a range for documentation (RFC 5737).
    pub addresses: [u8; 3],
}

/// What its server knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Name of the member and of its node.
    pub(crate) name: String,
    /// The token its token secrets are filled with.
    pub(crate) token: String,
    /// Certificate of its API server, PEM.
    pub(crate) ca: Vec<u8>,
}
