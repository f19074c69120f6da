//! The description of one resource; handlers, discovery and OpenAPI are driven by it.

use std::time::Duration;

use machinery::status::FieldError;
use serde_json::Value;

use crate::auth::{UserInfo, Verb};
use crate::names::{Name, Names};

/// One served resource.
#[derive(Clone)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Name,
    /// API version.
    pub version: Name,
    /// Kind.
    pub kind: Name,
    /// Plural name in paths.
    pub plural: Name,
    /// Singular name.
    pub singular: Name,
    /// Short names for kubectl.
    pub short_names: Names,
    /// Categories for kubectl, for example `all`.
    pub categories: Names,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the main resource.
    pub verbs: &'static [Verb],
    /// Subresources besides the main resource.
    pub subresources: &'static [Subresource],
    /// Selectable fields besides `metadata.name` and `metadata.namespace`, as dotted paths.
    pub selectable: Names,
    /// Rules of the kind.
    pub strategy: &'static dyn Strategy,
    /// Objects vanish after this time (events).
    pub ttl: Option<Duration>,
}

impl Resource {
    /// An ordinary namespaced resource without status, to be adjusted with `..`.
    pub fn namespaced(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
    ) -> Self {
        Self {
            group: Name::Fixed(group),
            version: Name::Fixed(version),
            kind: Name::Fixed(kind),
            plural: Name::Fixed(plural),
            singular: Name::Fixed(singular),
            short_names: Names::Fixed(&[]),
            categories: Names::Fixed(&[]),
            namespaced: true,
            verbs: ALL_VERBS,
            subresources: &[],
            selectable: Names::Fixed(&[]),
            strategy: &Plain,
            ttl: None,
        }
    }

    /// An ordinary cluster-scoped resource without status, to be adjusted with `..`.
    pub fn cluster(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str, singular: &'static str) -> Self {
        Self { namespaced: false, ..Self::namespaced(group, version, kind, plural, singular) }
    }

    /// A resource that is only asked by creating it; nothing is stored.
    pub fn question(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str, singular: &'static str) -> Self {
        Self { verbs: CREATE_ONLY, ..Self::cluster(group, version, kind, plural, singular) }
    }

    /// `group/version`, or just the version in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether objects are stored, rather than only asked.
    pub fn stored(&self) -> bool {
        self.verbs.contains(&Verb::Get)
    }

    /// Whether the resource has that subresource.
    pub fn subresource(&self, name: &str) -> Option<Subresource> {
        self.subresources.iter().copied().find(|s| s.name() == name)
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.plural, self.api_version())
    }
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
    /// `/approval` of certificate requests: get, patch, update; touches `status.conditions` only.
    Approval,
    /// `/token` of service accounts: create; nothing is stored.
    Token,
}

impl Subresource {
    /// As it stands in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
            Self::Approval => "approval",
            Self::Token => "token",
        }
    }
}

/// All verbs of an ordinary resource.
pub const ALL_VERBS: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::DeleteCollection, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];
/// Verbs of resources that are only asked, such as access reviews.
pub const CREATE_ONLY: &[Verb] = &[Verb::Create];

/// How an object is changed.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Through which subresource.
    pub part: Option<Subresource>,
    /// When, RFC 3339.
    pub now: &'a str,
}

/// What the server does to objects of one kind before they are stored; pure. What may stand in them
/// is said by [`machinery::schema::rules`].
pub trait Strategy: Send + Sync {
    /// Clears and fills fields on create (status, generation, computed defaults).
    fn prepare_create(&self, _object: &mut Value, _user: &UserInfo) {}

    /// Carries over on update what the caller may not change.
    fn prepare_update(&self, _new: &mut Value, _old: &Value, _change: Change<'_>) {}

    /// What is wrong with an object that the schema's rules cannot tell.
    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with an update through a subresource that the schema's rules cannot tell.
    fn validate_update(&self, _new: &Value, _old: &Value, _part: Option<Subresource>) -> Vec<FieldError> {
        Vec::new()
    }

    /// Whether `spec` never changes, so that nobody owns it.
    fn keeps_spec(&self) -> bool {
        false
    }

    /// Whether the server sets `metadata.generation` when `spec` changes.
    fn counts_generations(&self) -> bool {
        true
    }

    /// Whether an update of the status is a separate subresource, so the main resource ignores it.
    fn has_status(&self) -> bool {
        true
    }

    /// Whether DELETE answers the deleted object rather than a Status.
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Whether a status given on creation is kept.
    fn keeps_status_on_create(&self) -> bool {
        false
    }

    /// Fixed rule for `metadata.name`; `None` is an RFC 1123 subdomain.
    fn name_rule(&self) -> Option<machinery::schema::metadata::NameRule> {
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
