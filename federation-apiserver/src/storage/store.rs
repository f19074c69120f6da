//! The watch cache and the writes that go with it: what request handlers use.
//!
//! One [`Store`] serves the whole process; [`Store::resource`] opens the part of one resource.

/// How old an answer may be: Kubernetes' resourceVersion semantics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadAt {
    /// resourceVersion unset: as new as the backend itself.
    Latest,
    /// resourceVersion `0`: whatever the cache holds.
    Any,
    /// Not older than this revision. Waits for it, 3 s at most.
    NotOlderThan(u64),
    /// Exactly this revision (`resourceVersionMatch: Exact`, and pages after the first).
    Exact(u64),
}
