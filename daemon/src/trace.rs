//! Names of what spans carry, the same in both programs, so that one question finds all of a change.
//!
//! A write has two keys. The audit id belongs to the request: it is in the API server's span and audit
//! event, beside the object's uid and the resourceVersion the write made. The uid and the
//! resourceVersion belong to the object, so they are known to whoever watches it without storing
//! anything: the controller manager's spans (placement, each member's apply, the record, the DNS
//! batch) carry them. Uid and resourceVersion lead from one to the other, and [`follows`] puts the spans
//! of both programs into one trace whose id is made of them.

mod change;
mod export;

pub use change::{follows, follows_all, made, of_request};
pub(crate) use export::{Export, exporting};

/// Target of all spans that are meant for export. At `info`; the log does not show them below `-v=2`.
pub const TARGET: &str = "span";

/// Traces a span may be linked to, beside the one it is a part of.
const LINKS: usize = 16;

/// Fields of spans and events.
pub mod field {
    /// The request's `Audit-ID`.
    pub const AUDIT_ID: &str = "audit_id";
    /// RBAC verb of a request: `create`, `patch` …
    pub const VERB: &str = "verb";
    /// API group of the resource; empty for the core group.
    pub const GROUP: &str = "group";
    /// Plural resource, with `/subresource`.
    pub const RESOURCE: &str = "resource";
    /// Kind of the object.
    pub const KIND: &str = "kind";
    /// Namespace of the object.
    pub const NAMESPACE: &str = "namespace";
    /// Name of the object.
    pub const NAME: &str = "name";
    /// Uid of the federated object.
    pub const UID: &str = "uid";
    /// resourceVersion of the federated object: after the write in the API server, as acted upon elsewhere.
    pub const RESOURCE_VERSION: &str = "resource_version";
    /// Who asked.
    pub const USER: &str = "user";
    /// HTTP status of the answer.
    pub const CODE: &str = "code";
    /// Name of the member.
    pub const CLUSTER: &str = "cluster";
    /// DNS zone.
    pub const ZONE: &str = "zone";
    /// What came of it: `ok` or why not.
    pub const OUTCOME: &str = "outcome";
}
