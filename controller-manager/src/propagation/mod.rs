//! Propagation: federated objects into members.
pub(crate) mod decide;
pub(crate) mod desired;
pub(crate) mod intake;
pub(crate) mod observed;
