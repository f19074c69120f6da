//! Where a request comes from.

use std::net::IpAddr;
use std::sync::Arc;

use super::connected::Connected;
use crate::auth::UserInfo;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Over a connection; credentials decide who it is.
    Connection(Arc<Connected>),
    /// From this process: the [`UserInfo`] among the request's extensions, or else this one.
    Process(Arc<UserInfo>),
}

impl Caller {
    /// Where the request came from.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Connection(connected) => connected.address(),
            Self::Process(_) => None,
        }
    }
}
