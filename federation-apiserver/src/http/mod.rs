//! The ground floor of a request: what HTTP carries, before anybody knows what it is about. No resources, no storage.

pub(crate) mod accept;
pub(crate) mod patch;
pub(crate) mod query;
pub(crate) mod request;
pub mod response;
pub(crate) mod warnings;
