//! How long is waited before something is tried again. Each pause grows and is spread by chance, as
//! [`daemon::backoff`] has it; here is how long they are.

use std::time::Duration;

use daemon::backoff::Policy;

/// Before a read of the federation is tried again.
pub(crate) const READ: Policy = Policy::doubling(Duration::from_secs(1), Duration::from_secs(30));
/// Before a write to the federation is tried again.
pub(crate) const WRITE: Policy = Policy::doubling(Duration::from_secs(2), Duration::from_secs(30));
/// Before a job in a member is tried again.
pub(crate) const JOB: Policy = Policy::doubling(Duration::from_millis(500), Duration::from_secs(60));
/// Before the renewal of a member's token is tried again.
pub(crate) const RENEWAL: Policy = Policy::doubling(Duration::from_secs(10), Duration::from_secs(600));
/// After a socket failed, out of file descriptors most likely.
pub(crate) const SOCKET: Policy = Policy::doubling(Duration::from_millis(50), Duration::from_secs(1));
