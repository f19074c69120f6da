//! Server-side apply and the ownership of fields.

use serde_json::Value;

use crate::schema::{TypeId, Types};
use crate::status::ApiError;

/// Who writes, through what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager; `unknown` when empty.
    pub manager: &'a str,
    /// Subresource written through; empty for the main resource.
    pub subresource: &'a str,
    /// API version of the request, `apps/v1`.
    pub api_version: &'a str,
    /// Current time, RFC 3339 with seconds.
    pub now: &'a str,
    /// Top-level fields this way of writing cannot change, so it never owns them: `status` for the
    /// main resource of kinds with a status, `spec` for the status subresource.
    pub ignored: &'a [&'a str],
}

/// Applies a configuration to the live object (`None`: there is none yet) and returns the new object
/// with its `managedFields`. A configuration that changes nothing returns the live object unchanged.
///
/// # Errors
/// 409 with a cause for each field another manager owns, 400 when the configuration is malformed.
pub fn apply(
    _types: &Types,
    _id: TypeId,
    live: Option<&Value>,
    _applied: &Value,
    _force: bool,
    _writer: &Writer<'_>,
) -> Result<Value, ApiError> {
    live.cloned().ok_or_else(|| ApiError::internal("not wired"))
}

/// Tracks the ownership of fields of a create, update or patch: sets `metadata.managedFields` of `new`.
pub fn update(_types: &Types, _id: TypeId, _old: Option<&Value>, _new: &mut Value, _writer: &Writer<'_>) {}
