//! Work that goes on without a request: what a server stores first, namespaces that are emptied, damage that is told,
//! requests for certificates, tokens that expired, credentials that were revoked or used.

pub(crate) mod bootstrap;
pub(crate) mod certificates;
pub(crate) mod credentials;
pub(crate) mod damage;
pub(crate) mod namespaces;
pub(crate) mod revocations;
pub(crate) mod tokens;
pub(crate) mod used;
