//! Work that goes on without a request: what a server stores first, namespaces that are emptied, damage that is told,
//! requests for certificates, tokens that expired.

pub(crate) mod bootstrap;
pub(crate) mod certificates;
pub(crate) mod damage;
pub(crate) mod namespaces;
pub(crate) mod tokens;
