//! Kubernetes strategic merge patches.

use serde_json::Value;

use crate::schema::{TypeId, Types};
use crate::status::ApiError;

/// Applies a strategic merge patch to a document of type `id` and returns the new document.
///
/// # Errors
/// 400 when the patch is malformed.
pub fn apply(_types: &Types, _id: TypeId, _document: &Value, _patch: &Value) -> Result<Value, ApiError> {
    Err(ApiError::internal("not wired"))
}
