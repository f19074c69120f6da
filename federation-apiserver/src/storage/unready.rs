//! Why a store does not serve yet, or serves what is old.

use std::sync::Arc;

/// What is waited for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unready {
    /// The caches cannot follow the backend; what it says last. They try on by themselves.
    #[error("{0}")]
    Trouble(Arc<str>),
    /// The resource of this key prefix is being read for the first time.
    #[error("{0} is not loaded yet")]
    Loading(String),
    /// What a server stores first is not stored yet.
    #[error("namespaces and roles are not stored yet")]
    Bootstrap,
    /// What was revoked is not known yet.
    #[error("what was revoked is not loaded yet")]
    Revocations,
    /// Authorization does not know them yet.
    #[error("roles and bindings are not loaded yet")]
    Authorization,
}
