//! The description of one resource; handlers, discovery and OpenAPI are driven by it.

use std::time::Duration;

use machinery::status::FieldError;
use serde_json::Value;

use crate::auth::UserInfo;

/// One served resource.
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural name in paths.
    pub plural: &'static str,
    /// Singular name.
    pub singular: &'static str,
    /// Short names for kubectl.
    pub short_names: &'static [&'static str],
    /// Categories for kubectl, for example `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the main resource.
    pub verbs: &'static [&'static str],
    /// Subresources besides the main resource.
    pub subresources: &'static [Subresource],
    /// Selectable fields besides `metadata.name` and `metadata.namespace`, as dotted paths.
    pub selectable: &'static [&'static str],
    /// Rules of the kind.
    pub strategy: &'static dyn Strategy,
    /// Columns of its table.
    pub columns: fn() -> machinery::table::Columns,
    /// Objects vanish after this time (events).
    pub ttl: Option<Duration>,
}

/// A subresource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subresource {
    /// `/status`: get, patch, update; touches `status` only.
    Status,
    /// `/scale`: get, patch, update; an `autoscaling/v1` Scale over `spec.replicas`.
    Scale,
    /// `/finalize` of namespaces: update.
    Finalize,
}

/// All verbs of an ordinary resource.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Verbs of resources that are only asked, such as access reviews.
pub const CREATE_ONLY: &[&str] = &["create"];

/// Rules of one kind. Everything works on decoded JSON, before it is stored; pure.
pub trait Strategy: Send + Sync {
    /// Clears and fills fields on create (status, generation, computed defaults).
    fn prepare_create(&self, _object: &mut Value, _user: &UserInfo) {}

    /// Carries over on update what the caller may not change.
    fn prepare_update(&self, _new: &mut Value, _old: &Value) {}

    /// Cross-field rules and immutable fields; `old` is `None` on create.
    fn validate(&self, _new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
        Vec::new()
    }

    /// Whether the server sets `metadata.generation` when `spec` changes.
    fn counts_generations(&self) -> bool {
        true
    }

    /// Whether an update of the status is a separate subresource, so the main resource ignores it.
    fn has_status(&self) -> bool {
        true
    }

    /// Fixed rule for `metadata.name`; `None` is an RFC 1123 subdomain.
    fn name_rule(&self) -> Option<fn(&str) -> Result<(), String>> {
        None
    }
}

/// The strategy of kinds without rules of their own and without status.
pub struct Plain;

impl Strategy for Plain {
    fn counts_generations(&self) -> bool {
        false
    }

    fn has_status(&self) -> bool {
        false
    }
}
